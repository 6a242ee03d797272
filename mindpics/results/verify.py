"""Verification of a data folder or a run, against itself and against the paper.

An "error" is a contradiction within the files; "differs" is said of the paper's own figures and is
no fault of the files; "ok" is what was looked at and agrees.
"""

import os
from pathlib import Path

from mindpics.files.findings import Finding, guarded
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
        findings += guarded("folder", _check_folder(place, pictures), place)
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
        yield from guarded("csv", findings, table)
    if lmdbs_in(folder):
        yield from guarded("lmdb", check_lmdbs(folder, selection, pictures), folder)
    files = TrainingFiles(folder)
    if files.facts.is_file():  # or JobFiles
        yield from guarded("run", check_run(folder), files.facts)
        yield from guarded("job-hash", check_job(folder), files.facts)
    table = MindpicsFiles(folder).table3
    if table.is_file():
        yield from guarded("table3", _check_table3(table), table)
    if files.scores.is_file():
        yield from guarded("scores", check_scores(files.scores), files.scores)
    for path in sorted(folder.glob("*.caffemodel")):
        yield from guarded("weights-sha1", check_weight_file(path), path)


def _check_table3(table):
    if _is_table3(table):
        yield from check_table3(table)
        yield from check_claims(table)


def _is_table3(path):
    """Return whether a file may be Table 3, broken or not: another paper's shares no column with it."""
    with open(path, encoding="utf-8-sig", errors="replace") as stream:
        header = set(stream.readline(1000).strip().split(",")) - {""}
    return not header or bool(header & set(COLUMNS))


def _read(table):
    try:
        selection = Selection(table)
    except (ValueError, OSError) as error:
        return None, [Finding("error", "csv", str(error), str(table))]
    check = check_selection if table.name == MindpicsFiles.selection else check_labels
    return selection, check(selection)
