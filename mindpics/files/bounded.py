"""Bounded reader: a file that is read whole is a regular one, of at most so many bytes."""

import errno
import hashlib
import os
import stat

TEXT = 64 << 20  # bytes of a prototxt or a JSON document; the longest published net has 100 KB
MESSAGE = 2**31 - 1  # bytes of a protobuf message, protobuf's own limit
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path, wanted, limit=None):
    """Open a file to read bytes from: a pipe would be waited for, a device has no end.

    Parameters
    ----------
    path : str or Path
    wanted : str
        What the file is to be, for the message.
    limit : int, optional
        Most bytes that it may have.

    Raises
    ------
    ValueError
        Names the file, what was found and what was wanted.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        said = "no such file" if getattr(error, "errno", None) == errno.ENOENT else f"cannot be read ({_said(error)})"
        raise ValueError(f"{path}: {said}; wanted {wanted}") from None
    found = os.fstat(descriptor)
    kind = KINDS.get(stat.S_IFMT(found.st_mode))
    if kind or (limit is not None and found.st_size > limit):
        os.close(descriptor)
        raise ValueError(f"{path}: found {kind or f'{found.st_size} bytes'}; wanted {wanted}{_at_most(limit)}")
    return os.fdopen(descriptor, "rb")


def read_bytes(path, wanted, limit=MESSAGE):
    """Return a file's bytes, at most `limit` of them; ValueError as `open_regular`, or when memory does not suffice."""
    try:
        with open_regular(path, wanted, limit) as stream:
            data = stream.read(limit + 1)  # what /proc holds has no size beforehand
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({_said(error)}); wanted {wanted}") from None
    except MemoryError:
        raise ValueError(f"{path}: memory does not suffice for its {os.path.getsize(path)} bytes") from None
    if len(data) > limit:
        raise ValueError(f"{path}: found more bytes; wanted {wanted}{_at_most(limit)}")
    return data


def read_text(path, wanted, limit=TEXT):
    """Return a file's text, UTF-8; ValueError as `read_bytes`, or when it is no UTF-8."""
    try:
        return read_bytes(path, wanted, limit).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 (byte {error.start + 1}); wanted {wanted}") from None


def digest(path, algorithm, limit=None):
    """Return the hash of a regular file in hexadecimal, read in pieces."""
    with open_regular(path, "a file", limit) as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def _at_most(limit):
    return "" if limit is None else f", at most {limit} bytes"


def _said(error):
    return getattr(error, "strerror", None) or str(error)
