"""Ctrl-C and SIGTERM, which batch systems send: raised alike, or deferred until the work in hand is done.

And a parent's death, which ends its children.
"""

import ctypes
import os
import signal
import threading
from contextlib import contextmanager

PR_SET_PDEATHSIG = 1  # sys/prctl.h


def die_with_parent(parent=None):
    """Let no child outlive a killed parent, for whose work in its folder it would be taken; called in the child.

    `parent` is the parent's process id, to see that it is not dead already.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


@contextmanager
def interruptible():
    """Yield a list that fills with the signals that came; whoever works looks at it between two steps."""
    signals = []
    previous = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, lambda received, _frame: signals.append(received))
    except ValueError:
        pass  # not the main thread: signals belong to someone else
    try:
        yield signals
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def terminable():
    """Have SIGTERM raise KeyboardInterrupt inside the block, as Ctrl-C does, also where a shell has Ctrl-C ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals belong to someone else
        return
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
