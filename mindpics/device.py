"""Put Caffe on the CPU or on a GPU, in words where it would abort."""

import subprocess
import sys

import caffe


def set_device(gpu):
    """Set where Caffe computes, in this thread.

    Caffe aborts the process when it was built without CUDA or has no such device, so a
    child process tries first.

    Parameters
    ----------
    gpu : int or None
        Number of the CUDA device; None for the CPU.

    Raises
    ------
    ValueError
        When the child could not use the device.
    """
    if gpu is None:
        caffe.set_mode_cpu()
        return
    probe = f"import caffe; caffe.set_device({int(gpu)}); caffe.set_mode_gpu()"
    if subprocess.run([sys.executable, "-c", probe], capture_output=True, check=False).returncode:
        raise ValueError(f"--gpu {gpu}: this Caffe was built without CUDA, or there is no such device")
    caffe.set_device(gpu)
    caffe.set_mode_gpu()
