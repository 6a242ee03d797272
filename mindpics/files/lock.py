"""Lock of a folder: one process at a time, and the lock goes with the process."""

import fcntl
import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

from mindpics.files.atomic import is_at

NAME = ".lock"


class InUse(ValueError):
    """Another process is at work in the folder."""


@contextmanager
def locked(folder, wait=False):
    """Hold the lock of a folder, which is made if need be; one that the block leaves empty as it fails is removed.

    Parameters
    ----------
    folder : path
    wait : bool
        For another process to end, of which standard error tells.

    Raises
    ------
    InUse
        When another process holds it and `wait` is False; the message has its id.
    """
    folder = Path(folder)
    with not_left_empty(folder), _held(folder, wait):
        yield


@contextmanager
def _held(folder, wait):
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / NAME, "a+", encoding="utf-8") as lock:
            _take(lock, folder, wait)
            if is_at(lock.fileno(), folder / NAME):  # else the process that was waited for has removed it as it failed
                yield
                return


def _take(lock, folder, wait):
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        at_work = f"{folder}: found process {lock.read().strip()} at work there"
        if not wait:
            raise InUse(f"{at_work}; wanted none") from None
        print(f"{at_work}; waiting for it", file=sys.stderr, flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()


@contextmanager
def not_left_empty(*folders):
    """Remove what the block makes of folders and those above them if it fails and leaves no file there."""
    made = {path: [above for above in (path, *path.parents) if not above.exists()] for path in map(Path, folders)}
    try:
        yield
    except BaseException:
        for folder, absent in made.items():
            if absent:
                _remove_empty(folder, absent)
        raise


def _remove_empty(folder, made):
    """Remove folders that a call has made and put no file into but its lock."""
    if any(path.is_file() and path.name != NAME for path in folder.rglob("*")):
        return
    with suppress(OSError):
        (folder / NAME).unlink()
    inside = sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True)
    for path in [*inside, *made]:
        with suppress(OSError):  # someone has put something there meanwhile
            path.rmdir()
