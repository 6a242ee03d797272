"""Reader of a solver and its net for train_net."""

import tempfile
from pathlib import Path

import caffe
from caffe.proto import caffe_pb2

from mindpics.caffe_files.messages import read_message, write_message
from mindpics.files.layout import TrainingFiles
from mindpics.jobs.fork_first import in_fork


def read_solver(solver, iterations=None, seed=None):
    """Return (SolverParameter, NetParameter) with the caller's changes in.

    Parameters
    ----------
    solver : path or SolverParameter
    iterations, seed : int, optional
        Instead of the solver's max_iter and random_seed.

    Raises
    ------
    ValueError
        When it is no solver, has no net, or another besides: that would go unchecked.
    """
    message = caffe_pb2.SolverParameter()
    if isinstance(solver, caffe_pb2.SolverParameter):
        message.CopyFrom(solver)
    else:
        read_message(solver, message)
    _check(solver, message)
    net = read_message(message.net, caffe_pb2.NetParameter())
    if iterations is not None:
        message.max_iter = iterations
    if seed is not None:
        message.random_seed = seed
    message.display = message.display or 20
    return message, net


def build_in_fork(message, net):
    """Let a child build the nets of a solver first, on the CPU: Caffe ends the process where it does not like one.

    Parameters
    ----------
    message : SolverParameter
    net : NetParameter
        Its net, checked.

    Raises
    ------
    ValueError
        With Caffe's own words.
    """
    solver = caffe_pb2.SolverParameter()
    solver.CopyFrom(message)
    with tempfile.TemporaryDirectory() as folder:
        files = TrainingFiles(folder)
        solver.net, solver.snapshot_prefix = files.net, files.path("net")
        solver.solver_mode = solver.CPU
        write_message(net, solver.net)
        write_message(solver, files.solver)
        try:
            in_fork(_build, files.solver)
        except ValueError as error:
            raise ValueError(
                f"{message.net}: found what Caffe refuses ({error}); wanted a net that it builds"
            ) from None


def _build(path):
    caffe.set_mode_cpu()
    caffe.get_solver(path)


def take_weights(message):
    """Return the caffemodel that a solver names itself, and take it out: Caffe would abort on a broken one."""
    named = [path.strip() for paths in message.weights for path in paths.split(",")]
    if len(named) > 1:
        raise ValueError(f"found weights {', '.join(named)}; one caffemodel is wanted")
    message.ClearField("weights")
    return named[0] if named else None


def _check(solver, message):
    if not message.net:
        raise ValueError(f'{solver}: found no net; wanted a solver with net: "...train_val.prototxt"')
    if not Path(message.net).is_file():
        raise ValueError(f"{solver}: found no file {message.net}; wanted its net (paths are relative to {Path.cwd()})")
    further = [name for name in ("net_param", "train_net", "train_net_param") if message.HasField(name)]
    further += [name for name in ("test_net", "test_net_param") if getattr(message, name)]
    if further:
        raise ValueError(f"{solver}: found net and {', '.join(further)}; wanted one net for both phases")
    if message.snapshot_format != message.BINARYPROTO:
        raise ValueError(f"{solver}: found snapshot_format HDF5; wanted BINARYPROTO, which is checked and gone on from")
