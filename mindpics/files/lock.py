"""Lock of a folder: one process at a time, and the lock goes with the process."""

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path

NAME = ".lock"


class InUse(ValueError):
    """Another process is at work in the folder."""


@contextmanager
def locked(folder):
    """Hold the lock of a folder, which is made if need be.

    Raises
    ------
    InUse
        When another process holds it; the message has its id.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / NAME, "a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise InUse(f"{folder}: found process {lock.read().strip()} at work there; wanted none") from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield
