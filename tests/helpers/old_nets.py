"""Nets and weights in the forms of 2013 (V0) and 2014 (V1), made from new ones: what people still bring."""

import caffe
import numpy as np
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from mindpics.caffe_files.upgrade_names import TRANSFORM, V0_FIELDS, V0_TYPES, V1_TYPES

V1 = caffe_pb2.V1LayerParameter
FORMS = ("new", "V1", "V0")


def in_form(net, form):
    """Return a NetParameter, weights included, in a form of `FORMS`."""
    return {"new": lambda net: net, "V1": as_v1, "V0": as_v0}[form](net)


def as_v1(net):
    """Return the V1 form: blobs_lr for param, transforms inside data_param, `input` for an Input layer."""
    old = caffe_pb2.NetParameter(name=net.name, input=net.input)
    types = {new: name for name, new in V1_TYPES.items()}
    for layer in net.layer:
        if layer.type == "Input":
            _add_input(layer, old)
            continue
        v1 = old.layers.add(bottom=layer.bottom, top=layer.top, name=layer.name)
        v1.type = V1.LayerType.Value(types[layer.type])
        for name in ("include", "exclude", "blobs", "loss_weight"):
            getattr(v1, name).MergeFrom(getattr(layer, name))
        for spec in layer.param:
            v1.blobs_lr.append(spec.lr_mult)
            v1.weight_decay.append(spec.decay_mult)
        for descriptor, value in layer.ListFields():
            if descriptor.name.endswith("_param"):
                getattr(v1, descriptor.name).CopyFrom(value)
        if layer.type == "Data":
            for name in TRANSFORM.values():
                if layer.transform_param.HasField(name):
                    setattr(v1.data_param, name, getattr(layer.transform_param, name))
            v1.ClearField("transform_param")
    return old


def as_v0(net):
    """Return the V0 form: types in small letters, a padding layer before each padded convolution, no phases."""
    v1 = as_v1(net)
    old = caffe_pb2.NetParameter(name=net.name, input=v1.input, input_dim=v1.input_dim)
    types = {V1.LayerType.Value(v1_type): name for name, v1_type in V0_TYPES.items()}
    for layer in v1.layers:
        v0 = old.layers.add(bottom=layer.bottom, top=layer.top).layer
        v0.name, v0.type = layer.name, types[layer.type]
        for name in ("blobs", "blobs_lr", "weight_decay"):
            getattr(v0, name).MergeFrom(getattr(layer, name))
        for name, places in V0_FIELDS.items():
            if v0.type in places:
                _take(layer, places[v0.type], v0, name)
        for name, new in TRANSFORM.items():
            if v0.type == "data" and layer.data_param.HasField(new):
                setattr(v0, name, getattr(layer.data_param, new))
        if v0.type == "conv" and v0.pad:
            _pad_before(old)
    return old


def _add_input(layer, old):
    for top, shape in zip(layer.top, layer.input_param.shape, strict=True):
        old.input.append(top)
        old.input_dim.extend(shape.dim)


def _take(layer, place, v0, name):
    message, field = place
    value = getattr(layer, message) if field is None else getattr(getattr(layer, message), field)
    repeated = field in ("pad", "kernel_size", "stride") and message == "convolution_param"
    if repeated and not value or not repeated and field and not getattr(layer, message).HasField(field):
        return
    if hasattr(value, "CopyFrom"):
        getattr(v0, name).CopyFrom(value)
    else:
        setattr(v0, name, value[0] if repeated else value)


def _pad_before(old):
    conv = caffe_pb2.V1LayerParameter()
    conv.CopyFrom(old.layers[-1])
    name = f"pad_{conv.layer.name}"
    del old.layers[-1]
    padding = old.layers.add(bottom=conv.bottom, top=[name])
    padding.layer.name, padding.layer.type, padding.layer.pad = name, "padding", conv.layer.pad
    conv.layer.ClearField("pad")
    conv.bottom[0] = name
    old.layers.append(conv)


def write_net(net, path):
    """Write a prototxt as it is: `write_message` without our upgrade in sight."""
    path.write_text(text_format.MessageToString(net))
    return path


def write_weights(deploy, folder, form):
    """Fill a deploy net (a path) and write its weights in a form of `FORMS`, or "HDF5"; return their path.

    Blobs of old forms have the old four dimensions.
    """
    caffe.set_random_seed(5)
    net = caffe.Net(str(deploy), caffe.TEST)
    for blobs in net.params.values():
        for number, blob in enumerate(blobs):
            blob.data.flat = 0.01 * ((1 + number + 7 * np.arange(blob.count)) % 23) - 0.1
    return save_weights(net, folder, form)


def save_weights(net, folder, form):
    """Write the weights of a caffe.Net in a form of `FORMS`, or "HDF5"; return their path."""
    path = folder / f"{form}.caffemodel{'.h5' if form == 'HDF5' else ''}"
    if form == "HDF5":
        net.save_hdf5(str(path))
        return path
    net.save(str(path))
    stored = caffe_pb2.NetParameter.FromString(path.read_bytes())
    if form != "new":
        stored = in_form(_without_input(stored), form)
        for layer in stored.layers:
            for blob in [*layer.blobs, *layer.layer.blobs]:
                _as_four_dimensions(blob)
    path.write_bytes(stored.SerializeToString())
    return path


def _without_input(net):
    """Return a saved net as it was saved when inputs were no layers."""
    own = caffe_pb2.NetParameter(name=net.name, input=["data"])
    own.layer.extend(layer for layer in net.layer if layer.type != "Input")
    return own


def _as_four_dimensions(blob):
    dims = [1] * (4 - len(blob.shape.dim)) + list(blob.shape.dim)
    blob.num, blob.channels, blob.height, blob.width = dims
    blob.ClearField("shape")
