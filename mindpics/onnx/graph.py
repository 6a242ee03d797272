"""ONNX model of an opened caffe.Net: its layers as Caffe runs them, in order, under the blobs' names."""

import os

import numpy as np
import onnx
from caffe.proto import caffe_pb2
from onnx import helper, numpy_helper

from mindpics.onnx.layers import Layer, write_layer

OPSET, IR_VERSION = 13, 8  # of 2021: read by old runtimes too


def parameter_of(net):
    """Return the NetParameter of a caffe.Net as Caffe runs it: in today's form, of its phase, with Splits.

    Caffe writes them itself, to a file in memory: a disk that fills up would abort the process.
    """
    with open(os.memfd_create("net"), "rb") as stream:
        net.save(f"/proc/self/fd/{stream.fileno()}")
        return caffe_pb2.NetParameter.FromString(stream.read())


class Graph:
    """An ONNX graph in the making.

    Attributes
    ----------
    nodes, constants : list
        NodeProto, TensorProto.
    values : dict
        Caffe's blob -> the ONNX value that it is at present; a layer in place makes another of it.
    """

    def __init__(self, net):
        self.nodes, self.constants = [], []
        self.values = {name: name for name in net.inputs}
        self._names, self._layer = set(net.blobs), ""

    def node(self, operator, *inputs, **attributes):
        """Add a node with one output; return that value's name.

        Parameters
        ----------
        operator : str
            Of ONNX: "Conv".
        inputs : str
            Names of values.
        attributes
            Of the operator.
        """
        name = self._unused(operator)
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def constant(self, role, array):
        """Add an initializer; return its name."""
        name = self._unused(role)
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def add(self, net, param, is_last):
        """Add a layer; `is_last` tells of a top whether no later layer writes it, so that it gets the blob's name.

        Parameters
        ----------
        net : caffe.Net
            For the blobs' shapes and the layer's weights.
        param : LayerParameter
        is_last : callable
            top -> bool.

        Raises
        ------
        ValueError
            For a layer that `mindpics.onnx.layers.write_layer` has no form of.
        """
        self._layer = param.name
        layer = Layer(
            param=param,
            inputs=[self.values[bottom] for bottom in param.bottom],
            shapes=[_shape(net, bottom) for bottom in param.bottom],
            top_shape=_shape(net, param.top[0]),
            weights=[blob.data for blob in net.params.get(param.name, ())],
        )
        first = len(self.nodes)
        values = write_layer(self, layer)
        for top, value in zip(param.top, values, strict=True):
            self.values[top] = self._renamed(value, top, first) if is_last(top) else value

    def centre(self, blob, mean, scale):
        """Subtract a mean from an input, and multiply what is left.

        Parameters
        ----------
        blob : str
        mean : float32 [C, H, W]
        scale : float
        """
        self._layer = blob
        self.values[blob] = self.node("Sub", blob, self.constant("mean", mean))
        if scale != 1:
            self.values[blob] = self.node("Mul", self.values[blob], self.constant("scale", np.float32(scale)))

    def output(self, blob):
        """Give an output its blob's name, where it is another blob's value."""
        if self.values[blob] != blob:
            self.nodes.append(helper.make_node("Identity", [self.values[blob]], [blob], name=blob))

    def _renamed(self, value, name, first):
        for node in self.nodes[first:]:
            if node.output[0] == value:
                node.output[0] = node.name = name
                return name
        return value

    def _unused(self, role):
        name, number = f"{self._layer}:{role}", 1
        while name in self._names:
            number += 1
            name = f"{self._layer}:{role}{number}"
        self._names.add(name)
        return name


def to_onnx(net, where, mean=None, scale=1.0):
    """Return a caffe.Net in phase TEST as an ONNX model; the first axis of its inputs may have any length.

    Parameters
    ----------
    net : caffe.Net
    where : str
        The net's file, for messages.
    mean : float32 [C, H, W], optional
        Subtracted from the net's input first.
    scale : float
        What is left is multiplied by, where a mean is subtracted.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    ValueError
        Names the layer that cannot be written.
    """
    graph, whole = Graph(net), parameter_of(net)
    outputs = [name for name in net.outputs if name not in net.inputs]
    if not (net.inputs and outputs):
        raise ValueError(f"{where}: found inputs {list(net.inputs)} and outputs {outputs}; wanted some of each")
    if mean is not None:
        graph.centre(net.inputs[0], mean, scale)
    last = {top: number for number, param in enumerate(whole.layer) for top in param.top} | dict.fromkeys(net.inputs)
    for number, param in enumerate(whole.layer):
        if param.type != "Input":
            _add(graph, net, param, where, lambda top, number=number: last[top] == number)
    for name in outputs:
        graph.output(name)
    return _model(graph, net, whole.name, outputs)


def _add(graph, net, param, where, is_last):
    try:
        graph.add(net, param, is_last)
    except ValueError as error:
        raise ValueError(f"{where}: layer {param.name}: {error}") from None


def _model(graph, net, name, outputs):
    batch = _shape(net, net.inputs[0])[0]
    inputs, outputs = ([_value(net, name, batch) for name in names] for names in (net.inputs, outputs))
    named = helper.make_graph(graph.nodes, name or "net", inputs, outputs, graph.constants)
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_model(named, opset_imports=opset, ir_version=IR_VERSION, producer_name="mindpics")


def _value(net, name, batch):
    """Describe an input or output; its first axis is free, named where it is the batch."""
    length, *rest = _shape(net, name)
    shape = ["N" if length == batch else None, *rest]
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)


def _shape(net, blob):
    return tuple(net.blobs[blob].data.shape)
