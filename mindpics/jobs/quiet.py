"""Quiet terminal: what Caffe writes to file descriptor 2 goes to a log, its fatal lines to the terminal as well.

A failed CHECK aborts the process, so the writing is left to a child: it outlives
the abort and shows the last lines where a person looks.
"""

import io
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager, redirect_stderr

from mindpics.files.layout import TrainingFiles
from mindpics.jobs import tee


def add_argument(parser):
    """Add --verbose to a tool that makes nets: `mindpics.cli.run` then has its terminal quiet."""
    parser.add_argument(
        "--verbose", action="store_true", help="Caffe's log on the terminal (default: in a file beside what is made)"
    )


@contextmanager
def quiet(command="", out=None):
    """Keep Caffe off the terminal inside the block; Python's own standard error stays there.

    Parameters
    ----------
    command : str
        First line of the log.
    out : path, optional
        What the block makes. The log becomes OUT/caffe.log of a folder that has been begun, NAME.caffe.log of a
        file NAME.npz. It is not kept where there is none, Caffe said nothing, or an error in words was raised;
        where Caffe ends the process it is.
    """
    descriptor, log = tempfile.mkstemp(prefix="mindpics-", suffix=".caffe.log")
    with open(descriptor, "ab") as stream:
        stream.write(f"{command}\n".encode(errors="replace"))
        stream.flush()
        with redirected(stream, log, *_places(out)) as terminal, redirect_stderr(terminal):
            yield


@contextmanager
def redirected(log, *kept):
    """Send file descriptor 2 to an open file, through a child; yield a text stream to the terminal.

    Parameters
    ----------
    log : file
    kept : path
        Where it lies for the while, and `_places` of what it is to lie beside when the block has ended (see `quiet`).
    """
    sys.stderr.flush()
    before, terminal = os.dup(2), _terminal()
    command = [sys.executable, "-I", "-S", tee.__file__, *kept]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=terminal)
    os.dup2(process.stdin.fileno(), 2)
    end = tee.FAILED
    try:
        yield terminal
        end = tee.END
    finally:
        sys.stderr.flush()
        os.write(2, end)
        os.dup2(before, 2)
        os.close(before)
        process.stdin.close()
        process.wait()
        if terminal is not sys.stderr:
            terminal.close()


def _places(out):
    """Return what a tool makes, the log's place if that is a folder, and if it is a file; [] where it makes nothing."""
    if not out:
        return []
    path = os.path.abspath(out)
    return [path, TrainingFiles(path).log, f"{os.path.splitext(path)[0]}.caffe.log"]


def _terminal():
    """Return a text stream to where Python's standard error goes, whatever becomes of descriptor 2."""
    try:
        return os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding="utf-8", buffering=1)
    except io.UnsupportedOperation:  # a notebook's
        return os.fdopen(os.dup(2), "w", encoding="utf-8", buffering=1)
