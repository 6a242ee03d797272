"""Sensitivity of headline numbers to open readings: one change at a time, paired on the same test pictures.

None of it is in the papers.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from mindpics.files.columns import columns
from mindpics.files.tables import read_table
from mindpics.results.metrics import Z95
from mindpics.results.paired import over_seeds, pair

FOLDER = "sensitivity"  # of a run such as runs/mini
COLUMNS = (
    "paper",
    "number",
    "choice",
    "default",
    "reading",
    "before",
    "after",
    "difference",
    "low95",
    "high95",
    "interval_over",
    "n",
    "seeds",
    "by_seed",
    "note",
)


@dataclass(frozen=True)
class Change:
    """An open choice, its default and another reading of it, and the headline number that it may move."""

    paper: str
    number: str
    choice: str
    default: str
    reading: str


@dataclass(frozen=True)
class Answers:
    """Which test pictures, or pins, a model names rightly.

    Attributes
    ----------
    ids : str array [N]
    strata : int array [N]
        The number is the mean over these of the share that is right; all 0 where it is a plain share.
    right : bool array [N]
    """

    ids: np.ndarray
    strata: np.ndarray
    right: np.ndarray


@dataclass(frozen=True)
class Move:
    """What a change does to a number, in points, on the n pictures that both models were tested on."""

    before: float
    after: float
    low: float
    high: float
    n: int

    @property
    def difference(self):
        return self.after - self.before


@dataclass(frozen=True)
class Varied:
    """A change and its `Move` of each seed; `notes` say why a seed has none, `test_to_train` is of each move."""

    change: Change
    moves: list
    notes: list = field(default_factory=list)
    test_to_train: list = field(default_factory=list)


def move(before, after):
    """Return the `Move` from one model's `Answers` to another's, on what both were tested on under the same stratum.

    Raises
    ------
    ValueError
        When there is no such picture.
    """
    places = {key: place for place, key in enumerate(_keys(before))}
    common = [(places[key], place) for place, key in enumerate(_keys(after)) if key in places]
    if not common:
        raise ValueError("found no test picture in common; wanted pairs")
    first, second = np.array(common).T
    strata = np.asarray(after.strata)[second]
    rights = np.asarray(before.right)[first], np.asarray(after.right)[second]
    masks = [strata == stratum for stratum in np.unique(strata)]
    share_before, share_after = (100 * float(np.mean([right[rows].mean() for rows in masks])) for right in rights)
    low, high = interval([pair(rights[1][rows], rights[0][rows]) for rows in masks])
    return Move(share_before, share_after, 100 * low, 100 * high, len(common))


def no_scores(root):
    """Return the note of a reading whose stages failed."""
    return f"no scores, see {root}/logs"


def interval(pairs):
    """Return the 95% interval of the mean over strata of paired differences.

    As `mindpics.results.paired.Paired.interval`, which it is for one stratum: half a picture more in each of the four
    cells, here shared by the strata, whose variances add up.

    Parameters
    ----------
    pairs : list of mindpics.results.paired.Paired
    """
    centre = variance = 0.0
    for each in pairs:
        added = 0.5 / len(pairs)
        n, b, c = each.n + 4 * added, each.only_first + added, each.only_second + added
        centre += (b - c) / n / len(pairs)
        variance += (b + c - (b - c) ** 2 / n) / (n * len(pairs)) ** 2
    half = Z95 * math.sqrt(variance)
    return centre - half, centre + half


def line_of(varied):
    """Return one line of the table as a dict: means over seeds in %, differences and their 95% interval in points.

    With one seed the interval is over test pictures; with several it is over seeds, and allows for the training
    pictures that they share. A change that no seed has scores of has a note and no numbers.
    """
    line = dict.fromkeys(COLUMNS, "") | vars(varied.change)
    line |= {"seeds": len(varied.moves), "note": "; ".join(dict.fromkeys(varied.notes))}
    if not varied.moves:
        return line
    differences = [each.difference for each in varied.moves]
    first, sizes = varied.moves[0], [each.n for each in varied.moves]
    low, high, over = first.low, first.high, "test pictures"
    if len(differences) > 1:
        known = [ratio for ratio in varied.test_to_train if ratio]
        spread = over_seeds(differences, float(np.mean(known)) if known else 0.0)
        low, high, over = spread.low, spread.high, "seeds"
    numbers = {
        "before": np.mean([each.before for each in varied.moves]),
        "after": np.mean([each.after for each in varied.moves]),
        "difference": np.mean(differences),
        "low95": low,
        "high95": high,
    }
    tested = f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)}..{max(sizes)}"
    about = {"interval_over": over, "n": tested, "by_seed": " ".join(f"{each:+.2f}" for each in differences)}
    return line | {key: f"{round(value, 2) + 0.0:.2f}" for key, value in numbers.items()} | about  # no -0.00


def read_sensitivity(path):
    """Return the lines of a sensitivity table as dicts of text; ValueError where it is none."""
    return [line for _, line in read_table(path, COLUMNS)]


def format_sensitivity(lines):
    """Return the table for a terminal, a block a headline number, with notes below it."""
    headings = ("choice", "default", "reading", "before", "after", "moved by", "95% interval", "n")
    told = []
    for paper, number in dict.fromkeys((line["paper"], line["number"]) for line in lines):
        block = [line for line in lines if (line["paper"], line["number"]) == (paper, number)]
        told += [f"{paper}: {number}", *columns(headings, map(_cells, block), "lllrrrrr")]
        told += [f"{line['choice']}, {line['reading']}: {line['note']}" for line in block if line["note"]]
    over = " and ".join(dict.fromkeys(line["interval_over"] for line in lines if line["interval_over"]))
    return "\n".join(
        [*told, f"paired on the test pictures (n) that both were tested on; intervals over {over or 'none'}"]
    )


def _cells(line):
    named = (line["choice"], line["default"], line["reading"])
    if line["difference"] == "":
        return (*named, *[""] * 5)
    shown = [f"{float(line[key]):.1f}" for key in ("before", "after")]
    moved = f"{float(line['difference']):+.1f}"
    return (*named, *shown, moved, f"{float(line['low95']):+.1f}..{float(line['high95']):+.1f}", line["n"])


def _keys(answers):
    return list(zip(map(str, answers.ids), map(int, answers.strata), strict=True))
