"""Feature files: NAME.npy, float [N, D], and NAME.ids.txt, an id a line; what was rejected and how, beside them."""

import json
from collections import Counter
from pathlib import Path

from mindpics.files.arrays import load_npy
from mindpics.files.atomic import atomic_write
from mindpics.files.bounded import read_text

MATRIX, IDS, REJECTED, ABOUT = ENDINGS = (".npy", ".ids.txt", ".rejected.jsonl", ".json")
LIST = 1 << 30  # bytes of a list of ids


def read_features(name):
    """Return the float array [N, D] of NAME.npy, mapped into memory, and the N ids of NAME.ids.txt.

    Raises
    ------
    ValueError
        When the files are none, or do not go together. No pickle is loaded.
    """
    array, ids = load_npy(f"{name}{MATRIX}", mmap=True), read_ids(f"{name}{IDS}")
    check_features(f"{name}{MATRIX}", array, ids)
    return array, ids


def read_ids(path):
    """Return the ids of a list, a byte order mark aside; ValueError when it is no such file, or an id comes twice."""
    ids = read_text(path, "a list of ids, one a line, UTF-8", LIST).removeprefix("\ufeff").splitlines()
    if len(set(ids)) != len(ids):
        repeated = next(id_ for id_, count in Counter(ids).items() if count > 1)
        raise ValueError(f"{path}: found id {repeated!r} twice; wanted each id once")
    return ids


def check_features(path, array, ids):
    """Raise ValueError unless features and ids go together.

    Parameters
    ----------
    path : str or Path
        Of the array, for the message.
    array : ndarray, float, [N, D]
    ids : sequence of str, [N]
    """
    if array.ndim != 2 or array.dtype.kind != "f":
        raise ValueError(f"{path}: found {array.dtype} {array.shape}; wanted float [N, D]")
    if len(ids) != array.shape[0]:
        raise ValueError(f"{path}: found {len(ids)} ids for {array.shape[0]} rows of features; wanted an id a row")


def write_features(name, matrix, ids, rejected, about):
    """Make a matrix on disk NAME.npy, beside its lists; what says that it is whole goes first and is written last.

    Parameters
    ----------
    name : str or Path
    matrix : Path
        A .npy on the same disk; it is renamed.
    ids : list of str
    rejected : list of (id, reason)
    about : dict
        What goes to NAME.json.
    """
    Path(f"{name}{ABOUT}").unlink(missing_ok=True)
    _write_lines(f"{name}{IDS}", ids)
    _write_lines(f"{name}{REJECTED}", (json.dumps({"id": id_, "reason": why}) for id_, why in rejected))
    matrix.replace(f"{name}{MATRIX}")
    _write_lines(f"{name}{ABOUT}", [json.dumps(about)])


def _write_lines(path, lines):
    with atomic_write(path) as stream:
        stream.writelines(f"{line}\n" for line in lines)
