"""Check of a stranger's LMDB, walked through in a child process first.

LMDB's library trusts its pages, and Caffe aborts on a record that is no picture, perhaps days into a
training. A damaged LMDB ends the child, and is a ValueError here.
"""

import functools
import os
from dataclasses import dataclass
from pathlib import Path

import lmdb
import numpy as np

from mindpics.caffe_files.datum import key_text, parse_datum, to_pixels
from mindpics.jobs.bars import bar_of
from mindpics.jobs.fork_first import in_fork

BYTES_A_SECOND = 5 << 20  # a slow disk; pages that lead in a circle would be walked for ever
SMALLEST = 8  # bytes of a page that any record takes


def check_lmdb(path):
    """Raise ValueError unless every record of an LMDB can be reached; checked once while the file does not change."""
    _once(_walk, *_state(path))


@dataclass(frozen=True)
class Records:
    """What an LMDB holds, from one look at each record.

    Attributes
    ----------
    count : int
    shapes : dict
        (channels, height, width) -> key of the first such record.
    labels : dict
        Label -> key of the first record that has it.
    runs : int
        Stretches of one label, in key order; as many as labels where the records are sorted by class.
    """

    count: int
    shapes: dict
    labels: dict
    runs: int


def check_records(path, channels=None):
    """Check that Caffe can read every record: a Datum with as many values as it says, or a picture that decodes.

    Parameters
    ----------
    path : path
    channels : {None, 1, 3}
        Of encoded pictures, see `mindpics.caffe_files.datum.to_pixels`.

    Returns
    -------
    Records
        Read once while the file does not change.

    Raises
    ------
    ValueError
        Names the record by its key; or there is none.
    """
    count, shapes, labels, runs = _once(_read, *_state(path), channels)
    return Records(count, {tuple(shape): key for shape, key in shapes}, dict(labels), runs)


def _state(path):
    """Return what tells one state of an LMDB from another."""
    file = Path(path) / "data.mdb"
    if not file.is_file():
        raise ValueError(f"{path}: found no data.mdb; wanted an LMDB, which tools/create_lmdb makes")
    stat = file.stat()
    return str(path), stat.st_size, stat.st_mtime_ns


@functools.lru_cache(maxsize=64)
def _once(look, path, size, _changed, *options):
    terminal = os.dup(2)  # the child's own goes to a file
    try:
        return in_fork(look, path, size, terminal, *options, timeout=60 + size / BYTES_A_SECOND)
    except ValueError as error:
        raise ValueError(f"{path}: found what cannot be read ({error}); wanted an LMDB") from None
    finally:
        os.close(terminal)


def _records(path, size):
    """Yield (key, value) as buffers."""
    try:
        with lmdb.open(path, readonly=True, lock=False) as environment, environment.begin(buffers=True) as transaction:
            for count, record in enumerate(transaction.cursor()):
                if count > size / SMALLEST:
                    raise ValueError(f"found more than {count} records in {size} bytes: its pages lead in a circle")
                yield record
    except lmdb.Error as error:
        raise ValueError(str(error)) from None


def _walk(path, size, _terminal):
    for key, value in _records(path, size):
        bytes(key)
        bytes(value[:1]), bytes(value[-1:])


def _read(path, size, terminal, channels):
    """Return the fields of `Records`, as JSON has them."""
    count, shapes, labels, runs, last = 0, {}, {}, 0, None
    for key, value in _shown(_records(path, size), path, terminal):
        name = key_text(bytes(key))
        try:
            datum = parse_datum(bytes(value))
            shape = _shape(datum, channels)
        except ValueError as error:
            raise ValueError(f"key {name!r}: {error}") from None
        count, runs, last = count + 1, runs + (datum.label != last), datum.label
        shapes.setdefault(shape, name)
        labels.setdefault(datum.label, name)
    if not count:
        raise ValueError("found an empty LMDB; wanted records")
    return count, list(shapes.items()), list(labels.items()), runs


def _shown(records, path, terminal):
    """Yield records; a bar on a terminal shows them once it takes some seconds."""
    with os.fdopen(terminal, "w", encoding="utf-8") as stream:
        yield from bar_of(
            records, desc=f"checking {Path(path).name}", unit="record", delay=2, leave=False, file=stream, disable=None
        )


def _shape(datum, channels):
    pixels = to_pixels(datum, channels)
    if datum.encoded and pixels.dtype != np.uint8:
        raise ValueError(f"found an encoded picture of {pixels.dtype}; wanted bytes")
    if min(pixels.shape) < 1:
        raise ValueError(f"found a Datum {pixels.shape}; wanted sides above 0")
    return pixels.shape
