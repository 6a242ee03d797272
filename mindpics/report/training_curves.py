"""Training curves, from any Caffe log or from a run folder's CSVs."""

import os
from collections import defaultdict
from pathlib import Path

import numpy as np

from mindpics.caffe_files.log_lines import Log, is_total
from mindpics.files.layout import TrainingFiles
from mindpics.report.charts import literal, new_figure, save, style_of
from mindpics.training.history import read_rows
from mindpics.traits import TRAITS

BINS = 60  # points a training curve is averaged to: a paper-size run has 189,000 iterations
COLUMNS = ("phase", "output", "iteration", "value")
PANELS = ("train loss", "test loss", "train accuracy", "test accuracy", "learning rate")


def read_log(path):
    """Read any Caffe training log, of `caffe train` or of ours, resumed runs included.

    Parameters
    ----------
    path : path

    Returns
    -------
    rows : list of tuple
        (phase, output, iteration, value), phase "train" or "test", sorted; outputs are named as in
        `mindpics.caffe_files.log_lines.Log`.
    losses : set
        Outputs that are minimised, as Caffe prints them; none where a copy of the log lacks that.
    unread : int
        Lines that were cut or garbled, each of which costs itself alone.

    Raises
    ------
    ValueError
        When no line is a Caffe training line.
    """
    log = Log()
    with open(path, encoding="utf-8", errors="replace") as stream:
        for line in stream:
            log.read(line)
    rows = [(phase, *key, value) for phase in ("train", "test") for key, value in getattr(log, phase).items()]
    if not rows:
        raise ValueError(f"{path}: found no line of a Caffe training log; wanted some like 'Iteration 0, loss = 0.69'")
    return sorted(rows), log.losses, log.unread


def read_run(folder):
    """Return the rows of train.csv and test.csv of a run folder, as `read_log` has them."""
    rows = []
    files = TrainingFiles(Path(folder))
    for phase, path in (("train", files.losses), ("test", files.tests)):
        for row in read_rows(path):
            rows += [(phase, name, row["iteration"], value) for name, value in row.items() if name != "iteration"]
    return sorted(rows)


def average(points, bins=BINS):
    """Return (iterations, values) of a series averaged in at most `bins` runs of neighbours."""
    series = np.array(points, dtype=float)
    parts = np.array_split(series, min(bins, len(series)))
    return np.array([part.mean(axis=0) for part in parts]).T


def draw_training(rows, out, title="", losses=()):
    """Draw losses (training and test), other test outputs such as accuracy, and the learning rate.

    Parameters
    ----------
    rows : list of (phase, output, iteration, value)
        See `read_log`.
    out : path
        Without ending.
    title : str
    losses : collection of str
        Outputs that are minimised; of none, those that are called losses.

    Raises
    ------
    ValueError
        When there is nothing to draw.
    """
    if not rows:
        raise ValueError(f"{out}: found no training to draw; wanted rows of one")
    series = defaultdict(list)
    for phase, name, iteration, value in rows:
        series[phase, name].append((iteration, value))
    names = {key: average(sorted(points)) for key, points in series.items()}
    panels = defaultdict(list)
    for phase, name in sorted(names, key=lambda key: _place(key[1])):
        is_loss = is_total(name) or (name in losses if losses else "loss" in name)
        label = "learning rate" if name == "lr" else f"{phase} {'loss' if is_loss else 'accuracy'}"
        panels[label].append((phase, name))
    figure, (axes_of,) = new_figure(4.2 * len(panels), 3.8, 1, len(panels))
    for axes, label in zip(axes_of, sorted(panels, key=PANELS.index), strict=True):
        _panel(axes, label, panels[label], names)
    figure.suptitle(literal(title))
    points = [(*key, f"{x:g}", f"{y:.6g}") for key, (xs, ys) in names.items() for x, y in zip(xs, ys, strict=True)]
    save(figure, out, COLUMNS, points)


def require_own(out):
    """Raise ValueError where OUT.csv, .png or .svg is there and `draw_training` did not write it, as OUT.csv shows."""
    table, header = Path(f"{out}.csv"), ",".join(COLUMNS)
    if table.is_file():
        with open(table, encoding="utf-8", errors="replace") as stream:
            if stream.readline(len(header) + 1).strip() == header:
                return
    for path in (table, f"{out}.png", f"{out}.svg"):
        if os.path.lexists(path):
            raise ValueError(f"{path}: found another's file; wanted curves drawn before, or another name (--out)")


def _panel(axes, label, keys, names):
    for index, key in enumerate(keys):
        style = style_of(key[1], index)
        axes.plot(
            *names[key],
            color=style.colour,
            linestyle=style.dashes,
            linewidth=1.3,
            marker=style.marker,
            markersize=4,
            markevery=0.1,
            label=literal(key[1]),
        )
    axes.set(xlabel="iteration", title=label)
    if label == "learning rate":
        axes.set_yscale("log")
        axes.lines[0].set(drawstyle="steps-post", marker="None")
    else:
        axes.legend(fontsize=8)


def _place(name):
    """Trait heads in the paper's order, whatever order Caffe prints its outputs in."""
    stem, _, trait = name.rpartition("_")
    return (stem, TRAITS.index(trait)) if trait in TRAITS else (name, 0)
