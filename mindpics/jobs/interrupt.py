"""Deferred Ctrl-C and SIGTERM: they wait until the work in hand is done."""

import signal
from contextlib import contextmanager, suppress


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


def sigterm_is_ctrl_c():
    """Have SIGTERM raise KeyboardInterrupt, so that who starts others ends them in order before it goes."""
    with suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGTERM, signal.default_int_handler)
