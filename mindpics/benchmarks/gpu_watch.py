"""GPU memory and utilisation while a process works, by nvidia-smi."""

import os
import subprocess
import threading
import time

EVERY_MS = 100


def _command(fields, gpu, *options):
    return ["nvidia-smi", f"--id={_number(gpu)}", f"--query-gpu={fields}", "--format=csv,noheader,nounits", *options]


def _number(gpu):
    """Return what nvidia-smi calls a CUDA device: CUDA counts only those that are visible to it."""
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return visible[gpu] if gpu < len(visible) else str(gpu)


def describe(gpu):
    """Return the GPU's name, driver and memory in GB; {} where nvidia-smi does not tell."""
    try:
        line = subprocess.run(
            _command("name,driver_version,memory.total", gpu), capture_output=True, text=True, check=True
        ).stdout
        name, driver, megabytes = (part.strip() for part in line.strip().split(","))
        return {"name": name, "driver": driver, "memory_gb": round(float(megabytes) * 2**20 / 1e9, 1)}
    except (OSError, ValueError, subprocess.CalledProcessError):
        return {}


class Watch:
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
                _command("utilization.gpu,memory.used", self.gpu, f"--loop-ms={EVERY_MS}"),
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
