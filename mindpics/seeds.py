"""Each row of both papers' tables over several runs: mean, standard deviation, least and most."""

import csv
from dataclasses import dataclass

import numpy as np

from mindpics.atomic import atomic_write
from mindpics.run_files import RunFiles

TABLES = {"Table 3": "MindPics, mean over traits", "Table 2": "Pinterest"}


@dataclass(frozen=True)
class Row:
    """One row of a table in several runs; accuracies in percent, None in a run that has no such row.

    Attributes
    ----------
    table : {"Table 3", "Table 2"}
    name : str
    published : float or None
    values : tuple
    """

    table: str
    name: str
    published: float | None
    values: tuple

    @property
    def measured(self):
        return [value for value in self.values if value is not None]

    @property
    def mean(self):
        return float(np.mean(self.measured))

    @property
    def sd(self):
        """Standard deviation from run to run; None with fewer than two."""
        return float(np.std(self.measured, ddof=1)) if len(self.measured) > 1 else None


def rows_of(runs):
    """Return every `Row` that some of the runs have, in the order of the tables.

    Parameters
    ----------
    runs : list of mindpics.run_files.RunFiles
    """
    return [*_rows("Table 3", [_table3(run) for run in runs]), *_rows("Table 2", [_table2(run) for run in runs])]


def labels(runs):
    """Return a short name for each run: its folder's, or the whole path where that would be ambiguous."""
    names = [run.root.name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.root) for run in runs]


def write_seeds(path, roots):
    """Write seeds.csv of several runs' folders; return its rows."""
    runs = [RunFiles(root) for root in roots]
    rows = rows_of(runs)
    with atomic_write(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["table", "row", "published", "runs", "mean", "sd", "min", "max", *labels(runs)])
        for row in rows:
            figures = [row.mean, row.sd, min(row.measured), max(row.measured), *row.values]
            writer.writerow([row.table, row.name, _text(row.published), len(row.measured), *map(_text, figures)])
    return rows


def format_seeds(rows, seeds):
    """Return the rows as text: published, mean, standard deviation, range over the seeds."""
    lines = []
    for table, name in TABLES.items():
        of = [row for row in rows if row.table == table]
        if not of:
            continue
        lines += [f"{table} ({name}), seeds {', '.join(map(str, seeds))}: accuracy in %",
                  f"{'row':<40}{'published':>10}{'mean':>8}{'sd':>7}{'min..max':>15}{'seeds':>7}"]  # fmt: skip
        for row in of:
            span = f"{min(row.measured):.2f}..{max(row.measured):.2f}"
            lines.append(f"{row.name:<40}{_text(row.published):>10}{_text(row.mean):>8}{_text(row.sd):>7}{span:>15}"
                         f"{len(row.measured):>7}")  # fmt: skip
    return "\n".join(lines)


def _table3(run):
    return {f"{row['net']} {row['heads']} {row['init']}": (row["published_avg"], row["avg"]) for row in run.table3}


def _table2(run):
    return {row["model"]: (row["published_accuracy"], row["accuracy"]) for row in run.table2}


def _rows(table, by_run):
    names = dict.fromkeys(name for of in by_run for name in of)
    published = {name: paper for of in by_run for name, (paper, _) in of.items()}
    return [
        Row(table, name, None if published[name] == "" else published[name],
            tuple(of[name][1] if name in of else None for of in by_run))
        for name in names
    ]  # fmt: skip


def _text(value):
    return "" if value is None else f"{value:.2f}"
