"""Run folder of a training: the exact net and solver, Caffe's log, CSVs, snapshots, run.json."""

import csv
import secrets
from pathlib import Path

from caffe.proto import caffe_pb2

from mindpics.caffe_files import snapshots
from mindpics.caffe_files.messages import read_message, write_message
from mindpics.caffe_files.snapshots import Snapshots
from mindpics.files import own_folder
from mindpics.files.atomic import atomic_write
from mindpics.files.environment import environment
from mindpics.files.json_files import read_json, write_json
from mindpics.files.layout import TrainingFiles
from mindpics.files.own_folder import Kind
from mindpics.training.history import read_rows
from mindpics.training.solver_files import write_solver

BEGUN = Kind(
    "a run whose nets are not built yet",
    (TrainingFiles.net, TrainingFiles.test_nets, TrainingFiles.solver, TrainingFiles.log),
)
RUN = Kind(
    "a run of train_net",
    (
        *BEGUN.files,
        TrainingFiles.start,
        TrainingFiles.losses,
        TrainingFiles.tests,
        TrainingFiles.facts,
        TrainingFiles.weights,
        TrainingFiles.weights_hdf5,
        "events.out.tfevents.*",
        TrainingFiles.scores,
        TrainingFiles.figures,
        *(str(Path(TrainingFiles.log).with_suffix(ending)) for ending in (".csv", ".png", ".svg")),  # its curves
        *(f"{TrainingFiles.snapshots}/{name}" for name in snapshots.NAMES),
        *BEGUN.under(".begun"),
    ),
    proof=(f"{TrainingFiles.snapshots}/aside", f"{TrainingFiles.snapshots}/net_iter_*.random", ".begun/*"),
)


class RunFolder:
    """Paths and files of one run under `path`; every file is written whole or not at all."""

    def __init__(self, path):
        self.path = Path(path)
        self.begun = self.path / ".begun"
        self.files = TrainingFiles(self.path)
        self.log, self.net, self.solver = self.files.log, self.files.net, self.files.solver
        self.snapshots = Snapshots(self.files.snapshots)

    def check(self, resume, overwrite):
        """Raise ValueError where a run may not begin: in a folder of the user's, or over a run without `overwrite`."""
        own_folder.require(self.path, RUN, adds=resume)
        if any(self.snapshots.folder.glob("*.solverstate")) and not (resume or overwrite):
            raise ValueError(
                f"{self.path}: found a run; wanted resume=True to go on, overwrite=True to overwrite it, "
                "or another folder"
            )

    def prepare(self, nets, solver, resume):
        """Write the nets and the solver that will run, aside, for Caffe to build; return the solver as it will stay.

        A run without a seed is given one, so that going on with it is going on with the same.
        A run that is there stays as it is until `begin`.

        Parameters
        ----------
        nets : list of NetParameter
            The one that is trained, then test nets.
        solver : SolverParameter
            Stays as it is; a copy is returned.
        resume : bool
            A run that is there will be gone on with.
        """
        message = caffe_pb2.SolverParameter()
        message.CopyFrom(solver)
        message.snapshot_prefix = self.snapshots.prepare()
        message.snapshot_format = message.BINARYPROTO  # which is read back and checked
        if message.random_seed < 0:
            message.random_seed = self._seed(resume)
        own_folder.clear(self.begun, BEGUN)
        message = write_solver(message, nets, self.begun)
        setattr(message, "net" if message.net else "train_net", str(self.net))
        message.test_net[:] = [str(self.path / Path(path).name) for path in message.test_net]
        return message

    def begin(self, solver, start, resume):
        """Let the run that `prepare` wrote take its place, now that its nets are built: only here an old run goes.

        Parameters
        ----------
        solver : SolverParameter
            What was built.
        start : dict
            What it starts from, which `start` returns to a run that goes on.
        resume : bool
            The run that is there goes on, and keeps what it has.
        """
        if not resume:
            own_folder.clear(self.path, RUN, keep=(self.begun.name,))
            self.snapshots.prepare()
            self.log_until_begun(resume).replace(self.log)
        write_json(self.files.start, start)
        for path in self.begun.glob("*net*.prototxt"):
            path.replace(self.path / path.name)
        write_message(solver, self.solver)
        self.give_up()

    def start(self):
        """Return what the run that is there started from, as `begin` wrote it; {} where no run is."""
        return read_json(self.files.start)

    def log_until_begun(self, resume):
        """Return where the log begins: a run that is gone on with has one."""
        return self.log if resume else self.begun / self.log.name

    def give_up(self):
        """Remove what `prepare` has left of a run that did not begin."""
        own_folder.remove(self.begun, BEGUN)

    def _seed(self, resume):
        """Return the seed of the run that is gone on with, or a new one."""
        if resume and self.solver.is_file():
            before = read_message(self.solver, caffe_pb2.SolverParameter()).random_seed
            if before >= 0:
                return before
        return secrets.randbelow(2**31)

    def finish(self, caffemodel):
        """Give the last snapshot the name that later stages wait for; return it."""
        with atomic_write(self.files.weights, "wb") as stream:
            stream.write(caffemodel.read_bytes())
        return self.files.weights

    def finish_hdf5(self, net):
        """Write a caffe.Net's weights in the form that snapshot_format HDF5 asks for, beside final.caffemodel."""
        aside = self.snapshots.aside / "net.caffemodel.h5"
        net.save_hdf5(str(aside))
        aside.replace(self.files.weights_hdf5)

    def write_csv(self, path, rows, columns=None):
        """Write dicts as a table of `files`; columns are the union of keys in order of appearance, unless given.

        Parameters
        ----------
        path : Path
        rows : list of dict
        columns : sequence of str, optional
            By default the union of the rows' keys.
        """
        columns = columns or list(dict.fromkeys(key for row in rows for key in row))
        with atomic_write(path) as stream:
            writer = csv.DictWriter(stream, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    def read_csv(self, path, before):
        """Return the rows of a table of `files` before an iteration, see `mindpics.training.history.read_rows`."""
        return [row for row in read_rows(path) if row["iteration"] < before]

    def append_csv(self, path, row, columns):
        """Add one row to a table of `files`.

        Parameters
        ----------
        path : Path
        row : dict
        columns : sequence of str
            Of the table; what the row has not stays empty.
        """
        with open(path, "a", encoding="utf-8", newline="") as stream:
            csv.DictWriter(stream, columns, lineterminator="\n").writerow(row)

    def write_run(self, **facts):
        """Write run.json: `facts` and what ran them."""
        write_json(self.files.facts, facts | environment())
