"""Quiet terminal: what Caffe writes to file descriptor 2 goes to a log, its fatal lines to the terminal as well.

A failed CHECK aborts the process, so the writing is left to a child: it outlives
the abort and shows the last lines where a person looks.
"""

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import deque
from contextlib import contextmanager, redirect_stderr, suppress
from pathlib import Path

from mindpics.files.layout import TrainingFiles

# after which nothing comes, though a child of the tool may hold its end of the pipe open
FAILED, END = b"\0failed\n", b"\0end\n"
FATAL = re.compile(rb"F\d{4,8} \d\d:|\*\*\* Check failure|\[libprotobuf FATAL|terminate called")
LAST = 5  # lines before the fatal one that are shown

# glog 0.6 puts the year before month and day; Caffe's parse_log.py knows the older form only.
_YEAR = re.compile(rb"^([IWEF])20\d\d(\d{4} \d\d:)")


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
        with redirected(stream, log, *([os.path.abspath(out)] if out else [])) as terminal, redirect_stderr(terminal):
            yield


@contextmanager
def redirected(log, *kept):
    """Send file descriptor 2 to an open file, through a child; yield a text stream to the terminal.

    Parameters
    ----------
    log : file
    kept : path
        Where it lies for the while, and what it is to lie beside when the block has ended (see `quiet`).
    """
    sys.stderr.flush()
    before, terminal = os.dup(2), _terminal()
    command = [sys.executable, "-P", "-m", __name__, *kept]
    tee = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=terminal)
    os.dup2(tee.stdin.fileno(), 2)
    end = FAILED
    try:
        yield terminal
        end = END
    finally:
        sys.stderr.flush()
        os.write(2, end)
        os.dup2(before, 2)
        os.close(before)
        tee.stdin.close()
        tee.wait()
        if terminal is not sys.stderr:
            terminal.close()


def _terminal():
    """Return a text stream to where Python's standard error goes, whatever becomes of descriptor 2."""
    try:
        return os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding="utf-8", buffering=1)
    except io.UnsupportedOperation:  # a notebook's
        return os.fdopen(os.dup(2), "w", encoding="utf-8", buffering=1)


def _tee(log=None, out=None):
    """Copy standard input to standard output; show on the terminal what glog calls fatal, and the lines before it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # they are for the process that is at work
        signal.signal(number, signal.SIG_IGN)
    count, last, fatal = 0, deque(maxlen=LAST), False
    for line in sys.stdin.buffer:
        if line.endswith((END, FAILED)):
            _write(1, line.removesuffix(END).removesuffix(FAILED))
            out = None if line.endswith(FAILED) else out
            break
        line = _YEAR.sub(rb"\1\2", line)
        _write(1, line)
        if FATAL.match(line) and not fatal:
            fatal = True
            _write(2, b"".join(last))
        if fatal:
            _write(2, line)
        count += 1
        last.append(line)
    if log:
        _keep(Path(log), Path(out) if out else None, count, fatal)


def _write(descriptor, data):
    with suppress(OSError):  # a full disk, of which the tool tells: it must not lose the reader of its pipe
        os.write(descriptor, data)


def _keep(log, out, count, fatal):
    """Give a log its place; drop one that says nothing, or that nobody would look for."""
    place = _place(out) if out and count else None
    if place:
        try:
            shutil.copyfile(log, place)
        except OSError:  # a full disk, of which the tool tells
            place = None
    if fatal:
        print(f"Caffe's log: {place or log}", file=sys.stderr)
    if place or not fatal:
        log.unlink()


def _place(out):
    """Return where the log of what a tool makes belongs, None where it has made nothing."""
    if out.is_dir():
        return TrainingFiles(out).log if any(out.iterdir()) else None
    return out.with_name(f"{out.stem}.caffe.log") if out.parent.is_dir() else None


if __name__ == "__main__":
    _tee(*sys.argv[1:])
