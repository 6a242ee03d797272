"""Sweep: a solver under many settings, each an ordinary run folder; a diverged one is a row, not the end."""

import csv
import json
import math
from pathlib import Path

from mindpics.files import own_folder
from mindpics.files.atomic import atomic_write
from mindpics.files.json_files import write_json
from mindpics.files.layout import TrainingFiles
from mindpics.files.own_folder import Kind
from mindpics.jobs.commands import start_here
from mindpics.jobs.runner import Runner, default_jobs
from mindpics.jobs.stages import Stage
from mindpics.sweeps.settings import SWITCHES, runs_of
from mindpics.training.history import load_run
from mindpics.training.readings import read_otherwise
from mindpics.training.solver_files import read_solver

SWEEP = Kind("a sweep", proof=("sweep.json",))


class OnGpus:
    """Start commands of this machine, each on a GPU that no other of them has.

    Parameters
    ----------
    gpus : list of int
    """

    def __init__(self, gpus):
        self.processes = dict.fromkeys(gpus)

    def __call__(self, command, log, threads, resumable=False):
        free = (gpu for gpu, process in self.processes.items() if process is None or process.poll() is not None)
        gpu = next(free)
        self.processes[gpu] = start_here([*command, "--gpu", str(gpu)], log, threads, resumable)
        return self.processes[gpu]


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
        caffemodels to start from; None for the fillers.
    seeds : int
        Runs of each setting.
    draws : int, optional
        Random draws in place of the grid.
    jobs : int, optional
        Runs at a time; by default one a core, or one a GPU.
    gpus : sequence of int
    start : callable
        Starts a command, see `mindpics.jobs.commands`.

    Returns
    -------
    list of dict
        The rows of runs.csv, the best first.

    Raises
    ------
    ValueError
        For settings that the solver or its net does not take, before anything runs.
    mindpics.jobs.stages.StageError
        When a run fails in another way than by diverging.
    """
    runs = runs_of(settings, weights, seeds, draws)
    stages = stages_of(solver, out, runs)
    own_folder.require(out, SWEEP, adds=True)
    write_json(Path(out) / "sweep.json", {"solver": str(solver), "runs": [vars(run) for run in runs]})
    jobs = jobs or len(gpus) or default_jobs(None)
    Runner(stages, out, min(jobs, len(gpus) or jobs), start=OnGpus(gpus) if gpus else start).run()
    rows = ranked([row_of(run, Path(out) / run.name) for run in runs])
    write_runs(rows, Path(out) / "runs.csv")
    return rows


def stages_of(solver, out, runs):
    """Return the `Stage` of each run; ValueError where a setting does not fit the solver or its net.

    Parameters
    ----------
    solver, out : path
    runs : list of mindpics.sweeps.settings.Run
    """
    inputs = inputs_of(solver)
    return [_stage(solver, f"{out}/{run.name}", run, inputs) for run in runs]


def _stage(solver, folder, run, inputs):
    words = ("--accept-divergence", "--force", "--out", folder, *run.words())
    return Stage(
        run.name,
        ("tools/train_net", str(solver), *words),
        (*inputs, *([run.weights] if run.weights else [])),
        (TrainingFiles(folder).facts,),
        resumable=True,
        begun=TrainingFiles(folder).solver,
        cost=60,
        note=f"{iterations_of(solver, run)} iterations",
    )


def inputs_of(solver):
    """Return the files that all runs stand on: solver, net, and the net's LMDBs and means."""
    message, nets = read_solver(solver)
    paths = [str(solver), message.net, message.train_net, *message.test_net]
    for layer in (layer for net in nets for layer in net.layer):
        paths += [layer.data_param.source, layer.transform_param.mean_file]
    return tuple(dict.fromkeys(path for path in paths if path and Path(path).exists()))


def iterations_of(solver, run):
    """Return how many iterations a run takes, by its max_iter or its epochs."""
    fields = {name: value for name, value in run.settings.items() if name not in SWITCHES}
    message, nets = read_solver(solver, fields=fields)
    read_otherwise(
        message, nets[0], {name: value for name, value in run.settings.items() if name in SWITCHES and value}
    )
    return message.max_iter


def row_of(run, folder):
    """Return a run as a row: settings, how it ended, last and best of each test output, seconds, path."""
    files = TrainingFiles(folder)
    facts = json.loads(files.facts.read_text(encoding="utf-8"))
    row = dict(run.settings) | {"weights": run.weights or "none", "seed": run.seed}
    row |= {"ended": "diverged" if facts["diverged"] else "done", "iterations": facts["iterations"]}
    tests = [] if facts["diverged"] and not files.tests.is_file() else load_run(folder).test
    names = list(dict.fromkeys(name for test in tests for name in test if name != "iteration"))
    for name in names:
        values = [test[name] for test in tests if name in test]
        row |= {f"last_{name}": values[-1], f"best_{name}": (min if name.startswith("loss") else max)(values)}
    row |= _means(row)
    return row | {"seconds": facts["seconds"], "path": str(folder), "why": facts["diverged"] or ""}


def _means(row):
    """Return the mean of all heads' last and best accuracy, or loss where nothing measures accuracy."""
    means = {}
    for kind in ("accuracy", "loss"):
        for when in ("last", "best"):
            values = [value for name, value in row.items() if name.startswith(f"{when}_{kind}")]
            if values:
                means[f"{when}_mean_{kind}"] = math.fsum(values) / len(values)
    return means


def ranked(rows):
    """Return rows, the best first: by mean best accuracy, else by mean best loss; diverged ones last."""

    def place(row):
        accuracy, loss = row.get("best_mean_accuracy"), row.get("best_mean_loss")
        return (row["ended"] == "diverged", -accuracy if accuracy is not None else loss if loss is not None else 0)

    return sorted(rows, key=place)


def write_runs(rows, path):
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with atomic_write(path) as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
