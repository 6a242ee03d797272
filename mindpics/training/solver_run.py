"""Steps of a solver: losses and tests read, divergence watched, snapshots taken over."""

import math
from dataclasses import dataclass, field
from pathlib import Path

import caffe
import numpy as np

from mindpics.caffe_files import snapshots
from mindpics.caffe_files import weights as weight_files
from mindpics.caffe_files.blobs import read_state
from mindpics.caffe_files.log import TestPasses, log_line
from mindpics.jobs.interrupt import interruptible
from mindpics.nets.solvers import learning_rate
from mindpics.training.divergence import DivergedError, StuckHeads, check_end, check_losses
from mindpics.training.progress import status, training_bar
from mindpics.training.resume import restore_position

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


class SolverRun:
    """One solver from its first iteration of this process to its last.

    Attributes
    ----------
    history : History
    diverged : DivergedError or None
        What ended it; it carries the history and the iteration.
    """

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
        self.history, self.diverged = History(), None
        self.fit = None
        self.last_test = []

    def start(self, weights, state, model, resume):
        """Copy weights, or restore a snapshot and the CSV rows up to it; then the run takes its folder.

        Parameters
        ----------
        weights : path or None
            caffemodel to copy by name; None, or a snapshot, leaves the fillers.
        state, model : Path or None
            solverstate and caffemodel of the snapshot to go on from.
        resume : bool
            The folder holds the run that is gone on with.
        """
        if state is not None:
            snapshots.check(state, model, read_state(state).iteration, self.shapes)
            self.solver.restore(str(state))
            self.history.train = self.folder.read_csv(self.folder.files.losses, self.solver.iter)
            self.say(f"resuming at iteration {self.solver.iter} from {state}")
            for lost in restore_position(self.solver, self.message, self.net, snapshots.random_state_of(state)):
                self.say(f"not restored: {lost}")
        elif weights is not None:
            self.fit = str(weight_files.copy(weights, self.solver.net, *self.solver.test_nets))
            self.say(f"{weights}: {self.fit}")
        self.folder.begin(self.message, resume)
        columns = ["iteration", "lr", *self.losses]
        self.folder.write_csv(self.folder.files.losses, self.history.train, columns)
        self.tests = TestPasses(self.folder.log, before=self.solver.iter)
        self.board.begin(self.solver.iter, self.history.train, self.tests.rows)
        log_line(f"Solving {self.folder.path.name}")

    def train(self):
        """Step to the end, a snapshot or a divergence."""
        try:
            self._train()
        except DivergedError as error:
            self.history.iteration = error.iteration = self.solver.iter
            error.history, self.diverged = self.history, error
            self.folder.files.weights.unlink(missing_ok=True)  # of a run that was gone on with

    def _train(self):
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
        self.folder.append_csv(self.folder.files.losses, self.history.train[-1])
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
            passes = [
                {name: float(top) for name, top in net.forward().items()} for _ in range(self.message.test_iter[index])
            ]
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
        self.folder.write_csv(self.folder.files.tests, self.history.test)

    def say(self, text):
        if self.terminal is not None:
            print(text, file=self.terminal)
