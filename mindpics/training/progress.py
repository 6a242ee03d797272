"""Progress bar of a solver: its name, how far it is, the time left, the loss and the last test's accuracy."""

import os

import numpy as np

from mindpics.files.printable import shortened
from mindpics.jobs.bars import bar_of

LINE = "{desc} {percentage:3.0f}%|{bar}| {remaining} left{postfix}"
ROOM = 50  # columns of all but the name: a short bar, hours, ", loss 0.693, test 61.2%"


def training_bar(name, total, done, terminal):
    """Return the tqdm bar of a training on the text stream `terminal`; one that shows nothing for None.

    Parameters
    ----------
    name : str
        What stands before the bar.
    total, done : int
        Iterations in all, and before this process.
    terminal : text stream or None
    """
    live = terminal is not None and terminal.isatty()
    look = {}
    if live:
        columns = os.get_terminal_size(terminal.fileno()).columns
        name, look = shortened(name, columns - ROOM), {"bar_format": LINE, "mininterval": 0.5, "dynamic_ncols": True}
    shown = {"disable": True} if terminal is None else {"file": terminal, "delay": 0}
    return bar_of(total=total, initial=done, desc=name, unit="it", **shown, **look)


def status(losses, rows, tests):
    """Return the mean loss over `rows` of iterations and all heads, and the last test's mean accuracy, as text.

    It fits a terminal beside a bar: each head's loss is in train.csv.

    Parameters
    ----------
    losses : sequence of str
        Names of the loss blobs.
    rows : list of dict
        The latest iterations of the training, one at least; those before a resume may lack a loss.
    tests : list of dict
        A row a test pass; [] before the first.
    """
    values = [row[loss] for row in rows for loss in losses if loss in row]
    parts = [f"loss {np.mean(values):.3g}"] if values else []
    accuracies = [value for name, value in tests[-1].items() if name.startswith("accuracy")] if tests else []
    if accuracies:
        parts.append(f"test {100 * np.mean(accuracies):.1f}%")
    return ", ".join(parts)
