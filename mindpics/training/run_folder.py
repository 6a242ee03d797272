"""A training run's folder: the exact net and solver, Caffe's log, CSVs, snapshots, run.json."""

import csv
import json
import platform
import secrets
import sys
from importlib import metadata
from pathlib import Path

from caffe.proto import caffe_pb2

from mindpics.caffe_files.messages import read_message, write_message
from mindpics.caffe_files.snapshots import Snapshots
from mindpics.files import lock as folder_lock
from mindpics.files.atomic import atomic_write
from mindpics.files.bounded import digest


class RunFolder:
    """Paths and files of one run under `path`; every file is written whole or not at all."""

    def __init__(self, path):
        self.path = Path(path)
        self.log = self.path / "caffe.log"
        self.net = self.path / "net.prototxt"
        self.solver = self.path / "solver.prototxt"
        self.snapshots = Snapshots(self.path / "snapshots")

    def prepare(self, net, solver):
        """Write the net and the solver that will run; return the solver as it was written.

        A run without a seed is given one, so that going on with it is going on with the same.
        """
        own = caffe_pb2.SolverParameter()
        own.CopyFrom(solver)
        own.net = str(self.net)
        own.snapshot_prefix = self.snapshots.prepare()
        if own.random_seed < 0:
            own.random_seed = self._seed()
        write_message(net, self.net)
        write_message(own, self.solver)
        return own

    def clear(self, overwrite):
        """Make room for a fresh run: one folder, one run, one log.

        Raises
        ------
        ValueError
            When there is a run already and `overwrite` is not given.
        """
        if any(self.snapshots.folder.glob("*.solverstate")) and not overwrite:
            raise ValueError(f"{self.path}: holds a run; resume it, choose another folder, or overwrite it (--force)")
        folder_lock.clear(self.path)

    def _seed(self):
        """Return the seed of the run that is gone on with, or a new one."""
        if self.solver.is_file():
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
        with atomic_write(self.path / "run.json") as stream:
            json.dump(facts | environment(), stream, indent=1)
            stream.write("\n")


def write_job(job, command):
    """Write the main job's run.json: what was asked, on what data, with which versions."""
    facts = {
        "command": command,
        "scale": job.setting.name,
        "setting": {key: str(value) for key, value in vars(job.setting).items()},
        "data": job.posts or "stand-in: emoji artwork, selected by the 110 words",
        "weights": job.weights or "stand-in: pretrained on Open Clip Art categories",
        "gpu": job.gpu,
        "seed": job.seed,
        "split": job.split,
        "selection": _sha256_or_none(Path(job.mindpics) / "mindpics.csv"),
        "table3": _sha256_or_none(Path(job.mindpics) / "table3.csv"),
    }
    with atomic_write(Path(job.root) / "run.json") as stream:
        json.dump(facts | environment(), stream, indent=1)
        stream.write("\n")


def _sha256_or_none(path):
    return sha256(path) if path.is_file() else None


def environment():
    """Return versions of what a result depends on."""
    names = ("numpy", "lmdb", "opencv-python", "scikit-learn", "protobuf", "caffe")
    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed by pip"
    return {"python": sys.version.split()[0], "machine": platform.platform(), "versions": versions}


def sha256(path):
    """Return the SHA-256 of a file, read in pieces."""
    return digest(path, "sha256")
