"""Reader of a solver, its nets and the weights it starts from for train_net, writer of solver and nets for Caffe."""

import tempfile
from pathlib import Path

import caffe
from caffe.proto import caffe_pb2

from mindpics.caffe_files import weights as weight_files
from mindpics.caffe_files.fields import LAYER, set_fields, set_layers
from mindpics.caffe_files.messages import read_message, write_message
from mindpics.caffe_files.solver_nets import TESTED, TRAINED, given_weights, solver_nets, weights_of
from mindpics.files.bounded import digest
from mindpics.files.fingerprints import sha256
from mindpics.files.layout import TrainingFiles
from mindpics.jobs.fork_first import in_fork
from mindpics.training.readings import read_otherwise

LISTED = ("ImageData", "WindowData")  # whose thread reads on as the net is built, and aborts on what is no picture
BATCHES = 4  # at which a thread stops, unless data_param says more
NO_WEIGHTS = "none"  # for the fillers, where the solver names weights
SETS = {  # what fields of the solver, or of layers, end in that a keyword or a reading sets
    "iterations": ("max_iter",),
    "epochs": ("max_iter", "stepsize", "stepvalue", "snapshot", "test_interval"),
    "seed": ("random_seed",),
    "base_lr": ("base_lr",),
    "batch": ("iter_size",),
    "snapshots": ("snapshot",),
    "normalization": ("].normalization",),
    "frozen_batch_norm": ("].use_global_stats",),
}


def read_solver(solver, iterations=None, seed=None, fields=None, otherwise=None):
    """Return (SolverParameter, its NetParameters) with the caller's changes in.

    Parameters
    ----------
    solver : path or SolverParameter
    iterations, seed : int, optional
        Instead of the solver's max_iter and random_seed.
    fields : dict, optional
        Field of SolverParameter, or ``layer[NAME].FIELD``, -> value; see `mindpics.caffe_files.fields`.
    otherwise : dict, optional
        Other readings, see `mindpics.training.readings.read_otherwise`.

    Returns
    -------
    message : SolverParameter
    nets : list of NetParameter
        Of `mindpics.caffe_files.solver_nets.solver_nets`: the one that is trained, then test nets.

    Raises
    ------
    ValueError
        When it is no solver, has not one net to train, or a field is asked for twice.
    """
    fields, otherwise = fields or {}, otherwise or {}
    _refuse_twice({"iterations": iterations, "seed": seed} | otherwise, fields)
    message = caffe_pb2.SolverParameter()
    if isinstance(solver, caffe_pb2.SolverParameter):
        message.CopyFrom(solver)
    else:
        read_message(solver, message)
    set_fields(message, {name: value for name, value in fields.items() if not name.startswith(LAYER)})
    trained = [name for name in TRAINED if message.HasField(name)]
    if len(trained) != 1:
        raise ValueError(f"{solver}: found {' and '.join(trained) or 'no net'}; wanted one of {', '.join(TRAINED)}")
    nets = [_read_net(solver, place.value(message)) for place in solver_nets(message)]
    set_layers(nets, {name: value for name, value in fields.items() if name.startswith(LAYER)}, message)
    if iterations is not None:
        message.max_iter = iterations
    if seed is not None:
        message.random_seed = seed
    message.display = message.display or 20
    read_otherwise(message, nets[0], otherwise)
    return message, nets


def _refuse_twice(asked, fields):
    """Raise ValueError where two changes are of one field, of which one would be forgotten."""
    asked = {name: value for name, value in asked.items() if value is not None}
    if {"iterations", "epochs"} <= asked.keys():
        fields = fields | {"max_iter": asked.pop("iterations")}
    for name, value in asked.items():
        for field, other in fields.items():
            if field.endswith(SETS.get(name, ())):
                text = f"found {name}={value} and {field}={other}; wanted one of them, since both set the same"
                raise ValueError(text)


def start_weights(weights, message, before=None):
    """Return what each caffemodel to copy in is told by later: path, hashes, published name of its SHA-1.

    Parameters
    ----------
    weights : path, optional
        Those asked for, several with commas between, or "none"; without it the solver's own.
    message : SolverParameter
        Its weights are cleared, since Caffe would abort on a broken file.
    before : list of dict, optional
        Of the run that is gone on with, as returned here.

    Raises
    ------
    ValueError
        For no file, and for other weights than the run began with.
    """
    named = weights_of(message)
    message.ClearField("weights")
    if weights is None and before is not None:
        return before
    if weights is not None:
        named = given_weights(weights)
        named = [] if named == [NO_WEIGHTS] else named
    asked = list(map(_told_by, named))
    if before is not None and [told["sha256"] for told in asked] != [told["sha256"] for told in before]:
        began = ", ".join(f"{told['path']} (SHA-256 {told['sha256'][:8]}…)" for told in before) or "its fillers"
        raise ValueError(
            f"found weights {', '.join(map(str, named)) or NO_WEIGHTS}; wanted the same again, or none given, since "
            f"this run began with {began}, or overwrite=True to start afresh"
        )
    return asked


def _told_by(path):
    sha1 = digest(path, "sha1")
    return {"path": str(path), "sha256": sha256(path), "sha1": sha1, "published": weight_files.KNOWN_SHA1.get(sha1)}


def write_solver(message, nets, folder):
    """Write a solver and its nets, as Caffe is to read them, under a folder; return the SolverParameter.

    The net that is trained becomes net.prototxt, test nets of their own test_net_0.prototxt and so on, all upgraded.

    Parameters
    ----------
    message : SolverParameter
        Stays as it is.
    nets : list of NetParameter
        The one that is trained, then test nets.
    folder : path
    """
    written = caffe_pb2.SolverParameter()
    written.CopyFrom(message)
    field = "net" if any(message.HasField(name) for name in ("net", "net_param")) else "train_net"
    for name in (*TRAINED, *TESTED):
        written.ClearField(name)
    files = TrainingFiles(Path(folder))
    setattr(written, field, str(files.net))
    written.test_net.extend(str(files.test_net(number)) for number in range(len(nets) - 1))
    for net, path in zip(nets, (getattr(written, field), *written.test_net), strict=True):
        write_message(net, path)
    write_message(written, files.solver)
    return written


def build_in_fork(message, nets, weights=()):
    """Let a child build the nets of a solver first, on the CPU: Caffe ends the process where it does not like one.

    Parameters
    ----------
    message : SolverParameter
    nets : list of NetParameter
        Its nets, checked.
    weights : sequence of path
        caffemodels that the child copies, to see whether they fit.

    Raises
    ------
    ValueError
        With Caffe's own words, or how weights do not fit.
    """
    solver = caffe_pb2.SolverParameter()
    solver.CopyFrom(message)
    with tempfile.TemporaryDirectory() as folder:
        files = TrainingFiles(folder)
        solver.snapshot_prefix, solver.solver_mode = files.path("net"), solver.CPU
        write_solver(solver, nets, folder)
        try:
            in_fork(_build, files.solver, weights)
        except ValueError as error:
            name = message.net or message.train_net or "the solver"
            raise ValueError(f"{name}: found what Caffe refuses ({error}); wanted a net that it builds") from None


def _build(path, weights):
    caffe.set_mode_cpu()
    solver = caffe.get_solver(path)
    for net in (solver.net, *solver.test_nets):
        for index, layer in enumerate(net.layers):
            if layer.type in LISTED:
                for _ in range(BATCHES):
                    net._forward(index, index)
    for path in weights:
        weight_files.copy(path, solver.net, *solver.test_nets)


def _read_net(solver, value):
    """Return the NetParameter of a path, or of what stands in the solver, which Caffe does not upgrade."""
    if isinstance(value, caffe_pb2.NetParameter):
        return value
    if not Path(value).is_file():
        raise ValueError(f"{solver}: found no file {value}; wanted its net (paths are relative to {Path.cwd()})")
    return read_message(value, caffe_pb2.NetParameter())
