"""Verification of a data folder or a run, against itself and against the paper.

An "error" is a contradiction within the files; "differs" is said of the paper's own figures and is
no fault of the files; "ok" is what was looked at and agrees.
"""

import os
from pathlib import Path

from mindpics.files.findings import Finding
from mindpics.files.layout import MindpicsFiles, TrainingFiles
from mindpics.results.claims import check_claims
from mindpics.results.table3 import COLUMNS
from mindpics.results.verify_lmdb import check_lmdbs, lmdbs_in
from mindpics.results.verify_run import check_job, check_run, check_scores, check_table3, check_weight_file
from mindpics.results.verify_selection import Selection, check_labels, check_selection

TABLES = (MindpicsFiles.selection, "categories.csv")


def verify(folder, pictures=True):
    """Check everything of this package's making that lies in a folder or below.

    Parameters
    ----------
    folder : str or Path
    pictures : bool
        Also compare the pixels: mean file, equal pictures, near copies.

    Returns
    -------
    list of Finding

    Raises
    ------
    ValueError
        When it is no folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: found no such folder; wanted a data folder or a run")
    findings = []
    for place in _folders(folder):
        findings += _check_folder(place, pictures)
    return findings


def _folders(root):
    """Yield a folder and those below, but not the thousands of pictures."""
    for path, folders, _ in os.walk(root):
        folders[:] = sorted(name for name in folders if name != "images" and not name.endswith("_lmdb"))
        yield Path(path)


def _check_folder(folder, pictures):
    selection = None
    for table in (folder / name for name in TABLES if (folder / name).is_file()):
        selection, findings = _read(table)
        yield from findings
    if lmdbs_in(folder):
        yield from check_lmdbs(folder, selection, pictures)
    if TrainingFiles(folder).facts.is_file():  # or JobFiles
        yield from check_run(folder)
        yield from check_job(folder)
    table, scores = MindpicsFiles(folder).table3, TrainingFiles(folder).scores
    if _is_table3(table):
        yield from check_table3(table)
        yield from check_claims(table)
    if scores.is_file():
        yield from check_scores(scores)
    for path in sorted(folder.glob("*.caffemodel")):
        yield from check_weight_file(path)


def _is_table3(path):
    """Return whether a file is there that may be Table 3, broken or not: another paper's shares no column with it."""
    if not path.is_file():
        return False
    with open(path, encoding="utf-8-sig", errors="replace") as stream:
        header = set(stream.readline(1000).strip().split(",")) - {""}
    return not header or bool(header & set(COLUMNS))


def _read(table):
    try:
        selection = Selection(table)
    except (ValueError, OSError) as error:
        return None, [Finding("error", "csv", str(error), str(table))]
    check = check_selection if table.name == MindpicsFiles.selection else check_labels
    return selection, list(check(selection))
