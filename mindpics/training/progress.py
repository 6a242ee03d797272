"""Progress bar of a solver: the loss and the last test's accuracy."""

import numpy as np
from tqdm.auto import tqdm

from mindpics.files.printable import printable_name


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
    # A file gets a line every ten seconds instead of a bar that redraws itself.
    live = terminal is not None and terminal.isatty()
    return tqdm(
        total=total,
        initial=done,
        desc=name,
        unit="it",
        file=terminal,
        disable=terminal is None,
        mininterval=0.5 if live else 10,
        dynamic_ncols=live,
    )


def status(losses, rows, tests):
    """Return the mean loss over `rows` of iterations and all heads, and the last test's mean accuracy, as text.

    It is to fit a terminal beside a bar; each head's loss is in train.csv.

    Parameters
    ----------
    losses : sequence of str
        Names of the loss blobs.
    rows : list of dict
        The latest iterations of the training, one at least.
    tests : list of dict
        A row a test pass; [] before the first.
    """
    name = printable_name(losses[0]) if len(losses) == 1 else f"mean of {len(losses)} losses"
    parts = [f"{name} {np.mean([row[loss] for row in rows for loss in losses]):.3f}"] if losses else []
    accuracies = [value for name, value in tests[-1].items() if name.startswith("accuracy")] if tests else []
    if accuracies:
        parts.append(f"test accuracy {100 * np.mean(accuracies):.1f}%")
    return " ".join(parts)
