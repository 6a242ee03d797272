"""Spread over seeds of each row of a table: mean, standard deviation, least and most."""

from dataclasses import dataclass

import numpy as np

from mindpics.files.columns import columns
from mindpics.files.tables import write_table
from mindpics.published import Row
from mindpics.results.study import Caption

TABLE3 = Caption("Table 3", "MindPics, mean over traits", "test pictures, mean over traits")


@dataclass(frozen=True)
class RowOfRuns:
    """One row of a table in several runs; accuracies in percent, None in a run that has no such row.

    Attributes
    ----------
    caption : mindpics.results.study.Caption
        Of the table.
    name : str
    published : float or None
    values : tuple
    n : tuple of int
        Test pictures, or pins, of each run that has the row.
    """

    caption: Caption
    name: str
    published: float | None
    values: tuple
    n: tuple

    @property
    def measured(self):
        return [value for value in self.values if value is not None]

    @property
    def tested(self):
        """Test pictures as text: "373", or "370..376" where the runs' test sets are not of one size."""
        least, most = min(self.n), max(self.n)
        return f"{least}" if least == most else f"{least}..{most}"

    @property
    def mean(self):
        return float(np.mean(self.measured))

    @property
    def sd(self):
        """Standard deviation from run to run; None with fewer than two."""
        return float(np.std(self.measured, ddof=1)) if len(self.measured) > 1 else None


def rows_of(runs):
    """Return every `RowOfRuns` that some of the runs have, in the order of the tables.

    Parameters
    ----------
    runs : list of mindpics.results.run_files.RunFiles
    """
    rows, studies = _rows(TABLE3, [_table3(run) for run in runs]), [run.study for run in runs if run.study]
    for caption in dict.fromkeys(study.caption for study in studies):
        rows += _rows(caption, [_of_study(study) for study in studies])
    return rows


def labels(runs):
    """Return a short name for each run: its folder's, or the whole path where that would be ambiguous."""
    names = [run.root.name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.root) for run in runs]


def write_seeds(path, runs):
    """Write seeds.csv of several runs, `mindpics.results.run_files.RunFiles`; return its rows."""
    rows = rows_of(runs)
    data = {caption: _data_of(runs, caption) for caption in {row.caption for row in rows}}
    columns = ["table", "row", "data", "n", "published", "runs", "mean", "sd", "min", "max", *labels(runs)]
    write_table(path, columns, (_line(row, data[row.caption]) for row in rows))
    return rows


def _data_of(runs, caption):
    """Return what the rows of a table were measured on, each once."""
    if caption == TABLE3:
        told = ["stand-in" if run.data_stands_in() else run.facts.get("data") for run in runs]
    else:
        told = ["stand-in" if run.pins_stand_in() else run.facts.get("pins") or run.facts.get("data") for run in runs]
    return "; ".join(dict.fromkeys(map(str, told)))


def _line(row, data):
    figures = map(_text, [row.mean, row.sd, min(row.measured), max(row.measured), *row.values])
    return [row.caption.table, row.name, data, row.tested, _text(row.published), len(row.measured), *figures]


def format_seeds(rows, seeds, measured):
    """Return the rows as text: published, mean, standard deviation, range over the seeds, test pictures.

    Parameters
    ----------
    rows : list of RowOfRuns
    seeds : sequence of int
    measured : str
        What the means are, like "on the stand-in".
    """
    lines = []
    for caption in dict.fromkeys(row.caption for row in rows):
        cells = [
            (
                row.name,
                _text(row.published),
                _text(row.mean),
                _text(row.sd),
                f"{min(row.measured):.2f}..{max(row.measured):.2f}",
                len(row.measured),
                row.tested,
            )
            for row in rows
            if row.caption == caption
        ]
        title = f"{caption.table} ({caption.paper}), seeds {', '.join(map(str, seeds))}"
        lines.append(f"{title}: accuracy in %, {measured}")
        lines += columns(("row", "published", "mean", "sd", "min..max", "seeds", "n"), cells)
    return "\n".join(lines)


def _table3(run):
    return {Row.of(row).title: (row["published_avg"], row["avg"], int(row["n"])) for row in run.table3}


def _of_study(study):
    return {row.name: (row.published, row.accuracy, row.n) for row in study.rows}


def _rows(caption, by_run):
    rows = []
    for name in dict.fromkeys(name for table in by_run for name in table):
        measured = [table[name] for table in by_run if name in table]
        published = measured[0][0]
        values = tuple(table[name][1] if name in table else None for table in by_run)
        sizes = tuple(n for _, _, n in measured)
        rows.append(RowOfRuns(caption, name, published, values, sizes))
    return rows


def _text(value):
    return "" if value is None else f"{value:.2f}"
