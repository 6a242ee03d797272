"""Run a function in a forked child first: what aborts or crashes there is an error here, with its last words."""

import multiprocessing
import os
import re
import signal
import tempfile
from concurrent.futures import TimeoutError

from pebble import ProcessExpired
from pebble.concurrent import process

TIMEOUT = 3600  # seconds; a child that hangs is worse than one that is slow


def apart(function, *args, timeout=TIMEOUT):
    """Return ``function(*args)`` of a forked child.

    Its result must pickle. It must not use a GPU, whose state no fork shares.

    Raises
    ------
    ValueError
        As the function does; or with the last words of a child that aborted, crashed or hung.
    """
    with tempfile.TemporaryFile() as said:
        fork = multiprocessing.get_context("fork")  # a new process would take a second to import Caffe
        future = process(context=fork, timeout=timeout)(_run)(said.fileno(), function, args)
        try:
            return future.result()
        except ProcessExpired as crash:
            said.seek(0)
            raise ValueError(last_words(said.read().decode(errors="replace"), crash.exitcode)) from None
        except TimeoutError:
            raise ValueError(f"took more than {timeout:g} s") from None


def last_words(stderr, exitcode=1):
    """Return what Caffe said as it aborted: "Check failed: ...", or how the process ended."""
    lines = [line for line in stderr.splitlines() if re.match(r"F\d+ ", line)]
    if lines:
        return re.sub(r"^F\d+ \S+ +\d+ ", "", lines[0])
    if exitcode < 0:
        return f"the reader ended with {signal.Signals(-exitcode).name}"
    return (stderr.strip().splitlines() or [f"the reader ended with status {exitcode}"])[-1]


def _run(stderr, function, args):
    os.dup2(stderr, 2)
    return function(*args)
