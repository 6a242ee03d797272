"""Study: what another paper's experiment on the same run gives to its report and tables, as plain data.

Whoever makes the report passes a reader in: a callable of the run's folder and of the heading of what was measured
("ours, on the stand-in"), which returns a `Study`, also of a run that has nothing of it yet.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mindpics.results.paired import Paired


class Caption(NamedTuple):
    """How a paper's table is spoken of: "Table 3", "MindPics, mean over traits", "test pictures, mean over traits"."""

    table: str
    paper: str
    tested: str


@dataclass(frozen=True)
class Table:
    """A table: its columns as (heading, kind), kind "text", "number" or "code", its rows of values, and a command
    that made them all, where one did."""

    caption: str
    columns: tuple
    rows: list
    command: str = ""


@dataclass(frozen=True)
class Figure:
    """A figure of the report: NAME.png, NAME.svg and NAME.csv in a folder, its heading, and what it shows."""

    folder: Path
    name: str
    section: str
    title: str
    caption: str
    pictures: bool = False  # shown as PNG; charts as SVG


@dataclass(frozen=True)
class Section:
    """A section of a page: its id and heading, sentences, (heading, Table) each, figures, and CSVs to take along."""

    id: str
    heading: str
    sentences: list
    tables: list
    figures: list
    files: list


@dataclass(frozen=True)
class Measured:
    """A row of a paper's table: accuracies and the 95% interval in percent; published is None where it has none."""

    name: str
    published: float | None
    accuracy: float
    low95: float
    high95: float
    n: int


@dataclass(frozen=True)
class Comparison:
    """Two rows of a table on the same test set; differences are the first row's accuracy less the second's.

    Attributes
    ----------
    name : str
    paired : mindpics.results.paired.Paired
    points : float
        Difference in the table's own measure, in points; Table 3's is a mean over traits.
    paper : tuple of float
        The paper's two accuracies, in percent.
    paper_n : int
        Test pictures, or pins, of the paper.
    test_to_train : float or None
        Test pictures a training picture in this run; None where that is not recorded.
    """

    name: str
    paired: Paired
    points: float
    paper: tuple
    paper_n: int
    test_to_train: float | None


@dataclass(frozen=True)
class Study:
    """Another paper's experiment on a run.

    Attributes
    ----------
    title : str
        "Pinterest user identification".
    caption : Caption
        Of its table.
    file : str
        Name of the table's CSV.
    rows : list of Measured
        [] where the table is not written yet.
    table : Table
        The same beside the paper, as the report shows it.
    asked : tuple of str
        The question, and what the best row does: "Who would post this pin?", "names the right user for".
    tested : int or ""
        Test pictures, or pins, of this run; "" where that is not recorded.
    comparisons : list of Comparison
    details : list of (heading, Table)
        What the report shows folded.
    figures : list of Figure
    options : dict
        Name -> value of what the run was asked for, the seed left out; {} where that is not recorded.
    """

    title: str
    caption: Caption
    file: str
    rows: list
    table: Table
    asked: tuple
    tested: int | str
    comparisons: list
    details: list
    figures: list
    options: dict


def tested_a_trained(parts):
    """Return test pictures a training picture of {"train": n, "test": n}; None where not recorded.

    A "validation" part trains the final models too.
    """
    train = (parts.get("train") or 0) + (parts.get("validation") or 0)
    return parts["test"] / train if train and parts.get("test") else None
