"""NumPy files (.npy, .npz) from anyone: no pickle is loaded, a broken file is a ValueError with its name."""

import tokenize
import warnings
import zipfile
import zlib
from contextlib import contextmanager

import numpy as np

from mindpics.files.bounded import open_regular

ARRAYS = 4 << 30  # bytes that a .npz may unpack to: a zip of kilobytes may say gigabytes

# what numpy and zipfile raise on files that are not what they say
_BROKEN = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    TypeError,
    SyntaxError,
    MemoryError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    UnicodeError,
    AttributeError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def load_npy(path, mmap=False):
    """Return the array of a .npy, mapped into memory and read-only if `mmap`.

    Raises
    ------
    ValueError
        When it is none, or holds objects.
    """
    open_regular(path, "an array in .npy form").close()
    try:
        with _quiet():
            array = np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)
        if not isinstance(array, np.ndarray):
            array.close()
            raise ValueError("an .npz")
        return array
    except _BROKEN as error:
        raise ValueError(f"{path}: found {_defect(path, error)}; wanted an array in .npy form") from None


def load_npz(path, keys, file_type="arrays", optional=()):
    """Return the arrays of a .npz in the order of `keys` and `optional`.

    Parameters
    ----------
    path : path
    keys : sequence of str
    file_type : str
        What the file is to be, for the message: "scores".
    optional : sequence of str
        Keys that the file may lack.

    Returns
    -------
    list of ndarray
        None for an optional one that is not there.

    Raises
    ------
    ValueError
        When it is none, lacks a key, holds objects, or unpacks to more than `ARRAYS` bytes.
    """
    stream = open_regular(path, file_type)
    try:
        with stream, _quiet(), np.load(stream, allow_pickle=False) as stored:
            unpacked = sum(member.file_size for member in stored.zip.infolist())
            if unpacked > ARRAYS:
                raise ValueError(f"{unpacked} bytes unpacked, more than {ARRAYS}")
            return [stored[key] for key in keys] + [stored.get(key) for key in optional]
    except _BROKEN as error:
        raise ValueError(f"{path}: found {_defect(path, error)}; wanted {file_type} with {', '.join(keys)}") from None


@contextmanager
def _quiet():
    """Keep Python's remarks on the header, which is a Python literal, to itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _defect(path, error):
    """Return what is wrong with a file that numpy does not read."""
    try:
        with open(path, "rb") as stream:
            start = stream.read(2)
    except OSError as unreadable:
        return f"what cannot be opened ({unreadable.strerror})"
    if start[:1] == b"\x80" or start in (b"(d", b"(l", b"co", b"c_"):
        return "a pickle, which could run anything and is never loaded"
    return f"what cannot be read ({error or type(error).__name__})"
