"""Verification of mindpics.csv against Table 1, its own summary, and the paper's counts."""

from collections import Counter
from pathlib import Path

from mindpics.datasets.picture_lmdb import COLUMNS
from mindpics.files.findings import Finding
from mindpics.files.json_files import read_json
from mindpics.files.layout import MindpicsFiles
from mindpics.files.tables import numbered_rows
from mindpics.posts.summary import COLUMNS as MINDPICS_COLUMNS
from mindpics.published import published
from mindpics.traits import POLES, TRAITS, label_of, word_slots


class Selection:
    """A csv of labelled pictures: its rows with their lines, and {id: row}."""

    def __init__(self, path):
        self.path = Path(path)
        columns = MINDPICS_COLUMNS if self.path.name == MindpicsFiles.selection else COLUMNS
        self.rows = list(numbered_rows(path, columns))
        self.by_id = {row["id"]: row for _, row in self.rows}

    def count(self, **values):
        """Return how many rows have these values."""
        return sum(all(row[key] == value for key, value in values.items()) for _, row in self.rows)

    def summed(self, check, text, problems):
        """Yield one error for all rows of a kind: how many, and the first by line.

        Parameters
        ----------
        check, text : str
            Of the `mindpics.files.findings.Finding`.
        problems : list of (line, str)
        """
        if problems:
            line, problem = problems[0]
            rest = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            yield Finding("error", check, f"{text}: {problem}{rest}", str(self.path), line)

    def finding(self, severity, check, message):
        """Return a `mindpics.files.findings.Finding` of this csv.


        Parameters
        ----------
        severity, check, message : str
        """
        return Finding(severity, check, message, str(self.path))


def check_labels(selection):
    """Yield contradictions of any labelled csv: ids and pictures that come twice, unknown splits and labels."""
    for key, check in (("id", "duplicate-id"), ("image", "duplicate-image")):
        line_of, twice = {}, []
        for line, row in selection.rows:
            if row[key] in line_of:
                twice.append((line, f"{row[key]!r} stands on line {line_of[row[key]]} as well"))
            line_of.setdefault(row[key], line)
        yield from selection.summed(check, f"{key} twice", twice)
    bad = [(line, repr(row["split"])) for line, row in selection.rows if row["split"] not in ("train", "test")]
    yield from selection.summed("split", "split is neither train nor test", bad)
    bad = [(line, repr(row["label"])) for line, row in selection.rows if not row["label"].isdecimal()]
    yield from selection.summed("label", "label is no whole number", bad)
    yield selection.finding("ok", "rows", f"{len(selection.rows)} rows")


def check_selection(selection):
    """Yield what is wrong, and what is as in the paper, with a mindpics.csv."""
    yield from check_labels(selection)
    poles = {(trait, pole) for trait in TRAITS for pole in POLES}
    unknown = [
        (line, f"{row['trait']!r}, {row['pole']!r}")
        for line, row in selection.rows
        if (row["trait"], row["pole"]) not in poles
    ]
    yield from selection.summed("trait", "no such trait or pole", unknown)
    known = [(line, row) for line, row in selection.rows if (row["trait"], row["pole"]) in poles]
    wrong = [
        (line, f"label {row['label']}, but {row['pole']} {row['trait']} is {label_of(row['trait'], row['pole'])}")
        for line, row in known
        if row["label"] != str(label_of(row["trait"], row["pole"]))
    ]
    yield from selection.summed("label-code", "label is not 2 * trait + pole", wrong)
    slots = set(word_slots())
    foreign = [
        (line, f"{row['word']!r} under {row['pole']} {row['trait']}")
        for line, row in known
        if (row["word"], row["trait"], row["pole"]) not in slots
    ]
    yield from selection.summed("word", "word not of Table 1", foreign)
    yield from _both_sides(selection)
    yield from _summary(selection)
    yield from _against_paper(selection)


def _both_sides(selection):
    for trait in TRAITS:
        for pole in POLES:
            for split in ("train", "test"):
                if not selection.count(trait=trait, pole=pole, split=split):
                    yield selection.finding("error", "empty-pole", f"no picture of {pole} {trait} in {split}")


def _summary(selection):
    path = selection.path.with_name(MindpicsFiles.summary)
    if not path.is_file():
        return
    try:
        summary = read_json(path)
    except ValueError as error:
        yield Finding("error", "summary", str(error), str(path))
        return
    counts = {"selected": len(selection.rows)} | {split: selection.count(split=split) for split in ("train", "test")}
    for name, count in counts.items():
        if summary.get(name) != count:
            text = f"{name} is {summary.get(name)}, but {selection.path.name} has {count}"
            yield Finding("error", "summary", text, str(path))


def _against_paper(selection):
    paper = published()["dataset"]
    words = Counter((row["word"], row["trait"], row["pole"]) for _, row in selection.rows)
    train = selection.count(split="train") / max(1, len(selection.rows))
    yield from _compare(selection, "images", len(selection.rows), paper["images"])
    for trait in TRAITS:
        used = len({slot for slot in words if slot[1] == trait})
        yield from _compare(selection, f"words of {trait} with pictures", used, paper["words_per_trait"])
    most = max(words.values(), default=0)
    yield from _compare(selection, "most pictures of a word", most, paper["images_per_word_about"], 0.1)
    yield from _compare(selection, "share of train", round(train, 3), paper["train_fraction"], 0.01)
    for trait in TRAITS:
        of_trait = selection.count(trait=trait)
        high = selection.count(trait=trait, pole="high") / max(1, of_trait)
        yield from _compare(selection, f"share of high {trait}", round(high, 3), 0.5, 0.1)
        yield from _compare(selection, f"pictures of {trait}", of_trait, paper["images_per_trait_about"], 0.1)


def _compare(selection, quantity, value, published_value, tolerance=0):
    agrees = abs(value - published_value) <= tolerance * published_value
    text = f"{quantity}: {value:,}" + (
        "" if agrees else f"; the paper: {'about ' if tolerance else ''}{published_value:,}"
    )
    yield selection.finding("ok" if agrees else "differs", "paper-counts", text)
