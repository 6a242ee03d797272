"""Run folder of a training: the exact net and solver, Caffe's log, CSVs, snapshots, run.json."""

import csv
import secrets
from pathlib import Path

from caffe.proto import caffe_pb2

from mindpics.caffe_files import snapshots
from mindpics.caffe_files.messages import read_message, write_message
from mindpics.caffe_files.snapshots import Snapshots
from mindpics.caffe_files.solver_files import write_solver
from mindpics.files import own_folder
from mindpics.files.atomic import atomic_write
from mindpics.files.environment import environment
from mindpics.files.json_files import write_json
from mindpics.files.own_folder import Kind

BEGUN = Kind(
    "a run whose nets are not built yet", ("net.prototxt", "test_net_*.prototxt", "solver.prototxt", "caffe.log")
)
RUN = Kind(
    "a run of train_net",
    (
        *BEGUN.files,
        "train.csv",
        "test.csv",
        "run.json",
        "final.caffemodel",
        "final.caffemodel.h5",
        "events.out.tfevents.*",
        "scores.npz",
        "figures.json",
        "caffe.csv",
        "caffe.png",
        "caffe.svg",  # which other tools add to a run
        *(f"snapshots/{name}" for name in snapshots.NAMES),
        *BEGUN.under(".begun"),
    ),
    proof=("snapshots/aside", "snapshots/net_iter_*.random", ".begun/*"),
)


class RunFolder:
    """Paths and files of one run under `path`; every file is written whole or not at all."""

    def __init__(self, path):
        self.path = Path(path)
        self.begun = self.path / ".begun"
        self.log = self.path / "caffe.log"
        self.net = self.path / "net.prototxt"
        self.solver = self.path / "solver.prototxt"
        self.snapshots = Snapshots(self.path / "snapshots")

    def check(self, resume, overwrite):
        """Raise ValueError where a run may not begin: in a folder of the user's, or over a run without `overwrite`."""
        own_folder.require(self.path, RUN, adds=resume)
        if any(self.snapshots.folder.glob("*.solverstate")) and not (resume or overwrite):
            raise ValueError(f"{self.path}: holds a run; resume it, choose another folder, or overwrite it (--force)")

    def prepare(self, nets, solver, resume):
        """Write the nets and the solver that will run, aside, for Caffe to build; return the solver as it will stay.

        A run without a seed is given one, so that going on with it is going on with the same.
        A run that is there stays as it is until `begin`.
        """
        own = caffe_pb2.SolverParameter()
        own.CopyFrom(solver)
        own.snapshot_prefix = self.snapshots.prepare()
        own.snapshot_format = own.BINARYPROTO  # which is read back and checked
        if own.random_seed < 0:
            own.random_seed = self._seed(resume)
        own_folder.clear(self.begun, BEGUN)
        own = write_solver(own, nets, self.begun)
        setattr(own, "net" if own.net else "train_net", str(self.net))
        own.test_net[:] = [str(self.path / Path(path).name) for path in own.test_net]
        return own

    def begin(self, solver, resume):
        """Let the run that `prepare` wrote take its place, now that its nets are built: only here an old run goes."""
        if not resume:
            own_folder.clear(self.path, RUN, keep=(self.begun.name,))
            self.snapshots.prepare()
            self.log_until_begun(resume).replace(self.log)
        for path in self.begun.glob("*net*.prototxt"):
            path.replace(self.path / path.name)
        write_message(solver, self.solver)
        self.give_up()

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
        final = self.path / "final.caffemodel"
        with atomic_write(final, "wb") as stream:
            stream.write(caffemodel.read_bytes())
        return final

    def finish_hdf5(self, net):
        """Write a caffe.Net's weights in the form that snapshot_format HDF5 asks for, beside final.caffemodel."""
        final = self.path / "final.caffemodel.h5"
        aside = self.snapshots.aside / "net.caffemodel.h5"
        net.save_hdf5(str(aside))
        aside.replace(final)

    def write_csv(self, name, rows, columns=None):
        """Write dicts as NAME.csv; columns are the union of keys in order of appearance, unless given."""
        columns = columns or list(dict.fromkeys(key for row in rows for key in row))
        with atomic_write(self.path / f"{name}.csv") as stream:
            writer = csv.DictWriter(stream, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    def read_csv(self, name, before):
        """Return NAME.csv's rows with ``iteration < before``, numbers as numbers; [] without the file.

        A row that a kill cut short is left out.
        """
        path = self.path / f"{name}.csv"
        if not path.is_file():
            return []
        with open(path, encoding="utf-8", newline="") as stream:
            lines = [line for line in stream if line.endswith("\n")]
        rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(lines)]
        for row in rows:
            row["iteration"] = int(row["iteration"])
        return [row for row in rows if row["iteration"] < before]

    def append_csv(self, name, row):
        """Add one row to NAME.csv, whose columns it has."""
        with open(self.path / f"{name}.csv", "a", encoding="utf-8", newline="") as stream:
            csv.DictWriter(stream, list(row), lineterminator="\n").writerow(row)

    def write_run(self, **facts):
        """Write run.json: `facts` and what ran them."""
        write_json(self.path / "run.json", facts | environment())
