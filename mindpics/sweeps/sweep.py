"""Sweep: a solver under many settings, each an ordinary run folder; a diverged one is a row, not the end."""

from dataclasses import replace
from pathlib import Path

from mindpics.caffe_files import solver_nets
from mindpics.files import own_folder
from mindpics.files.bounded import read_text
from mindpics.files.json_files import write_json
from mindpics.files.layout import SweepFiles, TrainingFiles
from mindpics.files.own_folder import Kind
from mindpics.files.tables import write_table
from mindpics.jobs.commands import start_here
from mindpics.jobs.log_tail import clock
from mindpics.jobs.runner import Runner, default_jobs, threads_of
from mindpics.jobs.stages import Stage
from mindpics.lint.net import refuse_errors
from mindpics.lint.phases import SOURCES
from mindpics.sweeps.cost import timed
from mindpics.sweeps.page import write_page
from mindpics.sweeps.ranking import ranked, row_of
from mindpics.sweeps.settings import SWITCHES, runs_of
from mindpics.training.solver_files import NO_WEIGHTS, build_in_fork, read_solver

UNTIMED = 0.1  # seconds that an iteration is taken for where none was timed
SWEEP = Kind("a sweep", proof=(SweepFiles.facts,))


class OnGpus:
    """Start commands of this machine, each on a GPU that no other of them has.

    Parameters
    ----------
    gpus : list of int
    """

    def __init__(self, gpus):
        self.processes = dict.fromkeys(gpus)

    def __call__(self, command, log, threads, again=None):
        free = (gpu for gpu, process in self.processes.items() if process is None or process.poll() is not None)
        gpu = next(free)
        self.processes[gpu] = start_here([*command, "--gpu", str(gpu)], log, threads, again)
        return self.processes[gpu]


def on_gpus(gpus, start):
    """Return what starts commands on GPUs: here each on one of its own, elsewhere on the one number of each worker."""
    if not gpus:
        return start
    if start is start_here:
        return OnGpus(gpus)
    return lambda command, *where: start([*command, "--gpu", str(gpus[0])], *where)


def sweep(solver, out, settings, *, weights=(None,), seeds=1, draws=None, jobs=None, gpus=(), start=start_here):
    """Train by a solver under many settings; killed, the same call goes on.

    Parameters
    ----------
    solver : path
    out : path
        Gets a run folder each, runs.csv, sweep.json, and what the runner keeps.
    settings : dict
        Name -> values: fields of the solver, ``layer[NAME].FIELD`` of the net, and train_net's switches
        (normalization, epochs, batch, frozen_batch_norm).
    weights : sequence of path or None
        caffemodels to start from; None for the solver's own, or else the fillers; "none" for the fillers.
    seeds : int
        Runs of each setting.
    draws : int, optional
        Random draws in place of the grid.
    jobs : int, optional
        Runs at a time; by default one a core, or one a GPU.
    gpus : sequence of int
        Each run has one of its own; with another `start`, one number: of the device that each worker has.
    start : callable
        Starts a command, see `mindpics.jobs.commands`.

    Returns
    -------
    list of dict
        The rows of runs.csv, the best first: see `mindpics.sweeps.ranking`.

    Raises
    ------
    ValueError
        For settings that the solver or its net does not take, before anything runs.
    mindpics.jobs.stages.StageError
        When a run fails in another way than by diverging; runs.csv then has those that were done.
    """
    runs = runs_of(settings, weights, seeds, draws)
    own_folder.require(out, SWEEP, adds=True)
    stages, jobs = planned(solver, out, runs, jobs, gpus, here=start is start_here)
    write_json(SweepFiles(Path(out)).facts, {"solver": str(solver), "runs": [vars(run) for run in runs]})
    runner = Runner(stages, out, jobs, start=on_gpus(gpus, start))
    try:
        runner.run()
    finally:  # also where one failed
        rows = _write(out, [run for run in runs if run.name in runner.done])
    return rows


def _write(out, runs):
    """Write runs.csv and the page of runs that are done, if there are any; return the rows."""
    rows = ranked([row_of(run, f"{out}/{run.name}") for run in runs])
    if rows:
        columns = list(dict.fromkeys(name for row in rows for name in row))
        write_table(SweepFiles(Path(out)).runs, columns, rows)
        write_page(out)
    return rows


def planned(solver, out, runs, jobs=None, gpus=(), here=True):
    """Return (the `Stage`s of runs, with what each costs on this machine; how many run at a time).

    Parameters
    ----------
    solver, out : path
    runs : list of mindpics.sweeps.settings.Run
    jobs : int, optional
        By default one a core, or one a GPU, which are the most there are.
    gpus : sequence of int
    here : bool
        The runs are of this machine, and not of a cluster, which has GPUs of its own.

    Raises
    ------
    ValueError
        As `sweep`.
    """
    if len(gpus) > 1 and not here:
        text = f"found GPUs {','.join(map(str, gpus))} of a cluster; wanted one number, that of each worker's device"
        raise ValueError(f"{text} (CUDA_VISIBLE_DEVICES)")
    devices = gpus if here else ()
    jobs = min(jobs or len(devices) or default_jobs(None), len(devices) or len(runs))
    configured = [_configured(solver, run, bool(gpus)) for run in runs]
    _refuse(solver, runs, configured)
    is_timed = here or not gpus  # no GPU of another machine
    times = timed(*configured[0], threads_of(jobs), *devices[:1]) if is_timed else None
    costs = [(message.max_iter, times and times.of(message)) for message, _ in configured]
    return stages_of(solver, out, runs, costs), jobs


def stages_of(solver, out, runs, costs):
    """Return the `Stage` of each run.

    Parameters
    ----------
    solver, out : path
    runs : list of mindpics.sweeps.settings.Run
    costs : list of (int, float or None)
        Iterations of each, and seconds where they were timed.
    """
    inputs, stages = inputs_of(solver), []
    for run, (iterations, seconds) in zip(runs, costs, strict=True):
        folder = f"{out}/{run.name}"
        about = "" if seconds is None else f", about {clock(seconds)}"
        stages.append(
            Stage(
                run.name,
                (*command_of(solver, folder, run), "--accept-divergence", "--force"),
                (*inputs, *weights_of(run)),
                (TrainingFiles(folder).facts,),
                resumable=True,
                begun=TrainingFiles(folder).solver,
                cost=iterations * UNTIMED if seconds is None else seconds,
                note=f"{iterations:,} iterations{about}",
            )
        )
    return stages


def command_of(solver, folder, run):
    """Return the command that trains one run.

    Parameters
    ----------
    solver, folder : path
    run : mindpics.sweeps.settings.Run
    """
    return ("tools/train_net", str(solver), "--out", folder, *run.words())


def commands_again(solver, out, runs, rows):
    """Return the commands that repeat runs, each into a folder of its own.

    Parameters
    ----------
    solver, out : path
    runs : list of mindpics.sweeps.settings.Run
        Of the sweep.
    rows : list of dict
        Those to repeat, see `sweep`.
    """
    by_folder = {f"{out}/{run.name}": run for run in runs}
    return [command_of(solver, f"{row['path']}-again", by_folder[row["path"]]) for row in rows]


def weights_of(run):
    """Return the caffemodels that a run starts from; ValueError where one is not there."""
    files = [] if run.weights in (None, NO_WEIGHTS) else solver_nets.given_weights(run.weights)
    absent = [path for path in files if not Path(path).is_file()]
    if absent:
        raise ValueError(f"{absent[0]}: found no such file; wanted a caffemodel to start from")
    return files


def inputs_of(solver):
    """Return the files that all runs stand on: solver, net, weights, and the net's LMDBs, lists of files and means."""
    message, nets = read_solver(solver)
    paths = [str(solver), message.net, message.train_net, *message.test_net, *solver_nets.weights_of(message)]
    for layer in (layer for net in nets for layer in net.layer):
        paths += [layer.data_param.source, layer.transform_param.mean_file]
        if layer.type in SOURCES:
            paths.append(getattr(layer, SOURCES[layer.type]).source)
        if layer.type == "HDF5Data" and Path(paths[-1]).is_file():
            paths += read_text(paths[-1], "a list of HDF5 files").split()
    return tuple(dict.fromkeys(path for path in paths if path and Path(path).exists()))


def _refuse(solver, runs, configured):
    """Raise ValueError, which names the settings, where a run would fail; what is the same is looked at once."""
    passed = set()
    for run, (message, nets) in zip(runs, configured, strict=True):
        weights = weights_of(run) if run.weights else solver_nets.weights_of(message)
        for name in ("random_seed", "weights"):
            message.ClearField(name)
        built = (message.type, len(message.test_iter), *weights, *(net.SerializeToString() for net in nets))
        try:
            if (message.SerializeToString(), built) not in passed:
                refuse_errors(message, nets)
            if built not in passed:
                build_in_fork(message, nets, weights)
        except ValueError as error:
            raise ValueError(f"{' '.join(replace(run, seed=None).words()) or solver}: {error}") from None
        passed |= {built, (message.SerializeToString(), built)}


def _configured(solver, run, on_gpu):
    """Return (SolverParameter, NetParameters) of a run; ValueError where a setting does not fit them."""
    weights_of(run)
    fields = {name: value for name, value in run.settings.items() if name not in SWITCHES}
    readings = {name: value for name, value in run.settings.items() if name in SWITCHES and value is not False}
    message, nets = read_solver(solver, seed=run.seed, fields=fields, otherwise=readings)
    message.solver_mode = message.GPU if on_gpu else message.CPU
    return message, nets
