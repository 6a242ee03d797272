"""Machine of a benchmark: its limits, measured; its GPU, as nvidia-smi has it; fresh processes on it."""

import multiprocessing
import os
import platform
import re
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

EVERY = 0.25  # seconds between looks at a running process: a look takes it 10 ms of a core
GPU_EVERY_MS = 100


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
    function : callable
    args
        Its arguments; all of it must pickle, and so must the result.
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
        raise RuntimeError(f"{function.__name__}: found no result at its end; wanted one (see above)") from None
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


def _nvidia_smi(fields, gpu, *options):
    return [
        "nvidia-smi",
        f"--id={_smi_number(gpu)}",
        f"--query-gpu={fields}",
        "--format=csv,noheader,nounits",
        *options,
    ]


def _smi_number(gpu):
    """Return what nvidia-smi calls a CUDA device: CUDA counts only those that are visible to it."""
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return visible[gpu] if gpu < len(visible) else str(gpu)


def describe_gpu(gpu):
    """Return the GPU's name, driver and memory in GB; {} where nvidia-smi does not tell."""
    try:
        line = subprocess.run(
            _nvidia_smi("name,driver_version,memory.total", gpu), capture_output=True, text=True, check=True
        ).stdout
        name, driver, megabytes = (part.strip() for part in line.strip().split(","))
        return {"name": name, "driver": driver, "memory_gb": round(float(megabytes) * 2**20 / 1e9, 1)}
    except (OSError, ValueError, subprocess.CalledProcessError):
        return {}


class GpuWatch:
    """Samples of a GPU inside a ``with`` block; none where nvidia-smi does not run, or without a GPU.

    Memory is the device's, less what was taken before the block: process numbers inside a container
    are not those that nvidia-smi has.
    """

    def __init__(self, gpu):
        self.gpu = gpu
        self.samples = []  # (time, percent busy, MB)
        self.process = None

    def __enter__(self):
        if self.gpu is None:
            return self
        try:
            self.process = subprocess.Popen(
                _nvidia_smi("utilization.gpu,memory.used", self.gpu, f"--loop-ms={GPU_EVERY_MS}"),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        except OSError:
            return self
        self._take(self.process.stdout.readline())  # before the block begins
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        if self.process is not None:
            self.process.terminate()
            self.thread.join()
            self.process.wait()
            self.process.stdout.close()

    def _read(self):
        for line in self.process.stdout:
            self._take(line)

    def _take(self, line):
        try:
            busy, megabytes = map(float, line.split(","))
        except ValueError:  # "[N/A]", or a message
            return
        self.samples.append((time.time(), busy, megabytes))

    @property
    def peak_gb(self):
        """Most memory taken inside the block, GB of 10^9 bytes; None without samples."""
        if not self.samples:
            return None
        taken = [megabytes for _, _, megabytes in self.samples]
        return (max(taken) - taken[0]) * 2**20 / 1e9

    def busy(self, began, ended):
        """Return the mean share of time in which a kernel ran, between two times of ``time.time()``; None without."""
        within = [busy for when, busy, _ in self.samples if began <= when <= ended]
        return sum(within) / len(within) / 100 if within else None
