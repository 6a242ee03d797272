"""Comparison of runs side by side, with the tests and errors that say how much a difference means."""

import shlex
from pathlib import Path

import numpy as np

from mindpics.files.layout import ReportFiles
from mindpics.files.tables import write_table
from mindpics.report.facts import SEED, choices, environment
from mindpics.results.comparisons import comparisons, differences_over_seeds, write_comparisons
from mindpics.results.metrics import Z95
from mindpics.results.paired import most_discordant, paired_error, unpaired_error
from mindpics.results.seeds import labels, rows_of, write_seeds
from mindpics.results.study import Table

UNLIKE = "These runs differ in more than the seed, or not in it, or not all is recorded"


class Comparing:
    """One run, or several, and what is compared within and between them.

    Parameters
    ----------
    runs : list of mindpics.results.run_files.RunFiles

    Attributes
    ----------
    names : list of str
    rows : list of mindpics.results.seeds.RowOfRuns
    compared : dict
        Name of a run -> list of `mindpics.results.study.Comparison`.
    repeats : bool
        They are several and differ in the seed, each in its own, and in nothing else: a mean over them means something.
    over_seeds : dict
        Comparison -> `mindpics.results.paired.OverSeeds`, of repeats.
    """

    def __init__(self, runs):
        self.runs, self.names, self.rows = runs, labels(runs), rows_of(runs)
        self.compared = {name: comparisons(run) for name, run in self.named}
        recorded = all(run.facts for run in runs)
        seeds = {run.facts.get("seed") for run in runs}
        differing = {row[0] for row in _unlike(self._readings())}
        self.repeats = recorded and len(runs) > 1 and len(seeds) == len(runs) and differing <= {SEED}
        self.over_seeds = differences_over_seeds(list(self.compared.values())) if self.repeats else {}

    @property
    def named(self):
        return list(zip(self.names, self.runs, strict=True))

    def runs_table(self):
        """Which runs stand side by side."""
        studies = {run.study.caption.tested: "number" for run in self.runs if run.study}
        columns = (
            ("run", "text"),
            ("folder", "text"),
            ("seed", "number"),
            ("test pictures", "number"),
            *studies.items(),
            ("command", "code"),
        )
        rows = [
            [
                name,
                run.root,
                run.facts.get("seed", "not recorded"),
                run.selection.get("test", ""),
                *([run.study.tested] if run.study else []),
                shlex.join(run.facts.get("command", [])),
            ]
            for name, run in self.named
        ]
        return Table("The figures below are of the first.", columns, rows)

    def differing(self):
        """The choices and versions in which the runs differ."""
        rows = [[choice, *ours] for choice, _, *ours in _unlike(self._readings())]
        ran = environment(self.runs, self.names).rows
        rows += [row for row in ran if row[0] != "command" and len(set(row[1:])) > 1]
        caption = "Of what is recorded, nothing but this differs." if rows else "Nothing that is recorded differs."
        return Table(caption, (("what", "text"), *((name, "text") for name in self.names)), rows)

    def _readings(self):
        """Return [choice, paper, each run's] of both papers' choices."""
        options = [run.study.options if run.study else {} for run in self.runs]
        rows = choices(self.runs, self.names).rows
        for name in dict.fromkeys(name for of_run in options for name in of_run):
            if len({str(of_run[name]) for of_run in options if name in of_run}) > 1:  # a run may have no pins
                rows.append([f"{name} (pins)", "", *(str(of_run.get(name, "")) for of_run in options)])
        return rows

    def side_by_side(self, rows):
        """Paper and each run; over repeats the mean and its spread, of two other runs their difference."""
        columns = [("row", "text"), ("paper", "number"), *((name, "number") for name in self.names), ("n", "number")]
        table = [[row.name, *map(_percent, (row.published, *row.values)), row.tested] for row in rows]
        if self.repeats:
            columns += [(name, "number") for name in ("mean", "sd", "least to most", "mean less paper")]
            for line, row in zip(table, rows, strict=True):
                span = f"{min(row.measured):.2f} to {max(row.measured):.2f}"
                less = "" if row.published is None else f"{row.mean - row.published:+.2f}"
                line += [_percent(row.mean), _percent(row.sd), span, less]
            return Table("Accuracy in %. sd: standard deviation from seed to seed.", tuple(columns), table)
        if len(self.runs) == 2:
            columns.append(("second less first", "number"))
            for line, row in zip(table, rows, strict=True):
                line.append("" if None in row.values else f"{row.values[1] - row.values[0]:+.2f}")
        return Table(
            f"Accuracy in %. {UNLIKE}: no mean is taken over them.",
            tuple(columns),
            table,
        )

    def paired_tables(self):
        """Return {id: (heading, table)} of paired tests, their mean over seeds, and sampling error."""
        if not any(self.compared.values()):
            return {}
        paired = {"paired": ("On the same test set", self._tests())}
        if self.over_seeds:
            paired["over-seeds"] = ("Over seeds", self._over_seeds())
        return paired | {"sampling-error": ("What a difference must exceed", self._errors())}

    def _tests(self):
        columns = (
            ("run", "text"),
            ("comparison", "text"),
            ("only the first right", "number"),
            ("only the second right", "number"),
            ("n", "number"),
            ("difference, points", "number"),
            ("95% interval", "number"),
            ("p", "number"),
        )
        rows = []
        for name, compared in self.compared.items():
            for each in compared:
                paired, (low, high) = each.paired, each.paired.interval()
                rows.append(
                    [
                        name,
                        each.name,
                        paired.only_first,
                        paired.only_second,
                        paired.n,
                        f"{100 * paired.difference:+.1f}",
                        f"{100 * low:+.1f} to {100 * high:+.1f}",
                        f"{paired.p_value:.2g}",
                    ]
                )
        return Table(
            "McNemar's exact test. Each picture counts alike, so a difference here is not quite that of Table "
            "3, which is a mean over traits. p is of one comparison alone. Interval: Agresti and Min 2005.",
            columns,
            rows,
        )

    def _over_seeds(self):
        columns = (
            ("comparison", "text"),
            ("paper, points", "number"),
            ("mean difference", "number"),
            ("sd", "number"),
            ("95% interval", "number"),
            ("p", "number"),
            ("seeds", "number"),
        )
        paper = {each.name: each.paper for compared in self.compared.values() for each in compared}
        rows = [
            [
                name,
                f"{paper[name][0] - paper[name][1]:+.2f}",
                f"{spread.mean:+.2f}",
                f"{spread.sd:.2f}",
                f"{spread.low:+.2f} to {spread.high:+.2f}",
                f"{spread.p_value:.2g}",
                spread.seeds,
            ]
            for name, spread in self.over_seeds.items()
        ]
        return Table(
            "In the tables' own measure. Corrected resampled t-test (Nadeau and Bengio 2003): the splits of "
            "different seeds share most of their training pictures, and the interval allows for it.",
            columns,
            rows,
        )

    def errors(self):
        """Return [{...}] of each comparison: standard errors at the paper's n and at ours, in points.

        Paired errors take the share of discordant pictures of these runs, mean over them: the
        papers do not tell theirs.
        """
        by_name = {}
        for compared in self.compared.values():
            for each in compared:
                by_name.setdefault(each.name, []).append(each)
        return [_error(compared) for compared in by_name.values()]

    def _errors(self):
        columns = (
            ("comparison", "text"),
            ("paper's difference", "number"),
            ("paper's n", "number"),
            ("standard error, unpaired", "number"),
            ("95%, unpaired", "number"),
            ("discordant at most, to be told paired, %", "number"),
            ("discordant here, %", "number"),
            ("95%, paired, at paper's n", "number"),
            ("n here", "number"),
            ("95%, paired, here", "number"),
        )
        rows = [
            [
                e["comparison"],
                f"{e['difference']:+.2f}",
                f"{e['n']:,}",
                f"{e['unpaired']:.2f}",
                f"±{Z95 * e['unpaired']:.2f}",
                f"{e['most_discordant']:.1f}",
                f"{e['discordant']:.1f}",
                f"±{Z95 * e['paired']:.2f}",
                f"{e['n_here']:,.0f}",
                f"±{Z95 * e['paired_here']:.2f}",
            ]
            for e in self.errors()
        ]
        return Table(
            "Sampling error of a difference between two accuracies, in points, from the binomial. Unpaired: "
            "as if each model had its own test set. Paired: on the same one, where it depends on how many "
            "pictures exactly one model gets right; the papers do not say how many, so these runs' share "
            "stands in.",
            columns,
            rows,
        )

    def write(self, folder):
        """Write paired.csv, and seeds.csv and paired_over_seeds.csv of several runs; return their paths."""
        files, written = ReportFiles(Path(folder)), []
        if any(self.compared.values()):
            write_comparisons(files.paired, self.compared)
            write_table(files.sampling_error, list(self.errors()[0]), self.errors())
            written += [files.paired, files.sampling_error]
        if len(self.runs) > 1:
            write_seeds(files.seeds, self.runs)
            written.append(files.seeds)
        if self.over_seeds:
            rows = [
                {"comparison": name} | {key: round(value, 4) for key, value in vars(spread).items()}
                for name, spread in self.over_seeds.items()
            ]
            write_table(files.paired_over_seeds, list(rows[0]), rows)
            written.append(files.paired_over_seeds)
        return written


def _error(compared):
    """Return the errors of one comparison, in points; `compared` are its `Comparison`s, one a run."""
    first, second = (value / 100 for value in compared[0].paper)
    n, n_here = compared[0].paper_n, float(np.mean([each.paired.n for each in compared]))
    discordant = float(np.mean([each.paired.discordant for each in compared]))
    here = float(np.mean([each.paired.difference for each in compared]))
    likely = float(np.mean([each.paired.likely_discordant for each in compared]))
    shares = {
        "difference": first - second,
        "unpaired": unpaired_error(first, second, n),
        "most_discordant": most_discordant(first - second, n),
        "discordant": discordant,
        "paired": paired_error(first - second, likely, n),
        "paired_here": paired_error(here, likely, n_here),
    }
    points = {key: round(100 * share, 3) for key, share in shares.items()}
    return {"comparison": compared[0].name, "n": n, "n_here": n_here, **points}


def _unlike(readings):
    """Return the rows [choice, paper, each run's] in which the runs are not alike."""
    return [row for row in readings if len(set(row[2:])) > 1]


def _percent(value):
    return "" if value is None else f"{value:.2f}"
