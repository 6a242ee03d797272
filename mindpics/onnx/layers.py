"""Caffe layers as ONNX nodes: one writer a layer type, each what Caffe's forward pass does in phase TEST.

Sources: BVLC/caffe, src/caffe/layers/*_layer.cpp and src/caffe/proto/caffe.proto; the ONNX operators, version 13.
"""

from dataclasses import dataclass

import numpy as np
from caffe.proto import caffe_pb2

from mindpics.onnx.pooling import write_pooling


@dataclass(frozen=True)
class Layer:
    """A layer that is to be written.

    Attributes
    ----------
    param : LayerParameter
    inputs : list of str
        ONNX values of its bottoms.
    shapes : list of tuple
        Of its bottoms.
    top_shape : tuple
        Of its first top.
    weights : list of float32 arrays
    """

    param: caffe_pb2.LayerParameter
    inputs: list
    shapes: list
    top_shape: tuple
    weights: list

    def axis(self, index):
        """Return an axis of the first bottom, counted from its front.

        Parameters
        ----------
        index : int
            As a prototxt has it: -1 is the last.
        """
        return index % len(self.shapes[0])


def write_layer(graph, layer):
    """Add a layer's nodes to a `mindpics.onnx.graph.Graph`; return the ONNX value of each top.

    Parameters
    ----------
    graph : mindpics.onnx.graph.Graph
    layer : Layer

    Raises
    ------
    ValueError
        When ONNX has no such layer, or not with these parameters: "found X; wanted Y".
    """
    check_type(layer.param)
    return _WRITERS[layer.param.type](graph, layer)


def check_type(param):
    """Raise ValueError unless a LayerParameter is of a type that can be written."""
    if param.type not in WRITTEN:
        raise ValueError(f"found type {param.type}; wanted one of {', '.join(WRITTEN)}")


def _convolution(graph, layer):
    param = layer.param.convolution_param
    if layer.axis(param.axis) != 1:
        raise ValueError(f"found axis {param.axis}; wanted 1")
    spatial = layer.weights[0].ndim - 2
    attributes = {
        "kernel_shape": layer.weights[0].shape[2:],
        "strides": _per_axis(param, "stride", 1, spatial),
        "pads": 2 * _per_axis(param, "pad", 0, spatial),
        "dilations": _per_axis(param, "dilation", 1, spatial),
        "group": param.group,
    }
    weights = [graph.constant(name, blob) for name, blob in zip(("weights", "bias"), layer.weights, strict=False)]
    return [graph.node("Conv", value, *weights, **attributes) for value in layer.inputs]


def _per_axis(param, name, default, count):
    """Return one number a spatial axis: given as NAME_h and NAME_w, one for all, one each, or not at all."""
    if name != "dilation" and (param.HasField(f"{name}_h") or param.HasField(f"{name}_w")):
        return [getattr(param, f"{name}_h"), getattr(param, f"{name}_w")]
    numbers = list(getattr(param, name)) or [default]
    return numbers * count if len(numbers) == 1 else numbers


def _inner_product(graph, layer):
    param = layer.param.inner_product_param
    axis, shape = layer.axis(param.axis), layer.shapes[0]
    value = layer.inputs[0] if (axis, len(shape)) == (1, 2) else graph.node("Flatten", layer.inputs[0], axis=axis)
    weights = [graph.constant(name, blob) for name, blob in zip(("weights", "bias"), layer.weights, strict=False)]
    value = graph.node("Gemm", value, *weights, transB=int(not param.transpose))
    return [value if axis == 1 else _reshaped(graph, value, (-1, *shape[1:axis], param.num_output))]


def _lrn(graph, layer):
    param = layer.param.lrn_param
    if param.norm_region != param.ACROSS_CHANNELS:
        raise ValueError("found norm_region: WITHIN_CHANNEL; wanted ACROSS_CHANNELS")
    return [graph.node("LRN", layer.inputs[0], size=param.local_size, alpha=param.alpha, beta=param.beta, bias=param.k)]


def _batch_norm(graph, layer):
    """Mean and variance are stored as sums; the third blob is what they are divided by."""
    param = layer.param.batch_norm_param
    if param.HasField("use_global_stats") and not param.use_global_stats:
        raise ValueError("found use_global_stats: false; wanted true, or none: statistics of a batch are not stored")
    mean, variance, weight = layer.weights
    factor = 0 if weight[0] == 0 else 1 / weight[0]
    blobs = {
        "scale": np.ones_like(mean),
        "shift": np.zeros_like(mean),
        "mean": mean * factor,
        "variance": variance * factor,
    }
    constants = [graph.constant(name, blob) for name, blob in blobs.items()]
    return [graph.node("BatchNormalization", layer.inputs[0], *constants, epsilon=param.eps)]


def _scale(graph, layer):
    """By a blob of its own or by a second bottom, whose axes stand at the first one's `axis`."""
    param = layer.param.scale_param
    shape = layer.shapes[1] if len(layer.inputs) == 2 else layer.weights[0].shape
    behind = len(layer.shapes[0]) - layer.axis(param.axis) - len(shape) if shape else 0
    stretched = shape + (1,) * behind
    if len(layer.inputs) == 1:
        factor = graph.constant("scale", layer.weights[0].reshape(stretched))
    elif behind:
        new_axes = graph.constant("axes", np.arange(len(shape), len(stretched)))
        factor = graph.node("Unsqueeze", layer.inputs[1], new_axes)
    else:
        factor = layer.inputs[1]
    value = graph.node("Mul", layer.inputs[0], factor)
    if param.bias_term:
        value = graph.node("Add", value, graph.constant("bias", layer.weights[-1].reshape(stretched)))
    return [value]


def _relu(graph, layer):
    slope = layer.param.relu_param.negative_slope
    return [graph.node("LeakyRelu", *layer.inputs, alpha=slope) if slope else graph.node("Relu", *layer.inputs)]


def _eltwise(graph, layer):
    param, values = layer.param.eltwise_param, layer.inputs
    if param.operation == param.MAX:
        return [graph.node("Max", *values)]
    if param.operation == param.PROD:
        product = values[0]
        for value in values[1:]:
            product = graph.node("Mul", product, value)
        return [product]
    if any(coeff != 1 for coeff in param.coeff):
        values = [
            graph.node("Mul", value, graph.constant("coeff", np.float32(coeff)))
            for value, coeff in zip(values, param.coeff, strict=True)
        ]
    return [graph.node("Sum", *values)]


def _concat(graph, layer):
    param = layer.param.concat_param
    axis = param.concat_dim if param.HasField("concat_dim") else layer.axis(param.axis)
    return [graph.node("Concat", *layer.inputs, axis=axis)]


def _softmax(graph, layer):
    return [graph.node("Softmax", *layer.inputs, axis=layer.axis(layer.param.softmax_param.axis))]


def _flatten(graph, layer):
    param, shape = layer.param.flatten_param, layer.shapes[0]
    start, end = layer.axis(param.axis), layer.axis(param.end_axis)
    return [_reshaped(graph, layer.inputs[0], (*(0,) * start, -1, *shape[end + 1 :]))]


def _reshape(graph, layer):
    """Zero copies an axis and -1 is inferred, in Caffe as in ONNX; only axes from `axis` on are replaced."""
    param, shape = layer.param.reshape_param, layer.shapes[0]
    start = param.axis if param.axis >= 0 else len(shape) + param.axis + 1
    end = len(shape) if param.num_axes == -1 else start + param.num_axes
    return [_reshaped(graph, layer.inputs[0], (*(0,) * start, *param.shape.dim, *shape[end:]))]


def _reshaped(graph, value, shape):
    return graph.node("Reshape", value, graph.constant("shape", np.array(shape, np.int64)))


def _split(graph, layer):
    """Caffe copies a blob for each of its readers; an ONNX value has any number of them."""
    return layer.inputs * len(layer.param.top)


def _same(operator):
    return lambda graph, layer: [graph.node(operator, *layer.inputs)]


_WRITERS = {
    "BatchNorm": _batch_norm,
    "Concat": _concat,
    "Convolution": _convolution,
    "Dropout": _same("Identity"),
    "Eltwise": _eltwise,
    "Flatten": _flatten,
    "InnerProduct": _inner_product,
    "LRN": _lrn,
    "Pooling": write_pooling,
    "ReLU": _relu,
    "Reshape": _reshape,
    "Scale": _scale,
    "Sigmoid": _same("Sigmoid"),
    "Softmax": _softmax,
    "Split": _split,
    "TanH": _same("Tanh"),
}
WRITTEN = ("Input", *_WRITERS)
