"""History of a training: losses and test passes as a frame, a plot, or read back from its run folder."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mindpics.caffe_files.log_lines import is_total
from mindpics.files.json_files import read_json
from mindpics.files.layout import TrainingFiles
from mindpics.files.printable import printable_name, shortened
from mindpics.training.outputs import blob_of, kinds_of_run


@dataclass
class History:
    """What a run did.

    Attributes
    ----------
    train : list of dict
        One row an iteration: iteration, lr, loss (what is minimised, the mean over iter_size passes) and every output
        of the net, of the last pass; the second value of an output is ``NAME[1]``. Where the net has an output "loss"
        that is another figure (one of several losses, with a loss_weight, or of the last of several passes), "loss" is
        that output, as in `test`, and what is minimised is "total_loss".
    test : list of dict
        One row a test pass: iteration and Caffe's averages over its batches; an output of the second test net is
        ``NAME#1``, as in `mindpics.caffe_files.log_lines.Log`.
    iteration : int
        Where it ended.
    caffemodel : Path or None
        The last snapshot.
    interrupted : bool
        Ended by Ctrl-C or SIGTERM, with a snapshot; ``resume=True`` goes on from there.
    kinds : dict
        Blob -> "accuracy" or "loss", as the layers of its nets measure.
    """

    train: list = field(default_factory=list)
    test: list = field(default_factory=list)
    iteration: int = 0
    caffemodel: Path | None = None
    interrupted: bool = False
    kinds: dict = field(default_factory=dict)

    def frame(self, phase="train"):
        """Return the rows of a phase as a pandas.DataFrame, or as {column: float array} where pandas is not installed.

        Parameters
        ----------
        phase : {"train", "test"}
        """
        columns = columns_of(getattr(self, phase))
        try:
            import pandas
        except ImportError:
            return columns
        return pandas.DataFrame(columns)

    def plot(self):
        """Return a matplotlib Figure: losses of both phases, and what else the tests measure, over iterations."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 3.5), layout="constrained")
        losses, measures = figure.subplots(1, 2)
        for phase, dashes in (("train", "-"), ("test", "--")):
            columns = columns_of(getattr(self, phase))
            iterations = columns.pop("iteration", [])
            columns.pop("lr", None)
            for name, values in columns.items():
                is_loss = is_total(name) or self.kinds.get(blob_of(name)) == "loss"
                axes = losses if is_loss else measures
                axes.plot(iterations, values, dashes, label=f"{phase} {name}")
        for axes, title in ((losses, "loss"), (measures, "test")):
            axes.set(title=title, xlabel="iteration")
            if axes.lines:
                axes.legend(fontsize=7)
        return figure

    def _repr_png_(self):
        """Show the plot where a notebook shows the history."""
        from io import BytesIO

        drawn = BytesIO()
        self.plot().savefig(drawn, format="png")
        return drawn.getvalue()


def columns_of(rows):
    """Return {column: float array [N]} of rows (dicts); nan where a row has none. Iterations are int."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: np.array([row.get(name, np.nan) for row in rows], float) for name in names}
    return columns | ({"iteration": columns["iteration"].astype(int)} if "iteration" in columns else {})


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM ended a training, which took a snapshot: it ends a loop of trainings too.

    Attributes
    ----------
    history : History
    """

    def __init__(self, history):
        super().__init__(f"interrupted at iteration {history.iteration}; resume=True goes on")
        self.history = history


def read_rows(path):
    """Return the rows of a train.csv or test.csv, numbers as numbers; [] without the file.

    A row that a kill cut short is left out.

    Parameters
    ----------
    path : path

    Raises
    ------
    ValueError
        Where a row has something else than numbers; names its line.
    """
    path = Path(path)
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as stream:
        lines = [line for line in stream if line.endswith("\n")]
    rows = []
    for number, row in enumerate(csv.DictReader(lines), 2):
        try:
            values = {name: float(value) for name, value in row.items() if value}
            rows.append(values | {"iteration": int(values["iteration"])})
        except (ValueError, TypeError, KeyError):
            line = shortened(printable_name(",".join(map(str, row.values()))), 80)
            raise ValueError(f"{path}, line {number}: found {line}; wanted an iteration and its numbers") from None
    return rows


def load_run(folder):
    """Return the `History` of a run folder, finished or not.

    Parameters
    ----------
    folder : path
        Of `mindpics.training.train.solve` or tools/train_net.

    Raises
    ------
    ValueError
        When no run has begun there.
    """
    files = TrainingFiles(Path(folder))
    if not files.losses.is_file():
        raise ValueError(f"{folder}: found no {files.losses.name}; wanted a run folder of solve() or train_net")
    train, test = read_rows(files.losses), read_rows(files.tests)
    facts = read_json(files.facts)
    model = facts.get("caffemodel")
    reached = train[-1]["iteration"] + 1 if train else 0
    return History(
        train,
        test,
        facts.get("iterations", reached),
        files.folder / Path(model).relative_to(_root(model)) if model else None,
        facts.get("interrupted", False),
        kinds_of_run(folder),
    )


def _root(model):
    """Return the run folder that a caffemodel was written into: the run may have been moved since."""
    parent = Path(model).parent
    return parent.parent if parent.name == TrainingFiles.snapshots else parent
