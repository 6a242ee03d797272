"""Steps of a solver: losses and tests read, divergence watched, snapshots taken over."""

import math
import shutil
import time

import caffe
from caffe.proto import caffe_pb2

from mindpics.caffe_files import snapshots
from mindpics.caffe_files import weights as weight_files
from mindpics.caffe_files.blobs import read_state
from mindpics.caffe_files.solver_nets import trained_layers
from mindpics.files.fingerprints import sha256
from mindpics.files.printable import printable_names
from mindpics.jobs.interrupt import interruptible
from mindpics.lint.heads import trait_heads
from mindpics.training.caffe_log import TestPasses, log_line
from mindpics.training.divergence import (
    ClippedLosses,
    DivergedError,
    StuckHeads,
    check_losses,
    check_weights,
    clipped_losses,
)
from mindpics.training.history import History
from mindpics.training.outputs import LossOfPasses, Outputs, averages, kinds_of
from mindpics.training.progress import status, training_bar
from mindpics.training.rates import Rates, steps_before
from mindpics.training.resume import histories, restore_position

ROOM = 3  # a snapshot in units of the net: weights, history (two of Adam)


class SolverRun:
    """One solver from its first iteration of this process to its last.

    Attributes
    ----------
    history : History
    diverged : DivergedError or None
        What ended it; it carries the history and the iteration.
    """

    def __init__(self, folder, message, nets, board, terminal, patience):
        self.began, self.seconds_before = time.monotonic(), 0
        self.folder = folder
        self.message = message
        self.nets = nets
        self.board = board
        self.terminal = terminal
        self.solver = caffe.get_solver(str(folder.begun / folder.solver.name))
        self.solver.net.release_diffs(True)  # nobody looks at them between two steps
        if patience is None:
            patience = max(1000, message.max_iter // 4)
        blobs = self.solver.net.blobs
        trained = caffe_pb2.NetParameter(layer=trained_layers(nets[0], message))
        heads = {head: pair for head, pair in trait_heads(trained).items() if blobs.keys() >= set(pair)}
        self.stuck = StuckHeads(patience, heads) if patience and heads else None
        self.outputs = Outputs(self.solver.net)
        self.loss = LossOfPasses(self.outputs, message.iter_size)
        shapes = {name: tuple(blob.shape) for name, blob in blobs.items()}  # no data: what Python has seen is kept
        self.clipped = ClippedLosses(patience, clipped_losses(trained, shapes))
        self.shapes = weight_files.shapes_of(self.solver.net)
        self.histories = histories(message, trained, self.shapes)
        self.rates = Rates(message)
        self.history, self.diverged = History(kinds=kinds_of(nets)), None
        self.start = self.total = None
        self.last_test = []

    def begin(self, start, state, model, resume):
        """Copy weights, or restore a snapshot and the CSV rows up to it; then the run takes its folder.

        Parameters
        ----------
        start : dict
            What the run starts from: caffemodels to copy by name, one after the other, as
            `mindpics.training.solver_files.start_weights` has them, and how they fit, where a snapshot has them in.
        state, model : Path or None
            solverstate and caffemodel of the snapshot to go on from.
        resume : bool
            The folder holds the run that is gone on with.
        """
        if state is not None:
            self._restore(state, model)
        elif start["weights"]:
            nets, fits = (self.solver.net, *self.solver.test_nets), []
            for told in start["weights"]:
                if resume and sha256(told["path"]) != told["sha256"]:
                    text = f"found another file than the run began with (SHA-256 {told['sha256'][:8]}…)"
                    raise ValueError(f"{told['path']}: {text}; wanted that, or overwrite=True to start afresh")
                fits.append(str(weight_files.copy(told["path"], *nets)))
                self.say(f"{told['path']}: {fits[-1]}")
            start = start | {"weights_fit": "; ".join(fits)}
        self.start = start
        if self.outputs.left_out:
            self.say(f"not in train.csv, for their many values: {printable_names(self.outputs.left_out)}")
        self.check_room()
        self.warn_of_room(self.snapshots_left())
        self.folder.begin(self.message, start, resume)
        before = dict.fromkeys(name for row in self.history.train for name in row)  # the net may have had other outputs
        self.total = self.outputs.total_name(self.message.iter_size, before)
        for row in self.history.train:
            if self.total not in row and "loss" in row:  # of a net in which it was "loss"
                row[self.total] = row.pop("loss")
        self.columns = list(dict.fromkeys(("iteration", "lr", self.total, *self.outputs.names, *before)))
        self.folder.write_csv(self.folder.files.losses, self.history.train, columns=self.columns)
        self.tests = TestPasses(self.folder.log, before=self.solver.iter)
        self.board.begin(self.solver.iter, self.history.train, self.tests.rows)
        log_line(f"Solving {self.folder.path.name}")

    def _restore(self, state, model):
        stored = read_state(state)
        snapshots.check(state, model, stored.iteration, self.shapes, self.histories)
        self.solver.restore(str(state))
        iteration = self.solver.iter
        self.seconds_before = self.folder.snapshots.seconds_until(iteration)
        self.rates = Rates(self.message, iteration, stored.step)
        self.history.train = self.folder.read_csv(self.folder.files.losses, iteration)
        self.say(f"resuming at iteration {iteration} from {state}")
        lost = restore_position(self.solver, self.message, self.nets, snapshots.random_state_of(state))
        for text in lost:
            self.say(f"not restored: {text}")
        due = steps_before(self.message, iteration)
        if self.message.lr_policy == "multistep" and due != stored.step:
            self.say(
                f"stepvalue {list(self.message.stepvalue)} asks for {due} steps of the rate before iteration "
                f"{iteration}, but the snapshot has taken {stored.step}, and Caffe goes on from these"
            )

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
                    losses = self.outputs.losses or [self.total]
                    bar.set_postfix_str(status(losses, recent, self.tests.rows), refresh=False)
            self.history.interrupted = bool(interrupted)
        self.history.iteration = self.solver.iter
        self.history.caffemodel = self.snapshot()
        if not self.history.interrupted:
            self.last_test = self.test()
            self.history.caffemodel = self.folder.finish(self.history.caffemodel)

    def step(self):
        iteration = self.solver.iter
        due = self.message.snapshot and (iteration + 1) % self.message.snapshot == 0
        if due:
            self.check_room()
        self.solver.step(1)
        loss, values = self.loss.take(), self.outputs.values()
        losses = {name: values[name] for name in self.outputs.losses}
        check_losses(iteration, losses | {self.total: loss})
        self.clipped.update(iteration, losses)
        if self.stuck:
            self.stuck.update(iteration, self.solver.net.blobs)
        row = {"iteration": iteration, "lr": self.rates.next()} | values | {self.total: loss}
        self.history.train.append({name: row[name] for name in self.columns if name in row})
        self.folder.append_csv(self.folder.files.losses, self.history.train[-1], self.columns)
        self.board.add("train", self.history.train[-1])
        if due:
            self.accept()

    def snapshot(self):
        """Take a snapshot now; return its caffemodel."""
        self.check_room()
        self.solver.snapshot()
        return self.accept()

    def snapshots_left(self):
        """Return how many snapshots this process will take, the last one among them."""
        total = self.message.max_iter // self.message.snapshot if self.message.snapshot else 0
        return max(1, total - (self.solver.iter // self.message.snapshot if total else 0))

    @property
    def snapshot_size(self):
        """Bytes that a snapshot takes, at most."""
        values = sum(math.prod(shape) for shapes in self.shapes.values() for shape in shapes)
        return ROOM * values * 4 + (1 << 16)

    @property
    def seconds(self):
        """Of this process, and of those before it until the snapshot that it went on from; None where nobody knows."""
        return None if self.seconds_before is None else round(self.seconds_before + time.monotonic() - self.began, 1)

    def check_room(self):
        self.folder.snapshots.check_room(self.snapshot_size)

    def warn_of_room(self, count):
        """Say so where the disk has no room for all snapshots to come; others may free some meanwhile."""
        size, free = count * self.snapshot_size, shutil.disk_usage(self.folder.path).free
        if size > free:
            self.say(f"{self.folder.path}: {count} snapshots to come take {size} bytes at most, {free} are free")

    def accept(self):
        """Take over what Caffe has just written aside; DivergedError where that is not finite."""
        random_state = caffe.get_random_state() if hasattr(caffe, "get_random_state") else None
        self.keep_seconds()
        try:
            return self.folder.snapshots.accept(self.solver.iter, self.shapes, random_state, self.histories)
        except snapshots.NotFiniteError:
            check_weights(self.solver.iter, self.solver.net)
            text = "the history of the solver has values that are not finite; lower base_lr"
            raise DivergedError(f"iteration {self.solver.iter}: {text}") from None

    def keep_seconds(self):
        """Note the seconds until now, from which a process that goes on from here counts on."""
        self.folder.snapshots.keep_seconds(self.solver.iter, self.seconds)

    def test(self):
        """Test once more at the end, always (``caffe train``: where a test is due there); return the rows, one."""
        row = {}
        for number, net in enumerate(self.solver.test_nets):
            net.share_with(self.solver.net)
            means = averages(net, self.message.test_iter[number])
            losses = {name: means[name] for name in Outputs(net).losses if name in means}
            check_losses(self.solver.iter, {f"{name} of the last test": loss for name, loss in losses.items()})
            row |= {name + (f"#{number}" if number else ""): value for name, value in means.items()}
        return [{"iteration": self.solver.iter} | row] if row else []

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
        self.keep_seconds()

    def say(self, text):
        if self.terminal is not None:
            print(text, file=self.terminal)
