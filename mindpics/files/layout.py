"""Layout of a run's folders: the name of each file that one stage writes and another reads, spelt here alone.

A name is had from the class (`TrainingFiles.net` is "net.prototxt"), a path from a folder's:
``TrainingFiles(folder).net``, a str of a str and a Path of a Path.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class File:
    """Descriptor: a file's name on the class, its path on an instance, which has a `folder`."""

    name: str

    def __get__(self, files, kind):
        return self.name if files is None else files.path(self.name)


@dataclass(frozen=True)
class Files:
    folder: str | Path

    def path(self, name):
        """Return the path of a name in the folder, of the folder's own type."""
        return type(self.folder)(f"{self.folder}/{name}")


_SOLVER = File("solver.prototxt")
_FACTS = File("run.json")
_SCORES = File("scores.npz")


class TrainingFiles(Files):
    """One solver run: what train_net writes, and what other tools put beside it."""

    net = File("net.prototxt")
    test_nets = File("test_net_*.prototxt")
    solver = _SOLVER
    start = File("start.json")
    log = File("caffe.log")
    losses = File("train.csv")
    tests = File("test.csv")
    facts = _FACTS
    weights = File("final.caffemodel")
    weights_hdf5 = File("final.caffemodel.h5")
    snapshots = File("snapshots")
    scores = _SCORES
    figures = File("figures.json")

    def test_net(self, number):
        """Return the path of a test net of its own, one of `test_nets`."""
        return self.path(TrainingFiles.test_nets.replace("*", str(number)))


class NetFiles(Files):
    """One net as Caffe's models/ have it, and the run that trains it there."""

    train_val = File("train_val.prototxt")
    deploy = File("deploy.prototxt")
    solver = _SOLVER
    run = File("run")


class NetsFiles(Files):
    """The nets that make_nets writes."""

    prototxts = File("prototxt")
    solvers = File("solvers")

    def net(self, name):
        """Return the `NetFiles` of a net."""
        return NetFiles(self.path(f"{NetsFiles.prototxts}/{name}"))

    def solver(self, name):
        """Return the path of a net's solver."""
        return self.path(f"{NetsFiles.solvers}/{name}.prototxt")


class DataFiles(Files):
    """What nets learn from: LMDBs of each split, of all pictures or of a trait's, and the mean."""

    mean = File("mean.binaryproto")

    def lmdb(self, split, suffix=""):
        """Return the path of an LMDB: `suffix` is "" or "_O", "_C" ..."""
        return self.path(f"{split}{suffix}_lmdb")


class RowFiles(Files):
    """One row of Table 3: a training a net, one or five, and their scores."""

    scores = _SCORES
    activations = File("activations.npz")

    def training(self, name):
        """Return the `TrainingFiles` of a net of the row."""
        return TrainingFiles(self.path(name))


class CorpusFiles(Files):
    """An open corpus as fetch_open_pictures draws it: what was asked, which no crawl of a user's has, comes first."""

    request = File("request.json")
    summary = File("summary.json")
    rejected = File("rejected.jsonl")


class MindpicsFiles(DataFiles):
    """MindPics' part of a job: the selection, its data, its nets, a folder each row of Table 3, the table."""

    selection = File("mindpics.csv")
    summary = File("summary.json")
    rejected = File("rejected.jsonl")
    table3 = File("table3.csv")

    @property
    def nets(self):
        return NetsFiles(self.path("nets"))

    def row(self, name):
        """Return the `RowFiles` of NET_HEADS_INIT."""
        return RowFiles(self.path(name))


class ReportFiles(Files):
    """The report of one job or several."""

    page = File("index.html")
    figures = File("figures")
    paired = File("paired.csv")
    sampling_error = File("sampling_error.csv")
    seeds = File("seeds.csv")
    paired_over_seeds = File("paired_over_seeds.csv")


class SweepFiles(Files):
    """A sweep: what was asked, a row a run, what is drawn of them; the runs' folders lie in it."""

    facts = File("sweep.json")
    runs = File("runs.csv")
    page = File("index.html")
    figure = File("settings")  # .svg, .png, .csv


class JobFiles(Files):
    """The folder of a main job, such as runs/mini."""

    facts = _FACTS
    seeds = File("seeds.csv")

    @property
    def mindpics(self):
        return MindpicsFiles(self.path("mindpics"))

    @property
    def pretraining(self):
        return DataFiles(self.path("pretrain"))

    @property
    def report(self):
        return ReportFiles(self.path("report"))

    def pretrained(self, net):
        """Return the `NetFiles` of a net that is trained to stand in for published weights."""
        return NetFiles(self.pretraining.path(net))
