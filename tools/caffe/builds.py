"""Which of the wheel's builds of Caffe a process runs: CUDA's where a GPU can be used, else the CPU's.

MINDPICS_CAFFE=cpu or MINDPICS_CAFFE=cuda in the environment asks for one of them; CUDA's computes on
the CPU as well, with or without a GPU. Run as a program, this file fails where there is no GPU: in a
process of its own, since the children of a process that has looked for one can no longer use it.
"""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CUDA = HERE / "cuda"


def count_gpus():
    """End the process, with a line that says why, unless there is a GPU that can be used."""
    driver = ctypes.CDLL("libcuda.so.1")
    count = ctypes.c_int()
    error = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if error or not count.value:
        sys.exit(f"NVIDIA's driver finds no GPU (CUDA error {error}, {count.value} devices)")


def why_no_gpu():
    """Return in a line what keeps this machine from using a GPU, or None."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "NVIDIA's driver is not installed (there is no libcuda.so.1)"
    found = subprocess.run([sys.executable, "-I", __file__], capture_output=True, text=True, check=False)
    return found.stderr.strip() or f"the look for a GPU ended with {found.returncode}" if found.returncode else None


def why_not_loading():
    """Return in a line what keeps CUDA's build from loading, or None."""
    try:
        ctypes.CDLL(str(CUDA / "libcaffe.so"))
    except OSError as error:
        return f"Caffe's CUDA build does not load, {error}: install its libraries (caffe[cuda] for pip)"
    return None


def folder():
    """Return the folder of the build to be used, which holds its libcaffe.so, _caffe.so and commands.

    Raises
    ------
    ImportError
        When MINDPICS_CAFFE asks for a build that is not there or does not load.
    """
    wanted = os.environ.get("MINDPICS_CAFFE") or "auto"
    if wanted not in ("auto", "cpu", "cuda"):
        raise ImportError(f'MINDPICS_CAFFE is "{wanted}"; wanted: cpu or cuda')
    if wanted == "cuda" and not CUDA.is_dir():
        raise ImportError("MINDPICS_CAFFE=cuda, but this Caffe was built for the CPU alone: tools/setup --cuda")
    if wanted == "cpu" or not CUDA.is_dir():
        return HERE
    no_gpu = why_no_gpu()
    if no_gpu and wanted == "auto":
        return HERE
    unloadable = why_not_loading()
    if unloadable and wanted == "cuda":
        raise ImportError(unloadable)
    if no_gpu or unloadable:
        print(f"caffe: {unloadable or no_gpu}; computing on the CPU", file=sys.stderr)
    return HERE if unloadable else CUDA


if __name__ == "__main__":
    count_gpus()
