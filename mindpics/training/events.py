"""TensorBoard event files of a training, by tensorboardX where it is installed.

They lie beside caffe.log, so ``tensorboard --logdir runs`` shows each run under its folder's name.
"""

import math
import os

try:
    from tensorboardX import SummaryWriter
except ImportError:
    SummaryWriter = None

FLUSH_SECONDS = 5
AGAIN = 1000  # iterations; no net does as many between two flushes


def wanted(tensorboard):
    """Tell whether events will be written: wherever tensorboardX is, unless `tensorboard` is False.

    Raises
    ------
    ValueError
        When `tensorboard` is True and there is no tensorboardX.
    """
    if tensorboard and SummaryWriter is None:
        raise ValueError("event files: found no tensorboardX; wanted it installed (pip install tensorboardX)")
    return SummaryWriter is not None if tensorboard is None else tensorboard


class Events:
    """Scalars of the run in `folder`, once it has begun; with ``write=False`` all is passed over."""

    def __init__(self, folder, write=True):
        self.folder = folder
        self.write = write
        self.writer = None

    def begin(self, iteration, train=(), test=()):
        """Start a file at `iteration`; `train` and `test` are the rows before it.

        TensorBoard drops what other files hold from the new file's first step on. The newest rows are
        written again, since a killed run may not have come to that.

        Parameters
        ----------
        iteration : int
            The first that this file will hold.
        train, test : sequence of dict
            Rows before it: "iteration" and values by name.
        """
        if not self.write:
            return
        first = max(0, iteration - AGAIN)
        self.writer = SummaryWriter(
            str(self.folder),
            purge_step=first,
            flush_secs=FLUSH_SECONDS,
            filename_suffix=f".{iteration:09d}.{os.getpid()}",  # files of one second are read by name
        )
        for phase, rows in (("train", train), ("test", test)):
            for row in rows:
                if row["iteration"] >= first:
                    self.add(phase, row)

    def add(self, phase, row):
        """Write a row, ``{"iteration": i, blob: value, ...}``, as scalars "phase/blob"; nan is left out."""
        for name, value in row.items() if self.writer else ():
            if name != "iteration" and not math.isnan(value):
                self.writer.add_scalar(f"{phase}/{name}", value, row["iteration"])

    def close(self):
        if self.writer:
            self.writer.close()
