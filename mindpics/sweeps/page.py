"""Table, plot and page of a sweep: what each varied setting does to the test."""

import html
from pathlib import Path

from tabulate import tabulate

from mindpics.files.atomic import atomic_write
from mindpics.report.charts import literal, new_figure, save

MEANS = ("last_mean_accuracy", "best_mean_accuracy", "last_mean_loss", "best_mean_loss")
ENDS = ("ended", "iterations", *MEANS, "seconds")


def varied(rows, settings):
    """Return the names of settings, weights and seed that differ between rows."""
    names = [*settings, "weights", "seed"]
    return [name for name in names if len({str(row.get(name)) for row in rows}) > 1]


def format_runs(rows, settings):
    """Return rows as a table in text: what differs, how each ended, the means of its heads."""
    columns = [*varied(rows, settings), *(name for name in ENDS if any(name in row for row in rows))]
    cells = [[row.get(name, "") for name in columns] for row in rows]
    return tabulate(cells, [name.replace("_", " ") for name in columns], floatfmt=".4g")


def draw_runs(rows, settings, out):
    """Draw a panel a varied setting: its values against the mean test accuracy, or loss; OUT.png, .svg, .csv.

    Parameters
    ----------
    rows : list of dict
        See `mindpics.sweeps.sweep.sweep`.
    settings : iterable of str
    out : path
        Without ending.
    """
    names = varied(rows, settings) or ["seed"]
    measured = "best_mean_accuracy" if any("best_mean_accuracy" in row for row in rows) else "best_mean_loss"
    figure, (panels,) = new_figure(3.4 * len(names), 3.4, 1, len(names))
    points = []
    for axes, name in zip(panels, names, strict=True):
        values = [(str(row.get(name)), row[measured]) for row in rows if measured in row and row["ended"] == "done"]
        axes.plot([value for value, _ in values], [y for _, y in values], "o", alpha=0.6)
        axes.set(xlabel=literal(name), ylabel=measured.replace("_", " "))
        points += [(name, value, f"{y:.6g}") for value, y in values]
    save(figure, out, ("setting", "value", measured), points)


def write_page(rows, settings, out):
    """Write OUT/index.html: the plot, and every run as a row.

    Parameters
    ----------
    rows : list of dict
        See `mindpics.sweeps.sweep.sweep`.
    settings : iterable of str
    out : path
        Folder of the sweep.
    """
    out = Path(out)
    draw_runs(rows, settings, out / "settings")
    columns = [*varied(rows, settings), *(name for name in ENDS if any(name in row for row in rows)), "path"]
    cells = [[html.escape(_shown(row.get(name, ""))) for name in columns] for row in rows]
    table = tabulate(cells, columns, tablefmt="unsafehtml", disable_numparse=True)
    with atomic_write(out / "index.html") as stream:
        stream.write(
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Sweep</title><h1>Sweep: {len(rows)} runs</h1>'
            f'<img src="settings.svg" alt="Test result by setting">{table}</html>\n'
        )


def _shown(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def commands_of(rows, stages, count):
    """Return the commands that repeat the best runs, each into a folder of its own.

    Parameters
    ----------
    rows : list of dict
        See `mindpics.sweeps.sweep.sweep`.
    stages : list of mindpics.jobs.stages.Stage
    count : int
    """
    by_folder = {Path(stage.outputs[0]).parent: stage for stage in stages}
    chosen = [(row, by_folder[Path(row["path"])]) for row in rows[:count]]
    return [
        [f"{word}-again" if word == row["path"] else word for word in stage.command if word != "--force"]
        for row, stage in chosen
    ]
