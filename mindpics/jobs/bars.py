"""Progress bar: redrawn on a terminal and in a notebook; a line a tenth of the way in a pipe or a file."""

import math
import os
import sys

SECONDS = 10  # between two lines of a pipe or a file, and before the first
PARTS = 10
IS_STAGE = "MINDPICS_STAGE"  # set where a runner reads the log to say how far the stage is: a line every SECONDS


def bar_of(items=None, total=None, **options):
    """Return a tqdm bar that says little where nobody watches it.

    Parameters
    ----------
    items : iterable, optional
    total : int, optional
    **options
        Of tqdm.
    """
    from tqdm.asyncio import tqdm as terminal_tqdm  # and asyncio: what shows no bar starts without them
    from tqdm.auto import tqdm

    # redrawn on a terminal, or as a notebook's widget
    if not ((options.get("file") or sys.stderr).isatty() or tqdm is not terminal_tqdm):
        total = len(items) if total is None and hasattr(items, "__len__") else total
        options = {
            "mininterval": SECONDS,
            "maxinterval": math.inf,
            "miniters": _steps(total),
            "delay": SECONDS,
        } | options
    return tqdm(items, total=total, **options)


def _steps(total):
    return 1 if os.environ.get(IS_STAGE) or not total else math.ceil(total / PARTS)
