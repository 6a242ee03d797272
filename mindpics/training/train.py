"""Solver run: weights in, steps, log, snapshots, history out."""

import math
import os
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import caffe
import numpy as np
from caffe.proto import caffe_pb2

from mindpics.caffe_files import snapshots
from mindpics.caffe_files import weights as weight_files
from mindpics.caffe_files.blobs import read_state
from mindpics.caffe_files.log import TestPasses, caffe_log, log_line
from mindpics.caffe_files.solver_files import build_apart, read_solver, take_weights
from mindpics.files.bounded import digest
from mindpics.files.fingerprints import sha256
from mindpics.files.lock import locked
from mindpics.jobs.interrupt import interruptible
from mindpics.lint import net as lint
from mindpics.nets.solvers import learning_rate
from mindpics.training import events
from mindpics.training.device import set_device
from mindpics.training.divergence import DivergedError, StuckHeads, check_end, check_losses
from mindpics.training.progress import status, training_bar
from mindpics.training.readings import read_otherwise
from mindpics.training.resume import restore_position
from mindpics.training.run_folder import RunFolder

ROOM = 3  # a snapshot in units of the net: weights, history (two of Adam)


@dataclass
class History:
    """What a run did.

    Attributes
    ----------
    train : list of dict
        One row an iteration: iteration, lr and every loss blob of the net.
    test : list of dict
        One row a test pass: iteration and Caffe's averages over its batches.
    iteration : int
        Where it ended.
    caffemodel : Path or None
        The last snapshot.
    interrupted : bool
        Ended by Ctrl-C or SIGTERM, with a snapshot; ``resume=True`` goes on from there.
    """

    train: list = field(default_factory=list)
    test: list = field(default_factory=list)
    iteration: int = 0
    caffemodel: Path | None = None
    interrupted: bool = False


def solve(solver, out, weights=None, *, gpu=None, iterations=None, resume=False, seed=None, patience=None,
          allow_python_layers=False, overwrite=False, tensorboard=None, progress=True, otherwise=None):  # fmt: skip
    """Train by a solver prototxt, in the folder `out`.

    Parameters
    ----------
    solver : path or SolverParameter
        Its net may have any Data layers; paths in it are relative to the working directory, as in Caffe.
    out : path
        Gets net.prototxt, solver.prototxt, caffe.log, train.csv, test.csv, snapshots/, run.json, and
        TensorBoard's events.out.tfevents.*.
    weights : path, optional
        caffemodel whose layers are copied by name, as ``caffe train --weights`` does.
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
        larger of 1,000 and a quarter of the run.
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

    Returns
    -------
    History

    Raises
    ------
    ValueError
        For input that Caffe would abort on.
    mindpics.training.divergence.DivergedError
        When a loss is not finite, is clipped at 87.33, or a head is stuck.
    """
    folder = RunFolder(out)
    folder.check(resume, overwrite)  # before a lock is put there
    with locked(out):
        try:
            return _solve(solver, folder, weights, gpu=gpu, iterations=iterations, resume=resume, seed=seed,
                          patience=patience, allow_python_layers=allow_python_layers, tensorboard=tensorboard,
                          progress=progress, otherwise=otherwise or {})  # fmt: skip
        finally:
            folder.give_up()


def _solve(solver, folder, weights, *, gpu, iterations, resume, seed, patience, allow_python_layers, tensorboard,
           progress, otherwise):  # fmt: skip
    tensorboard = events.wanted(tensorboard)
    message, net = read_solver(solver, iterations, seed)
    read_otherwise(message, net, otherwise)
    weights = weights or take_weights(message)
    lint.refuse_errors(message, net, allow_python_layers)
    build_apart(message, net)
    set_device(gpu)
    if gpu is None:
        message.solver_mode = caffe_pb2.SolverParameter.CPU
    state, model, passed_over = folder.snapshots.newest() if resume else (None, None, [])
    message = folder.prepare(net, message, resume)
    started = time.time()
    with closing(events.Events(folder.path, tensorboard)) as board:
        with caffe_log(folder.log_until_begun(resume)) as terminal:
            for path in passed_over:
                print(f"passed over, not a whole snapshot: {path}", file=terminal)
            run = _Run(folder, message, net, board, terminal if progress else None, patience)
            run.start(weights, state, model, resume)
            history, diverged = _train(run)
        run.finish()
    folder.write_run(
        command=sys.argv,
        solver=str(solver) if isinstance(solver, (str, os.PathLike)) else "given as a message",
        weights=None if weights is None else _told_by(weights),
        engine=os.environ.get("MINDPICS_ENGINE", "fast"),
        weights_fit=run.fit,
        gpu=gpu,
        random_seed=message.random_seed,
        resumed_from=None if state is None else str(state),
        iterations=history.iteration,
        max_iter=message.max_iter,
        otherwise=otherwise,
        interrupted=history.interrupted,
        diverged=None if diverged is None else str(diverged),
        seconds=round(time.time() - started, 1),
        net_sha256=sha256(folder.net),
        solver_sha256=sha256(folder.solver),
        caffemodel=None if diverged else str(history.caffemodel),
        caffemodel_sha256=None if diverged else sha256(history.caffemodel),
        last_test=history.test[-1] if history.test else None,
    )
    if diverged:
        raise diverged
    return history


def _told_by(weights):
    """Return what weights are told by later: path, hashes, and the published name that the SHA-1 belongs to."""
    sha1 = digest(weights, "sha1")
    published = weight_files.KNOWN_SHA1.get(sha1)
    return {"path": str(weights), "sha256": sha256(weights), "sha1": sha1, "published": published}


def _train(run):
    """Return (History, None), or what was done and the DivergedError that ended it, which then carries both."""
    try:
        return run.train(), None
    except DivergedError as error:
        run.history.iteration = error.iteration = run.solver.iter
        error.history = run.history
        (run.folder.path / "final.caffemodel").unlink(missing_ok=True)  # of a run that was gone on with
        return run.history, error


class _Run:
    """One solver from its first iteration of this process to its last."""

    def __init__(self, folder, message, net, board, terminal, patience):
        self.folder = folder
        self.message = message
        self.net = net
        self.board = board
        self.terminal = terminal
        self.solver = caffe.get_solver(str(folder.begun / folder.solver.name))
        if patience is None:
            patience = max(1000, message.max_iter // 4)
        self.stuck = StuckHeads(patience) if patience else None
        self.losses = [name for name in self.solver.net.outputs if name.startswith("loss")]
        self.shapes = weight_files.shapes_of(self.solver.net)
        self.history = History()
        self.fit = None
        self.last_test = []

    def start(self, weights, state, model, resume):
        """Copy weights, or restore a snapshot and the CSV rows up to it; then the run takes its folder."""
        if state is not None:
            snapshots.check(state, model, read_state(state).iteration, self.shapes)
            self.solver.restore(str(state))
            self.history.train = self.folder.read_csv("train", self.solver.iter)
            self.say(f"resuming at iteration {self.solver.iter} from {state}")
            for lost in restore_position(self.solver, self.message, self.net, snapshots.random_state_of(state)):
                self.say(f"not restored: {lost}")
        elif weights is not None:
            self.fit = str(weight_files.copy(weights, self.solver.net, *self.solver.test_nets))
            self.say(f"{weights}: {self.fit}")
        self.folder.begin(self.message, resume)
        self.folder.write_csv("train", self.history.train, columns=["iteration", "lr", *self.losses])
        self.tests = TestPasses(self.folder.log, before=self.solver.iter)
        self.board.begin(self.solver.iter, self.history.train, self.tests.rows)
        log_line(f"Solving {self.folder.path.name}")

    def train(self):
        bar = training_bar(self.folder.path.name, self.message.max_iter, self.solver.iter, self.terminal)
        with interruptible() as interrupted, bar:
            while self.solver.iter < self.message.max_iter and not interrupted:
                self.step()
                bar.update()
                if self.solver.iter % self.message.display == 0:
                    self.read_tests()
                    recent = self.history.train[-self.message.display :]
                    bar.set_postfix_str(status(self.losses, recent, self.tests.rows), refresh=False)
            self.history.interrupted = bool(interrupted)
        if not self.history.interrupted:
            self.last_test = self.test()
            check_end(self.solver.iter, self.solver.net, self.last_test)
        self.history.iteration = self.solver.iter
        self.history.caffemodel = self.snapshot()
        if not self.history.interrupted:
            self.history.caffemodel = self.folder.finish(self.history.caffemodel)
        return self.history

    def step(self):
        iteration = self.solver.iter
        due = self.message.snapshot and (iteration + 1) % self.message.snapshot == 0
        if due:
            self.check_room()
        self.solver.step(1)
        blobs = self.solver.net.blobs
        losses = {name: float(blobs[name].data) for name in self.losses}
        check_losses(iteration, losses)
        if self.stuck:
            self.stuck.update(iteration, blobs)
        self.history.train.append({"iteration": iteration, "lr": learning_rate(self.message, iteration)} | losses)
        self.folder.append_csv("train", self.history.train[-1])
        self.board.add("train", self.history.train[-1])
        if due:
            self.accept()

    def snapshot(self):
        """Take a snapshot now; return its caffemodel."""
        self.check_room()
        self.solver.snapshot()
        return self.accept()

    def check_room(self):
        values = sum(math.prod(shape) for shapes in self.shapes.values() for shape in shapes)
        self.folder.snapshots.check_room(ROOM * values * 4 + (1 << 16))

    def accept(self):
        """Take over what Caffe has just written aside."""
        random_state = caffe.get_random_state() if hasattr(caffe, "get_random_state") else None
        return self.folder.snapshots.accept(self.solver.iter, self.shapes, random_state)

    def test(self):
        """Test once more at the end, as ``caffe train`` does and pycaffe's step() does not."""
        rows = []
        for index, net in enumerate(self.solver.test_nets):
            net.share_with(self.solver.net)
            passes = [{name: float(top) for name, top in net.forward().items()}
                      for _ in range(self.message.test_iter[index])]  # fmt: skip
            means = {name: float(np.mean([p[name] for p in passes])) for name in passes[0]}
            rows.append({"iteration": self.solver.iter} | means)
        return rows

    def read_tests(self, whole=False):
        for row in self.tests.update(whole):
            self.board.add("test", row)

    def finish(self):
        """Read the rest of the log, now that it is whole, and write test.csv."""
        self.read_tests(whole=True)
        for row in self.last_test:
            self.board.add("test", row)
        self.history.test = self.tests.rows + self.last_test
        self.folder.write_csv("test", self.history.test)

    def say(self, text):
        if self.terminal is not None:
            print(text, file=self.terminal)
