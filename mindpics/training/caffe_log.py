"""Caffe's own log of a training: glog's file descriptor sent to a file, and test passes read while it grows."""

import os
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from mindpics.caffe_files.log_lines import Log
from mindpics.jobs.quiet import redirected


@contextmanager
def caffe_log(path):
    """Send file descriptor 2 to the end of `path`; yield a text stream to the terminal.

    The file reads as `caffe train`'s does, so that Caffe's ``parse_log.py`` takes it. But a step at a
    time Caffe begins its mean of ``average_loss`` losses and its clock anew: a line has the loss of its iteration, and
    its iter/s are no speed.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    _log_every_line()
    with open(path, "ab") as log, redirected(log) as terminal:  # opened here: it may be renamed in the block
        yield terminal


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
