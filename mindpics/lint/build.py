"""Nets built by Caffe itself, in a child process: its words where it refuses one, the shapes of weights where not."""

import os
import tempfile
from functools import lru_cache

import caffe
from caffe.proto import caffe_pb2

from mindpics.caffe_files.messages import write_message
from mindpics.caffe_files.weights import targets_of
from mindpics.jobs.fork_first import in_fork
from mindpics.lint.layers import check_reach
from mindpics.lint.phases import SOURCES
from mindpics.lint.preflight import known_channels, stand_in_shape

CHANNELS = 3, 1, 6, 2  # of pictures that are not there, tried in turn: colour, gray, and pairs of them
FILLED = ("convolution_param", "inner_product_param", "embed_param")


def built_targets(view, allow_python_layers=False):
    """Return {layer name: [(shape, shared), ...]} of what a NetPhase has of weights, from Caffe.

    Returns
    -------
    dict or None
        None where Caffe is not asked: pictures of unknown size, lists that are not there, or layers that reach outside.

    Raises
    ------
    ValueError
        With Caffe's own words, when it refuses the net.
    """
    if not allow_python_layers and any(check_reach(view.prototxt)):
        return None
    answer, refusal = _answer(view)
    if refusal:
        raise ValueError(refusal)
    return answer and {name: [(tuple(shape), shared) for shape, shared in target] for name, target in answer["targets"]}


def built_shapes(view):
    """Return {name: shape} of the blobs of a NetPhase, from Caffe; {} where it is not asked, or refuses the net."""
    answer = None if any(check_reach(view.prototxt)) else _answer(view)[0]
    return answer["shapes"] if answer else {}


@lru_cache(maxsize=8)  # its weights are asked for, and the shapes behind each of its labels
def _answer(view):
    """Return what a child tells of a NetPhase that it builds, None if it is not asked; and why Caffe refuses it."""
    data = [layer for _, layer in view.layers if layer.type == "Data"]
    guesses = CHANNELS if any(known_channels(layer) is None for layer in data) else CHANNELS[:1]
    refusals = []
    for channels in guesses:
        net = _stand_in(view, channels)
        if net is None:
            return None, None
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = f"{folder}/phase.prototxt"
                write_message(net, path)
                return in_fork(_build, path, view.phase), None
        except ValueError as error:
            refusals.append(str(error))
    return None, refusals[0]


def check_build(view, allow_python_layers):
    """Yield Caffe's refusal of a NetPhase, if it refuses."""
    try:
        built_targets(view, allow_python_layers)
    except ValueError as error:
        text = f"Caffe refuses this net in phase {view.name}: {error}"
        yield view.prototxt.finding("error", "caffe-refuses", text)


def _stand_in(view, channels):
    """Return the layers of a NetPhase with Input layers for Data layers, and no fillers to wait for.

    Pictures of which nothing tells how many channels they have are given so many.
    """
    net = caffe_pb2.NetParameter(name=view.prototxt.message.name)
    for _, layer in view.layers:
        stand_in = net.layer.add()
        stand_in.CopyFrom(layer)
        stand_in.ClearField("include")
        stand_in.ClearField("exclude")
        if layer.type == "Data":
            shape = stand_in_shape(layer, channels)
            if shape is None:
                return None
            _feed(stand_in, max(1, layer.data_param.batch_size), shape)
        elif layer.type == "HDF5Output":  # which would empty its file when it is made
            stand_in.CopyFrom(caffe_pb2.LayerParameter(name=layer.name, type="Silence", bottom=layer.bottom))
        elif layer.type in SOURCES and not os.path.isfile(getattr(layer, SOURCES[layer.type]).source):
            return None
        for field in FILLED:
            if stand_in.HasField(field):
                getattr(stand_in, field).ClearField("weight_filler")
    return net


def _feed(layer, batch, shape):
    """Turn a Data layer into an Input layer."""
    tops = list(layer.top)
    name = layer.name
    layer.Clear()
    layer.MergeFrom(caffe_pb2.LayerParameter(name=name, type="Input", top=tops))
    layer.input_param.shape.add(dim=[batch, *shape])
    for _ in tops[1:]:
        layer.input_param.shape.add(dim=[batch])


def _build(path, phase):
    caffe.set_mode_cpu()
    net = caffe.Net(path, phase)
    shapes = {name: list(blob.shape) for name, blob in net.blobs.items()}
    return {"targets": list(targets_of(net).items()), "shapes": shapes}
