"""The --gpu switch: Caffe on the CPU or on a GPU; ValueError where Caffe would abort."""

import subprocess
import sys
from functools import cache

import caffe

from mindpics.jobs.fork_first import last_words


def add_argument(parser):
    """Add --gpu N to a tool."""
    parser.add_argument("--gpu", type=int, metavar="N", help="CUDA device; CPU without it")


def check_device(gpu):
    """Raise ValueError when Caffe has no CUDA or no device of this number; None, the CPU, is always there.

    Parameters
    ----------
    gpu : int or None
        Number of a CUDA device.
    """
    refused = None if gpu is None else _refusal(gpu)
    if refused:
        raise ValueError(
            f"gpu={gpu}: found a Caffe built without CUDA, or no such device ({refused}); wanted one it can set: "
            "tools/setup --cuda makes one for GPUs"
        )


def set_device(gpu):
    """Set where Caffe computes, in this thread: each thread of a process has its own mode and device.

    Parameters
    ----------
    gpu : int or None
        Number of the CUDA device; None for the CPU.

    Raises
    ------
    ValueError
        As `check_device`.
    """
    check_device(gpu)
    if gpu is None:
        caffe.set_mode_cpu()
    else:
        caffe.set_device(gpu)
        caffe.set_mode_gpu()


@cache
def _refusal(gpu):
    """Return Caffe's last words about a device, None when it can be used: it aborts, so a child process tries."""
    probe = f"import caffe; caffe.set_device({int(gpu)}); caffe.set_mode_gpu()"
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    return last_words(run.stderr, run.returncode) if run.returncode else None
