"""Engines that gpu_check compares (CPU, CUDA, cuDNN, TF32, stock), each in a process of its own."""

import os
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Engine:
    """A device and the layers that Caffe uses on it.

    Attributes
    ----------
    name : str
    gpu : int or None
        CUDA device; None for the CPU.
    environment : dict
        What chooses the layers and their arithmetic.
    """

    name: str
    gpu: int | None
    environment: dict = field(default_factory=dict)

    def start(self):
        """Return the module caffe, set to this engine: the first thing in a process."""
        os.environ |= self.environment
        import caffe

        if self.gpu is None:
            caffe.set_mode_cpu()
        else:
            caffe.set_device(self.gpu)
            caffe.set_mode_gpu()
        return caffe


STOCK, OURS = {"MINDPICS_ENGINE": "caffe"}, {"MINDPICS_ENGINE": "fast"}
# MINDPICS_TF32 is said either way: the caller's environment may have it.
FLOAT32, TF32 = {"MINDPICS_TF32": "0"}, {"MINDPICS_TF32": "1"}
FIND = FLOAT32 | {"MINDPICS_CUDNN_FIND": "1"}
PLAIN, CUDNN, CUDNN_FIND, CUDNN_TF32 = "plain CUDA", "cuDNN float32", "cuDNN float32, timed choice", "cuDNN TF32"


def engines(gpu):
    """Return (reference, engines to hold against it): a GPU against the CPU, or on a CPU our layers against stock's."""
    if gpu is None:
        return Engine("CPU, stock layers", None, STOCK), [Engine("CPU, our layers", None, OURS)]
    compared = [Engine(PLAIN, gpu, STOCK | FLOAT32)]
    if has_cudnn(gpu):
        compared += [
            Engine(CUDNN, gpu, OURS | FLOAT32),
            Engine(CUDNN_FIND, gpu, OURS | FIND),
            Engine(CUDNN_TF32, gpu, OURS | TF32),
        ]
    return Engine("CPU", None, OURS), compared


def has_cudnn(gpu):
    """Tell whether this Caffe has cuDNN's convolutions for a GPU: asked in a process of its own."""
    from mindpics.benchmarks.machine import in_child

    return in_child(_engine_of_convolution, Engine(CUDNN, gpu, OURS))[0] == "fast"


def _engine_of_convolution(engine):
    from tempfile import NamedTemporaryFile

    caffe = engine.start()
    layers = caffe.layers
    net = caffe.NetSpec()
    net.data = layers.Input(shape={"dim": [1, 1, 3, 3]})
    net.conv = layers.Convolution(net.data, num_output=1, kernel_size=3)
    with NamedTemporaryFile("w", suffix=".prototxt") as stream:
        stream.write(str(net.to_proto()))
        stream.flush()
        return caffe.Net(stream.name, caffe.TEST).layers[1].engine
