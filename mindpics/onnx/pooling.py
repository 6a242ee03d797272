"""Caffe's Pooling as ONNX nodes: sizes are rounded up, and AVE counts padding but not what lies beyond it.

ONNX's own ceil_mode differs at the edge, and from version to version. Here the last windows are given the padding
that makes Caffe's size come out by rounding down. Source: BVLC/caffe, src/caffe/layers/pooling_layer.cpp.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Windows:
    """Caffe's windows along one axis of a picture: sizes in pixels, `count` of windows."""

    size: int
    kernel: int
    stride: int
    pad: int
    count: int

    @property
    def pad_behind(self):
        """Return how far the last window reaches beyond the picture."""
        return max(0, (self.count - 1) * self.stride + self.kernel - self.size - self.pad)

    def lengths(self):
        """Return how many pixels of each window AVE divides by: int64 [count]."""
        starts = np.arange(self.count) * self.stride - self.pad
        return np.minimum(starts + self.kernel, self.size + self.pad) - starts


def write_pooling(graph, layer):
    """Add a Pooling layer's nodes; see `mindpics.onnx.layers.write_layer`."""
    param = layer.param.pooling_param
    if len(layer.param.top) > 1:
        raise ValueError(f"found {len(layer.param.top)} tops; wanted one: the mask of MAX cannot be written")
    if param.pool == param.STOCHASTIC:
        raise ValueError("found pool: STOCHASTIC; wanted MAX or AVE")
    windows = _windows(param, layer.shapes[0][2:], layer.top_shape[2:])
    fill = -np.finfo(np.float32).max if param.pool == param.MAX else 0  # where MAX begins
    value, attributes = _padded(graph, layer.inputs[0], windows, fill)
    if param.pool == param.MAX:
        return [graph.node("MaxPool", value, **attributes)]
    value = graph.node("AveragePool", value, count_include_pad=1, **attributes)
    share = _share(*windows)
    return [value if (share == 1).all() else graph.node("Mul", value, graph.constant("share", share))]


def _windows(param, sizes, counts):
    windows = []
    for letter, size, count in zip("hw", sizes, counts, strict=True):
        kernel = size if param.global_pooling else _of_axis(param, "kernel", letter, param.kernel_size)
        stride, pad = (_of_axis(param, name, letter, getattr(param, name)) for name in ("stride", "pad"))
        windows.append(Windows(size, kernel, stride, pad, count))
    return windows


def _of_axis(param, name, letter, size):
    return getattr(param, f"{name}_{letter}") if param.HasField(f"{name}_{letter}") else size


def _padded(graph, value, windows, fill):
    """Return (value, attributes) of the pooling node; a window wholly outside the picture needs a Pad before it."""
    attributes = {"kernel_shape": [axis.kernel for axis in windows], "strides": [axis.stride for axis in windows]}
    before, behind = [axis.pad for axis in windows], [axis.pad_behind for axis in windows]
    if all(axis.pad_behind < axis.kernel for axis in windows):
        return value, attributes | {"pads": before + behind}
    pads = graph.constant("pads", np.array([0, 0, *before, 0, 0, *behind], np.int64))
    return graph.node("Pad", value, pads, graph.constant("fill", np.float32(fill))), attributes


def _share(high, wide):
    """Return by how much an average over whole windows is too small: float32 [h, w]."""
    with np.errstate(divide="ignore"):  # a window that begins where the picture ends: 0 / 0 in Caffe too
        return np.float32(high.kernel * wide.kernel / np.outer(high.lengths(), wide.lengths()))
