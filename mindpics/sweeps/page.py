"""Tables and page of a sweep: what each varied setting does to the test."""

import math
from pathlib import Path

import numpy as np
from tabulate import tabulate

from mindpics.caffe_files.fields import value_of
from mindpics.files.atomic import atomic_write
from mindpics.files.json_files import read_json
from mindpics.files.layout import SweepFiles
from mindpics.files.tables import read_table
from mindpics.report.pages import shown_section, template
from mindpics.results.study import Figure, Section, Table
from mindpics.sweeps.figure import draw_runs, is_measured

MEANS = ("last_mean_accuracy", "best_mean_accuracy", "last_mean_loss", "best_mean_loss")
ENDS = ("ended", "iterations", *MEANS, "seconds")
BEST = (
    "Best and last are of the tests of a run; the best is chosen on the pictures it is measured on, and flatters. "
    "Means are of the first test net: losses by loss_weight, heads of the greatest weight by their top-1 accuracy."
)


def varied(rows, settings):
    """Return the names of settings, weights and seed that differ between rows."""
    names = [*settings, "weights", "seed"]
    return [name for name in names if len({str(row.get(name)) for row in rows}) > 1]


def format_runs(rows, settings):
    """Return rows as a table in text: what differs, how each ended, the means of its heads."""
    columns = _columns(rows, settings)
    cells = [[row.get(name, "") for name in columns] for row in rows]
    return tabulate(cells, [_heading(name, settings) for name in columns], floatfmt=".4g")


def write_page(folder):
    """Draw a sweep's figure and write its page, FOLDER/index.html, from its runs.csv and sweep.json.

    Raises
    ------
    ValueError
        As `section_of`.
    """
    files = SweepFiles(Path(folder))
    settings, rows = read_sweep(folder)
    names = [name for name in varied(rows, settings) if name != "seed"] or ["seed"]
    draw_runs(list(over_seeds(rows, settings).values()), names, measured_by(rows), files.figure)
    with atomic_write(files.page) as stream:
        stream.write(template("sweep.html").render(part=shown_section(section_of(folder))))


def section_of(folder, number=1):
    """Return the `mindpics.results.study.Section` of a sweep that has ended.

    Parameters
    ----------
    folder : path
        Of `mindpics.sweeps.sweep.sweep`, or tools/sweep.
    number : int
        Of the sweep on its page.

    Raises
    ------
    ValueError
        Where no sweep has ended there.
    """
    files = SweepFiles(Path(folder))
    settings, rows = read_sweep(folder)
    lost = sum(row["ended"] != "done" for row in rows)
    facts = read_json(files.facts)
    count = f"{len(rows)} runs" if len(rows) == len(facts["runs"]) else f"{len(rows)} of {len(facts['runs'])} runs"
    caption = "A dot a run, a bar over the seeds of a setting, a cross where it diverged."
    figure = Figure(files.folder, SweepFiles.figure, "Sweep", "Test result by setting", caption)
    seeds = [("Over seeds", seeds_table(rows, settings))] if len({row.get("seed") for row in rows}) > 1 else []
    return Section(
        "sweep" if number == 1 else f"sweep-{number}",
        f"Sweep: {folder}",
        [f"{facts['solver']}: {count}, the best first; {lost or 'none'} diverged or stuck. {BEST}"],
        [*seeds, ("Every run", runs_table(rows, settings))],
        [figure],
        [files.runs],
    )


def read_sweep(folder):
    """Return (names of its settings, rows of its runs.csv, numbers as numbers).

    Raises
    ------
    ValueError
        Where no sweep has ended there.
    """
    files = SweepFiles(Path(folder))
    if not (files.runs.is_file() and files.facts.is_file()):
        raise ValueError(f"{folder}: found no {SweepFiles.runs}; wanted the folder of a sweep that has ended")
    rows = [{name: value_of(text) for name, text in row.items() if text} for _, row in read_table(files.runs, ENDS[:2])]
    return list(dict.fromkeys(name for run in read_json(files.facts)["runs"] for name in run["settings"])), rows


def runs_table(rows, settings):
    """Return every run as a `mindpics.results.study.Table`."""
    columns = [*_columns(rows, settings), "path", *(["why"] if any("why" in row for row in rows) else [])]
    kinds = [_kind([row.get(name, "") for row in rows]) for name in columns]
    cells = [[shown(row.get(name, "")) for name in columns] for row in rows]
    return Table("", [(_heading(name, settings), kind) for name, kind in zip(columns, kinds, strict=True)], cells)


def seeds_table(rows, settings):
    """Return a row a setting: the mean of its seeds' results, and how far they spread."""
    names = [name for name in varied(rows, settings) if name != "seed"]
    measured, lines = measured_by(rows), []
    for seeds in over_seeds(rows, settings).values():
        values = [row[measured] for row in seeds if is_measured(row, measured)]
        line = [*(shown(seeds[0].get(name, "")) for name in names), len(seeds), len(seeds) - len(values)]
        lines.append([*line, *_spread(values)])
    kinds = [(name, _kind([row.get(name, "") for row in rows])) for name in names]
    counted = [(name, "number") for name in ("runs", "diverged", measured.replace("_", " "), "sd", "least to most")]
    return Table("sd: standard deviation from seed to seed.", [*kinds, *counted], lines)


def _spread(values):
    """Return mean, standard deviation and span of results as texts; a diverged setting has none."""
    if not values:
        return ["", "", ""]
    deviation = shown(float(np.std(values, ddof=1))) if len(values) > 1 else ""
    return [shown(math.fsum(values) / len(values)), deviation, f"{min(values):.4g} to {max(values):.4g}"]


def over_seeds(rows, settings):
    """Return {values of a setting: its rows}, in the order of their best."""
    groups = {}
    for row in rows:
        groups.setdefault(tuple(str(row.get(name)) for name in (*settings, "weights")), []).append(row)
    return groups


def measured_by(rows):
    """Return the column that runs are compared by."""
    return next((name for name in MEANS[1::2] if any(name in row for row in rows)), MEANS[1])


def _columns(rows, settings):
    return [*varied(rows, settings), *(name for name in ENDS if any(name in row for row in rows))]


def _kind(values):
    return "number" if all(isinstance(value, int | float) for value in values if value != "") else "text"


def shown(value):
    """Return a value of a table: of a float four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _heading(name, settings):
    """Return a column's heading in words; a setting keeps its name, as it is typed."""
    return name if name in settings else name.replace("_", " ")
