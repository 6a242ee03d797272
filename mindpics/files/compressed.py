"""Compressed files (gzip, bzip2, xz, zstd), known by their first bytes and read as what they hold."""

import bz2
import gzip
import io
import lzma
import tempfile
import zlib

from mindpics.files.bounded import open_regular


def _zstd(stream):
    import pyarrow as pa  # most files are not compressed

    return io.BufferedReader(pa.CompressedInputStream(stream, "zstd"))


OPENERS = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
    b"\x28\xb5\x2f\xfd": _zstd,
}
BLOCK = 1 << 20  # bytes unpacked at a time
BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError)


def open_plain(path, file_type):
    """Open a file to read the bytes that it holds, compressed or not; ValueError as `bounded.open_regular`.

    Parameters
    ----------
    path : path
    file_type : str
        What the file is to be, for the message.
    """
    stream = open_regular(path, file_type)
    opener = _opener(stream)
    return opener(stream) if opener else stream


def unpack(path, file_type):
    """Return a temporary file of what a compressed file holds, None for one that is not compressed.

    Parameters
    ----------
    path : path
    file_type : str
        What the file is to be, for the message.

    Raises
    ------
    ValueError
        When it is cut short or damaged.
    """
    with open_regular(path, file_type) as stream:
        opener = _opener(stream)
        if opener is None:
            return None
        file = tempfile.NamedTemporaryFile(prefix="mindpics-")  # noqa: SIM115 (it lives as long as its reader)
        plain = opener(stream)
        while data := read_on(plain.read, BLOCK, path, file_type):
            file.write(data)
    file.flush()
    return file


def read_on(read, size, where, file_type):
    """Return ``read(size)`` of a file that `open_plain` opened; ValueError where it is cut short or damaged.

    Parameters
    ----------
    read : callable
        Of the opened file: its `read`, or its `readline`.
    size : int
        Most bytes.
    where : str
        Begins the message of an error: "posts.jsonl, line 3".
    file_type : str
        What the file is to be, for the message.
    """
    try:
        return read(size)
    except BROKEN as error:
        raise ValueError(f"{where}: found bytes that cannot be read ({error}); wanted {file_type}") from None


def _opener(stream):
    head = stream.read(6)
    stream.seek(0)
    return next((opener for magic, opener in OPENERS.items() if head.startswith(magic)), None)
