"""Check of a stranger's LMDB, walked through in a child process first.

LMDB's library trusts its pages, and Caffe aborts on a record that is no picture, perhaps days into a
training. A damaged LMDB ends the child, and is a ValueError here.
"""

import functools
import math
from pathlib import Path

import lmdb

from mindpics.caffe_files.datum import parse_datum, to_pixels
from mindpics.jobs.fork_first import in_fork

BYTES_A_SECOND = 5 << 20  # a slow disk; pages that lead in a circle would be walked for ever
SMALLEST = 8  # bytes of a page that any record takes


def check_lmdb(path):
    """Raise ValueError unless every record of an LMDB can be reached; checked once while the file does not change."""
    _once(_walk, *_state(path))


def check_records(path):
    """Check that Caffe can read every record: a Datum with as many bytes as it says, or a picture that decodes.

    Returns
    -------
    smallest, largest : (int, int, int)
        Channels, height and width: the least and the most of any record.

    Raises
    ------
    ValueError
        Names the record by its key; or there is none.
    """
    return tuple(map(tuple, _once(_read, *_state(path))))


def _state(path):
    """Return what tells one state of an LMDB from another."""
    file = Path(path) / "data.mdb"
    if not file.is_file():
        raise ValueError(f"{path}: found no data.mdb; wanted an LMDB, which tools/create_lmdb makes")
    stat = file.stat()
    return str(path), stat.st_size, stat.st_mtime_ns


@functools.lru_cache(maxsize=64)
def _once(look, path, size, _changed):
    try:
        return in_fork(look, path, size, timeout=60 + size / BYTES_A_SECOND)
    except ValueError as error:
        raise ValueError(f"{path}: found what cannot be read ({error}); wanted an LMDB") from None


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


def _walk(path, size):
    for key, value in _records(path, size):
        bytes(key)
        bytes(value[:1]), bytes(value[-1:])


def _read(path, size):
    least, most = None, None
    for key, value in _records(path, size):
        try:
            shape = _shape(parse_datum(bytes(value)))
        except ValueError as error:
            raise ValueError(f"key {bytes(key).decode(errors='replace')!r}: {error}") from None
        least = tuple(map(min, least or shape, shape))
        most = tuple(map(max, most or shape, shape))
    if least is None:
        raise ValueError("found an empty LMDB; wanted records")
    return least, most


def _shape(datum):
    shape = (datum.channels, datum.height, datum.width)
    if datum.float_data and not datum.data and not datum.encoded:
        if min(shape) < 1 or math.prod(shape) != len(datum.float_data):
            raise ValueError(
                f"found a Datum {shape} of {len(datum.float_data)} floats; wanted as many as its shape has"
            )
        return shape
    shape = to_pixels(datum).shape
    if min(shape) < 1:
        raise ValueError(f"found a Datum {shape}; wanted sides above 0")
    return shape
