"""Caffe's own log: glog's file descriptor sent to a file, and test passes read while it grows.

A failed CHECK aborts the process, so the writing is left to a child: it outlives
the abort and shows the fatal lines where a person looks.
"""

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from mindpics.caffe_files.log_lines import Log

# glog 0.6 puts the year before month and day; Caffe's parse_log.py knows the older form only.
_YEAR = re.compile(rb"^([IWEF])20\d\d(\d{4} \d\d:)")


@contextmanager
def caffe_log(path):
    """Send file descriptor 2 to the end of `path`; yield a text stream to the terminal.

    The file reads as `caffe train`'s does, so that Caffe's ``parse_log.py`` takes it.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    _log_every_line()
    sys.stderr.flush()
    terminal = os.dup(2)
    with open(path, "ab") as log:  # opened here: it may have another name before the child has begun
        tee = subprocess.Popen(
            [sys.executable, "-m", "mindpics.caffe_files.log"], stdin=subprocess.PIPE, stdout=log, stderr=terminal
        )
    os.dup2(tee.stdin.fileno(), 2)
    stream = os.fdopen(terminal, "w", encoding="utf-8", buffering=1)
    try:
        yield stream
    finally:
        sys.stderr.flush()
        os.dup2(terminal, 2)
        tee.stdin.close()
        tee.wait()
        stream.close()


@cache  # BVLC's init_log aborts when it is called again
def _log_every_line():
    """Overrule a GLOG_minloglevel of the user's: the file would have no losses, and `TestPasses` no passes."""
    import caffe

    if os.environ.get("GLOG_minloglevel", "0") != "0":  # noqa: SIM112 (glog spells it so)
        caffe.init_log(0, True)


def log_line(text):
    """Write a line of our own between Caffe's (``parse_log.py`` wants one with "Solving")."""
    import caffe

    if hasattr(caffe, "log"):
        caffe.log(text)


class TestPasses:
    """The test passes of a log that is still being written.

    Attributes
    ----------
    rows : list of dict
        One a pass, by iteration: iteration, and Caffe's averages over its batches, named as in `Log`.
    """

    def __init__(self, path, before=0):
        """Take over the passes at iterations below `before`, which a run before this one left."""
        self.path = path
        self.offset = 0
        self.log = Log()
        self.update(whole=True)
        self.log.test = {key: value for key, value in self.log.test.items() if key[1] < before}

    @property
    def rows(self):
        return self.log.passes()

    def update(self, whole=False):
        """Read on; return the rows of the passes that have come to their end since.

        A pass is complete when a training line follows it, or when the log is `whole`.
        """
        with open(self.path, "rb") as stream:
            stream.seek(self.offset)
            data = stream.read()
        if not whole:
            data = data[: _end_of_passes(data)]
        self.offset += len(data)
        new = Log()
        for line in data.decode("utf-8", "replace").splitlines():
            new.read(line)
        self.log.test |= new.test
        return new.passes()


def _end_of_passes(data):
    """Return where the last line ends that follows a complete pass."""
    last = max(data.rfind(b", loss = "), data.rfind(b", lr = "))
    return data.find(b"\n", last) + 1 if last >= 0 else 0


def _tee():
    """Copy standard input to standard output; show on the terminal what glog calls fatal."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    fatal = False
    for line in sys.stdin.buffer:
        line = _YEAR.sub(rb"\1\2", line)
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
        fatal = fatal or line.startswith((b"F", b"*** Check failure", b"[libprotobuf FATAL"))
        if fatal:
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()


if __name__ == "__main__":
    _tee()
