"""Atomic writes: to a temporary name, then renamed."""

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path, mode="w"):
    """Open a temporary file beside `path`; on success it takes its place.

    A killed run leaves at most ``.NAME.tmp``, which the next one writes over, never half a `path`.

    Parameters
    ----------
    path : str or Path
    mode : {"w", "wb"}
        Text is written as UTF-8 with "\\n" line ends.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        with open(_take(temporary), mode, **text) as stream:
            try:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
                os.replace(temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)  # while the lock is held, so that it is this call's own
                raise
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk names no file
        raise


def _take(path):
    """Return a descriptor of an empty file that no other process writes to; one that a killed process left will do."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if is_at(descriptor, path):
            os.ftruncate(descriptor, 0)
            return descriptor
        os.close(descriptor)  # while this one waited, another process gave the file its name


def is_at(descriptor, path):
    """Tell whether an open file is the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
