"""Bounded reader: a file that is read whole is a regular one, of at most so many bytes."""

import errno
import hashlib
import os
import re
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

SURROGATE = "[\udc80-\udcff]"  # how bytes that are no UTF-8 are decoded
_QUOTED = re.compile(r"""#[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""")


def open_regular(path, file_type, limit=None):
    """Open a file to read bytes from: a pipe would be waited for, a device has no end.

    Parameters
    ----------
    path : str or Path
    file_type : str
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
        absent = getattr(error, "errno", None) == errno.ENOENT
        defect = "no such file" if absent else f"what cannot be opened ({_reason(error)})"
        raise ValueError(f"{path}: found {defect}; wanted {file_type}") from None
    status = os.fstat(descriptor)
    kind = KINDS.get(stat.S_IFMT(status.st_mode))
    if kind or (limit is not None and status.st_size > limit):
        os.close(descriptor)
        raise ValueError(f"{path}: found {kind or f'{status.st_size} bytes'}; wanted {file_type}{_at_most(limit)}")
    return os.fdopen(descriptor, "rb")


def read_bytes(path, file_type, limit=MESSAGE):
    """Return a file's bytes.

    Parameters
    ----------
    path : str or Path
    file_type : str
        What the file is to be, for the message: "a caffemodel".
    limit : int
        Most bytes that it may have.

    Raises
    ------
    ValueError
        As `open_regular`; when memory does not suffice.
    """
    try:
        with open_regular(path, file_type, limit) as stream:
            data = stream.read(limit + 1)  # what /proc holds has no size beforehand
    except OSError as error:
        raise ValueError(f"{path}: found what cannot be read ({_reason(error)}); wanted {file_type}") from None
    except MemoryError:
        size = os.path.getsize(path)
        raise ValueError(f"{path}: found {size} bytes, too many for this memory; wanted {file_type}") from None
    if len(data) > limit:
        raise ValueError(f"{path}: found more bytes; wanted {file_type}{_at_most(limit)}")
    return data


def read_text(path, file_type, limit=TEXT):
    """Return a file's text.

    Parameters
    ----------
    path : str or Path
    file_type : str
        What the file is to be, for the message: "a prototxt".
    limit : int
        Most bytes that it may have.

    Raises
    ------
    ValueError
        As `read_bytes`; when it is no UTF-8.
    """
    try:
        return read_bytes(path, file_type, limit).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: found bytes that are not UTF-8 (byte {error.start + 1}); wanted {file_type}"
        ) from None


def read_prototxt_text(path, file_type):
    """Return a prototxt's text: as `read_text`, but comments may be of any bytes, which Caffe passes over."""
    text = read_bytes(path, file_type, TEXT).decode("utf-8", "surrogateescape")
    if re.search(SURROGATE, text):
        text = _QUOTED.sub(lambda match: re.sub(SURROGATE, "?", match[0]) if match[0][0] == "#" else match[0], text)
        wrong = re.search(SURROGATE, text)
        if wrong:
            line = text.count("\n", 0, wrong.start()) + 1
            raise ValueError(f"{path}:{line}: found bytes that are not UTF-8; wanted {file_type}")
    return text


def digest(path, algorithm, limit=None):
    """Return the hash of a regular file in hexadecimal, read in pieces.

    Parameters
    ----------
    path : str or Path
    algorithm : str
        One of hashlib's: "sha1", "sha256".
    limit : int, optional
        Most bytes that it may have.

    Raises
    ------
    ValueError
        As `open_regular`.
    """
    with open_regular(path, "a file", limit) as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def _at_most(limit):
    return "" if limit is None else f", at most {limit} bytes"


def _reason(error):
    return getattr(error, "strerror", None) or str(error)
