"""Solver run: weights in, steps, log, snapshots, history out."""

import os
import sys
from contextlib import closing

from mindpics.files.fingerprints import sha256
from mindpics.files.lock import locked
from mindpics.lint import net as lint
from mindpics.training import events
from mindpics.training.caffe_log import caffe_log
from mindpics.training.device import set_device
from mindpics.training.history import Interrupted
from mindpics.training.run_folder import RunFolder
from mindpics.training.solver_files import build_in_fork, read_solver, start_weights
from mindpics.training.solver_run import SolverRun


def solve(
    solver,
    out,
    weights=None,
    *,
    gpu=None,
    iterations=None,
    resume=False,
    seed=None,
    patience=None,
    allow_python_layers=False,
    overwrite=False,
    tensorboard=None,
    progress=True,
    otherwise=None,
    **fields,
):
    """Train by a solver prototxt, in the folder `out`.

    Parameters
    ----------
    solver : path or SolverParameter
        Its net may have any Data layers; paths in it are relative to the working directory, as in Caffe.
    out : path
        Gets net.prototxt, solver.prototxt, caffe.log, train.csv, test.csv, snapshots/, run.json, and
        TensorBoard's events.out.tfevents.*.
    weights : path, optional
        caffemodel whose layers are copied by name, as ``caffe train --weights`` does; several with commas between;
        by default the solver's own, "none" for the fillers. A resumed run has those it began with, and takes no others.
    gpu : int, optional
        Device; CPU without it.
    iterations : int, optional
        Instead of the solver's max_iter; stepsize, snapshot and test_interval stay as they are.
    resume : bool
        Go on from the newest whole snapshot in `out`, or start if there is none.
    seed : int, optional
        Instead of the solver's random_seed.
    patience : int, optional
        Iterations a head may stay at its guessing loss; 0 for ever; by default the
        larger of 1,000 and a quarter of the run. A mean of SoftmaxWithLoss may stay as long at its clip, and at most
        for 100.
    allow_python_layers : bool
        Let the net import Python layers from outside ``mindpics.layers``.
    overwrite : bool
        Start afresh in a folder that holds a run; without it or `resume` that is refused.
    tensorboard : bool, optional
        Write event files; by default where tensorboardX is installed.
    progress : bool
        Show a bar on the terminal.
    otherwise : dict, optional
        Other readings, see `mindpics.training.readings.read_otherwise`; a resumed run wants the same again.
    **fields
        Instead of the solver's own fields: ``base_lr=.001, max_iter=200, lr_policy="fixed"``; a list where it is
        repeated. A resumed run wants the same again.

    Returns
    -------
    mindpics.training.history.History

    Raises
    ------
    ValueError
        For input that Caffe would abort on.
    mindpics.training.divergence.DivergedError
        When a loss is not finite, stays clipped at 87.33, or a head is stuck; it has the history and the iteration.
    mindpics.training.history.Interrupted
        A KeyboardInterrupt: Ctrl-C or SIGTERM came, a snapshot was taken, and ``resume=True`` goes on from it.
    """
    folder = RunFolder(out)
    folder.check(resume, overwrite)  # before a lock is put there
    with locked(out):
        try:
            message, nets = read_solver(solver, iterations, seed, fields, otherwise)
            start = folder.start() if resume else {}
            weights = start_weights(weights, message, start.get("weights"))
            message.solver_mode = message.CPU if gpu is None else message.GPU
            lint.refuse_errors(message, nets, allow_python_layers)
            build_in_fork(message, nets)
            set_device(gpu)
            start = {"weights": weights, "weights_fit": start.get("weights_fit")}
            run, state = _run(folder, message, nets, start, resume, patience, events.wanted(tensorboard), progress)
            asked = {
                "solver": _path_of(solver),
                "gpu": gpu,
                "otherwise": otherwise or {},
                "fields": fields,
            }
            _record(folder, run, state, asked)
        finally:
            folder.give_up()
    if run.diverged:
        raise run.diverged
    if run.history.interrupted:
        raise Interrupted(run.history)
    return run.history


def _run(folder, message, nets, start, resume, patience, tensorboard, progress):
    """Train; return (`SolverRun`, the solverstate that it went on from)."""
    state, model, passed_over = folder.snapshots.newest() if resume else (None, None, [])
    is_hdf5 = message.snapshot_format == message.HDF5
    message = folder.prepare(nets, message, resume)
    with closing(events.Events(folder.path, tensorboard)) as board:
        with caffe_log(folder.log_until_begun(resume)) as terminal:
            for path in passed_over:
                print(f"passed over, not a whole snapshot: {path}", file=terminal)
            run = SolverRun(folder, message, nets, board, terminal if progress else None, patience)
            run.begin(start, state, model, resume)
            run.train()
        run.finish()
        if is_hdf5 and run.history.caffemodel == folder.files.weights:
            folder.finish_hdf5(run.solver.net)
    return run, state


def _record(folder, run, state, asked):
    history, diverged, weights = run.history, run.diverged, run.start["weights"]
    folder.write_run(
        command=sys.argv,
        solver=asked["solver"],
        weights=weights[0] if weights else None,
        more_weights=weights[1:],
        engine=os.environ.get("MINDPICS_ENGINE", "fast"),
        weights_fit=run.start["weights_fit"],
        gpu=asked["gpu"],
        random_seed=run.message.random_seed,
        resumed_from=None if state is None else str(state),
        iterations=history.iteration,
        max_iter=run.message.max_iter,
        otherwise=asked["otherwise"],
        fields=asked["fields"],
        interrupted=history.interrupted,
        diverged=None if diverged is None else str(diverged),
        seconds=folder.snapshots.seconds_until(history.iteration),  # of all its processes
        net_sha256=sha256(folder.net),
        solver_sha256=sha256(folder.solver),
        caffemodel=None if diverged else str(history.caffemodel),
        caffemodel_sha256=None if diverged else sha256(history.caffemodel),
        last_test=history.test[-1] if history.test else None,
    )


def _path_of(solver):
    return str(solver) if isinstance(solver, (str, os.PathLike)) else "given as a message"
