"""Run a function over many items in child processes, a time limit each.

Pictures from a crawl can hang, crash or exhaust a decoder or a renderer. Here
that costs one item and gives a reason; the run goes on.
"""

import multiprocessing
import os
import resource
import signal
from collections import deque
from concurrent.futures import TimeoutError
from itertools import islice

from pebble import ProcessExpired, ProcessPool

WINDOW = 256  # results that may wait in memory: flat however long the list is
MEMORY_LIMIT = 4 << 30  # bytes of address space a child may take


def run_each(function, items, workers=None, timeout=20):
    """Yield ``(item, result, reason)`` for every item, in order.

    Parameters
    ----------
    function : callable
        Of one item; it and its results must pickle. Its ValueError is a reason,
        anything else it raises is a reason with the exception's name.
    items : iterable
        Read as needed, never more than WINDOW ahead.
    workers : int, optional
        Child processes; default: one a core.
    timeout : float
        Seconds an item may take; its process is then killed and replaced.

    Yields
    ------
    item, result, reason
        ``reason`` is None when the function returned; else ``result`` is None.
    """
    # forkserver: a fork of a process that has run OpenCV's or BLAS's threads may hang
    context = multiprocessing.get_context("forkserver")
    items = iter(items)
    with ProcessPool(workers or os.cpu_count(), initializer=prepare_child, context=context) as pool:
        waiting = deque()

        def submit(count):
            for item in islice(items, count):
                waiting.append((item, pool.schedule(function, args=[item], timeout=timeout)))

        try:
            submit(WINDOW)
            while waiting:
                item, future = waiting.popleft()
                yield item, *outcome(future, timeout)
                submit(1)
        finally:
            pool.stop()


def prepare_child():
    """Fail an allocation rather than swallow the machine; leave Ctrl-C to the parent; keep decoders' remarks out.

    libtiff and libpng write to stderr what the parent gets as a reason, or what is no matter.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, resource.getrlimit(resource.RLIMIT_AS)[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def outcome(future, timeout):
    """Return ``(result, reason)`` of a pool's future, as `run_each` yields them."""
    try:
        return future.result(), None
    except TimeoutError:
        return None, f"took more than {timeout:g} s"
    except ProcessExpired as crash:
        return None, f"crashed its process (exit code {crash.exitcode})"
    except MemoryError:
        return None, "needs too much memory"
    except ValueError as error:
        return None, str(error)
    except Exception as error:  # any picture may break any decoder; it must not end the run
        return None, f"{type(error).__name__}: {error}"
