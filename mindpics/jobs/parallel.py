"""Pool of child processes with a time and memory limit an item.

Pictures from a crawl can hang, crash or exhaust a decoder or a renderer. Here
that costs one item and gives a reason; the run goes on.
"""

import ctypes
import multiprocessing
import os
import resource
import signal
from collections import deque
from concurrent.futures import TimeoutError
from functools import partial
from itertools import islice

from pebble import ProcessExpired, ProcessPool

AT_ONCE = 8  # items of a few milliseconds, such as pictures, that go to a child together
WINDOW = 256  # results that may wait in memory: flat however long the list is
KEPT = 256 << 20  # bytes that may wait for the next picture
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, LARGEST = -1, -3, 32 << 20  # of glibc's malloc.h, and the largest it takes
MEMORY_LIMIT = 4 << 30  # bytes of address space a child may take


def run_each(function, items, workers=None, timeout=20, at_once=1):
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
    at_once : int
        Items that go to a child together, which saves a millisecond each. When it does not
        live through them, or takes longer than `timeout`, each of them has another try by itself.

    Yields
    ------
    item, result, reason
        ``reason`` is None when the function returned; else ``result`` is None.

    Raises
    ------
    ValueError
        Of a process that may have no children, as a Dask worker under its nanny is by default.
    """
    if multiprocessing.current_process().daemon:
        raise ValueError(
            "found a Dask worker that may have no children; wanted one that was started with "
            "DASK_DISTRIBUTED__WORKER__DAEMON=False in its environment"
        )
    # forkserver: a fork of a process that has run OpenCV's or BLAS's threads may hang
    context = multiprocessing.get_context("forkserver")
    module = getattr(getattr(function, "func", function), "__module__", None)  # a built-in type's method has none
    context.set_forkserver_preload([module] if module else [])  # imported once, for all children
    items = iter(items)
    keep_memory()
    with ProcessPool(workers or os.cpu_count(), initializer=prepare_child, context=context) as pool:
        waiting = deque()

        def schedule(batch):
            return batch, pool.schedule(_outcomes, args=[function, batch, timeout], timeout=timeout)

        def submit(times):
            waiting.extend(schedule(batch) for _ in range(times) if (batch := list(islice(items, at_once))))

        try:
            submit(max(1, WINDOW // at_once))
            while waiting:
                batch, future = waiting.popleft()
                outcomes, lost = outcome(future.result, timeout)
                if lost and len(batch) > 1:
                    waiting.extendleft(schedule([item]) for item in reversed(batch))
                    continue
                for item, (result, reason) in zip(batch, outcomes or [(None, lost)], strict=True):
                    yield item, result, reason
                submit(1)
        finally:
            pool.stop()


def keep_memory():
    """Keep freed memory in this process: pages that it gives back are zeroed again, a tenth of a picture's time."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's; others go without
    if mallopt:
        mallopt(M_MMAP_THRESHOLD, LARGEST)
        mallopt(M_TRIM_THRESHOLD, KEPT)


def prepare_child():
    """Fail an allocation rather than swallow the machine; leave Ctrl-C to the parent; keep decoders' remarks out.

    libtiff and libpng write to stderr what the parent gets as a reason, or what is no matter.
    """
    keep_memory()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, resource.getrlimit(resource.RLIMIT_AS)[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def outcome(call, timeout):
    """Return ``(result, reason)`` of a function without arguments, such as a future's, as `run_each` yields them."""
    try:
        return call(), None
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


def _outcomes(function, items, timeout):
    return [outcome(partial(function, item), timeout) for item in items]
