"""Machine limits, measured: SGEMM, memory bandwidth, disk, as yardsticks of the benchmarks."""

import multiprocessing
import os
import platform
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

EVERY = 0.25  # seconds between looks at a running process: a look takes it 10 ms of a core


def describe():
    """Return the processor's name, the cores that this process may use, and the memory in GB."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {"processor": processor(), "cores": cores(), "memory_gb": round(memory, 1)}


def processor():
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def cores():
    return len(os.sched_getaffinity(0))


def sgemm_gflops(n=2048, repeats=5):
    """Return the machine's speed at float32 matrix products in GFLOP/s, the best of some."""
    A = np.random.default_rng(0).random((n, n), dtype=np.float32)
    return 2 * n**3 / min(seconds_of(lambda: A @ A) for _ in range(repeats)) / 1e9


def memory_gb_s(megabytes=256, repeats=5):
    """Return how fast all cores together copy large arrays: GB read plus GB written a second, the best of some."""
    pieces = [np.ones(megabytes * 250_000 // cores(), np.float32) for _ in range(cores())]
    copies = [np.empty_like(piece) for piece in pieces]
    moved = 2 * sum(piece.nbytes for piece in pieces) / 1e9
    with ThreadPoolExecutor(cores()) as pool:  # numpy copies without the interpreter's lock
        return moved / min(seconds_of(lambda: list(pool.map(np.copyto, copies, pieces))) for _ in range(repeats))


def seconds_of(function):
    """Return the seconds that a call takes on the wall's clock."""
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun


def in_child(function, *args, watch=None):
    """Call a function in a fresh process; return its result and the process's peak memory in GB.

    Parameters
    ----------
    function, *args
        They must pickle, and so must the result.
    watch : callable, optional
        Of the process's id; called now and again while it runs.

    Raises
    ------
    RuntimeError
        If it ended without a result; its reason is on the standard error.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, function, args))
    process.start()
    sender.close()
    try:
        while watch and not receiver.poll(EVERY):
            watch(process.pid)
        return receiver.recv()
    except EOFError:
        raise RuntimeError(f"{function.__name__} ended without a result (see above)") from None
    finally:
        process.join()


def _child(sender, function, args):
    result = function(*args)
    sender.send((result, peak_memory_gb()))
    sender.close()


def peak_memory_gb():
    """Return the most memory that this process has held, in GB.

    Not `ru_maxrss`, which begins at what the parent held when it started this process.
    """
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1e6
