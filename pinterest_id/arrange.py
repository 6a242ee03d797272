"""Arrangement of pins: matched with their features, split, and ordered so that matrices are slices."""

import glob
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mindpics.files import own_folder
from mindpics.files.feature_files import IDS
from mindpics.files.layout import File
from pinterest_id.layout import IDENTIFICATION, ExperimentFiles
from pinterest_id.pictures import shared_pct
from pinterest_id.records import count_reasons, read_pins, write_rejections
from pinterest_id.scores import OTHER_ROWS, PAPER_ROWS
from pinterest_id.splits import PARTS, UNUSED, is_as_written, parts_of_file, split_users, write_split
from pinterest_id.word_tables import write_word_tables
from pinterest_id.words import word_statistics


@dataclass(frozen=True)
class Arranged:
    """The pins that take part: `n_train` of training first, up to `n_seen` those of validation, then those of test.

    `users` [K] are the names in order, `codes` [N] each pin's; `facts` go to run.json.
    """

    pins: list
    users: np.ndarray
    codes: np.ndarray
    n_train: int
    n_seen: int
    facts: dict

    @property
    def ids(self):
        return [pin.id for pin in self.pins]

    @property
    def texts(self):
        return [pin.text for pin in self.pins]

    @property
    def names(self):
        """The user of each pin, [N]."""
        return self.users[self.codes]


def arrange(path, features, options, out):
    """Read and split the pins; write the word tables, split.csv and rejected.jsonl to `out`, the first files of a run.

    Statistics are of the pins that take part; how many the split leaves out is a fact of its own.

    Parameters
    ----------
    path : Path
        pins.jsonl.
    features : iterable of FeatureFile
        Each must have a row, or a reason for its absence, for every pin.
    options : pinterest_id.options.Options
    out : Path

    Raises
    ------
    ValueError
        When no pin is left, or the split cannot be made.
    """
    pins, rejected = read_pins(path, options.keep_empty_text, options.keep_no_image)
    for file in features:
        pins, without = file.match(pins)
        rejected += without
    if not pins:
        raise ValueError(f"{path}: found no pin that can be used ({count_reasons(rejected)}); wanted one at least")
    parts, dropped = _split(pins, rejected, options)
    files = ExperimentFiles(out)
    _refuse_own_split(options.split_file, files.split)
    _remove_results(files)
    used = [pin for pin, part in zip(pins, parts, strict=True) if part != UNUSED]
    write_word_tables(out, used, options.stop_words)  # first: the folder is known by them
    write_split(files.split, pins, parts)
    write_rejections(files.rejected, rejected)
    facts = {
        "pins": len(used),
        "pins_left_out": len(pins) - len(used),
        "rejected": count_reasons(rejected),
        "users_dropped": dict(dropped),
        "parts": {part: int(np.sum(parts == part)) for part in PARTS},
        "words_per_pin": word_statistics([pin.text for pin in used]),
        "images_shared_by_two_or_more_users_pct": shared_pct(used, path.parent),
    }
    return _in_order(pins, parts, facts)


def require_run_or_room(folder):
    """Raise ValueError unless a folder is a run of run_identification, empty, or holds features alone.

    These are NAME.ids.txt and what else is named NAME.something, a log or shards too, but no file that a run writes.
    """
    written = {file.name for file in vars(ExperimentFiles).values() if isinstance(file, File)}
    names = [path.name.removesuffix(IDS) for path in Path(folder).glob(f"*{IDS}")]
    features = {path.name for name in names for path in Path(folder).glob(f"{glob.escape(name)}.*")}
    own_folder.require(folder, IDENTIFICATION, adds=True, beside=features - written)


def _remove_results(files):
    """Remove the results of an earlier run: a killed one would leave scores and tables of two. Fits have their keys."""
    results = [files.facts, *map(files.scores_of, (*PAPER_ROWS, *OTHER_ROWS)), files.projection]
    results += [files.table1, files.table2, files.table3, files.intervals, files.mcnemar, files.summary]
    for path in (*results, *files.drawn):
        path.unlink(missing_ok=True)


def _refuse_own_split(split_file, path):
    """Raise ValueError where a user's table would be written over: it may have columns of its own."""
    if split_file and os.path.realpath(split_file) == os.path.realpath(path) and not is_as_written(path):
        raise ValueError(f"{path}: found a split of one's own, which the run's would replace; wanted another --out")


def _split(pins, rejected, options):
    users = [pin.user for pin in pins]
    if options.split_file:
        known = {pin.id for pin in pins} | {item.id for item in rejected}
        return parts_of_file(options.split_file, [pin.id for pin in pins], users, known), []
    return split_users(users, options.sizes, options.seed, options.drop_small_users, options.lacking)


def _in_order(pins, parts, facts):
    rank = {part: i for i, part in enumerate(PARTS)}
    kept = [i for i, part in enumerate(parts) if part in rank]
    order = sorted(kept, key=lambda i: (rank[parts[i]], pins[i].user))
    users, codes = np.unique([pins[i].user for i in order], return_inverse=True)
    n_train, n_seen = (int(np.sum(np.isin(parts, PARTS[:k]))) for k in (1, 2))
    return Arranged([pins[i] for i in order], users, codes, n_train, n_seen, facts | {"users": len(users)})
