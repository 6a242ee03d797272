"""Upgrade of old nets and solvers (V0, V1, old input, transform, BatchNorm and solver_type fields), as Caffe does it.

Every rule is that of BVLC/caffe, src/caffe/util/upgrade_proto.cpp, in its order. Caffe upgrades after it has read
a file, so what an old form hides is seen only in the upgraded net: that is the one to check, and to give to Caffe.
"""

from dataclasses import dataclass, field

from caffe.proto import caffe_pb2

from mindpics.caffe_files.upgrade_names import SOLVER_TYPES, TRANSFORM, V0_FIELDS, V0_TYPES, V1_TYPES

_V1 = caffe_pb2.V1LayerParameter
_TRANSFORMED = {_V1.DATA: "data_param", _V1.IMAGE_DATA: "image_data_param", _V1.WINDOW_DATA: "window_data_param"}
_SPECS = ("param", "blob_share_mode", "blobs_lr", "weight_decay")  # of V1, one entry a blob


@dataclass
class Upgraded:
    """A net as Caffe builds it.

    Attributes
    ----------
    net : NetParameter
        With `layer` alone: no `layers`, no `input`.
    origins : list of (int or None)
        Of each layer, the index it had in the file's `layers` or `layer`; None for the Input layer made of `input`.
    lost : list of (int, str)
        Index in the file's `layers`, and what Caffe drops there.
    frozen : list of int
        Index in `net` of BatchNorms whose statistics were to be learned, which Caffe does not do.
    """

    net: object
    origins: list
    lost: list = field(default_factory=list)
    frozen: list = field(default_factory=list)


def upgrade_net(net):
    """Return the Upgraded of a NetParameter, which is left as it is.

    Raises
    ------
    ValueError
        Where Caffe aborts, or reads beyond what is there.
    """
    result = Upgraded(caffe_pb2.NetParameter(), list(range(len(net.layers) or len(net.layer))))
    result.net.CopyFrom(net)
    if any(layer.HasField("layer") for layer in net.layers):
        _upgrade_v0(result)
    _upgrade_transforms(result.net)
    if result.net.layers:
        _upgrade_v1(result.net)
    if result.net.input:
        _upgrade_input(result)
    result.frozen = _upgrade_batch_norms(result.net)
    return result


def upgrade_solver(solver):
    """Turn a SolverParameter's old solver_type into `type`, in place; ValueError when it has both."""
    if not solver.HasField("solver_type"):
        return
    if solver.HasField("type"):
        raise ValueError("found solver_type (old) and type; one of them is wanted")
    solver.type = SOLVER_TYPES[caffe_pb2.SolverParameter.SolverType.Name(solver.solver_type)]
    solver.ClearField("solver_type")


def is_old(net):
    """Tell whether a NetParameter has anything that Caffe upgrades, BatchNorm's multipliers aside."""
    return bool(net.layers or net.input)


def _upgrade_v0(result):
    """V0 to V1: what a V0 net cannot hold (new layers, input_shape, state) goes, as in Caffe."""
    padded, result.origins = _fold_padding(result.net)
    old, result.net = result.net, caffe_pb2.NetParameter()
    for name in ("name", "force_backward"):
        if old.HasField(name):
            setattr(result.net, name, getattr(old, name))
    result.net.input.extend(old.input)
    result.net.input_dim.extend(old.input_dim)
    for layer, origin in zip(padded, result.origins, strict=True):
        lost = _v1_layer(layer, result.net.layers.add())
        result.lost += [(origin, text) for text in lost]


def _fold_padding(net):
    """Return (V0 layers without the padding layers, their indices): each conv or pool takes the pad of its bottom."""
    makers, kept, origins = dict.fromkeys(net.input), [], []
    for index, layer in enumerate(net.layers):
        folded = _V1()
        folded.CopyFrom(layer)
        for number, bottom in enumerate(layer.bottom):
            if bottom not in makers:
                raise ValueError(
                    f"layer {layer.layer.name!r}: found bottom {bottom!r}; wanted the top of a layer before it"
                )
            source = makers[bottom]
            if source is not None and source.layer.type == "padding":
                _check_padding(source, layer)
                folded.layer.pad = source.layer.pad
                folded.bottom[number] = source.bottom[0]
        if layer.layer.type != "padding":
            kept.append(folded)
            origins.append(index)
        makers.update(dict.fromkeys(layer.top, layer))
    return kept, origins


def _check_padding(source, layer):
    where = f"layer {layer.layer.name!r}, which reads the padding layer {source.layer.name!r}"
    if layer.layer.type not in ("conv", "pool"):
        raise ValueError(f"{where}: found type {layer.layer.type!r}; wanted conv or pool")
    if len(layer.bottom) != 1 or len(source.bottom) != 1 or len(source.top) != 1:
        raise ValueError(f"{where}: wanted one bottom of each, and one top of the padding layer")


def _v1_layer(old, new):
    """Fill a V1 layer from a V0 one; return what has no place in it, in words."""
    new.bottom.extend(old.bottom)
    new.top.extend(old.top)
    if not old.HasField("layer"):
        return ["a V1 layer among V0 layers: all but its bottoms and tops"]
    v0, lost = old.layer, []
    if v0.HasField("name"):
        new.name = v0.name
    if v0.HasField("type"):
        if v0.type not in V0_TYPES:
            raise ValueError(f"layer {v0.name!r}: found type {v0.type!r}; wanted one of V0")
        new.type = _V1.LayerType.Value(V0_TYPES[v0.type])
    for name in ("blobs", "blobs_lr", "weight_decay"):
        getattr(new, name).MergeFrom(getattr(v0, name))
    for descriptor, value in v0.ListFields():
        if descriptor.name in TRANSFORM:
            setattr(new.transform_param, TRANSFORM[descriptor.name], value)
        elif descriptor.name in V0_FIELDS:
            place = V0_FIELDS[descriptor.name].get(v0.type)
            if place is None:
                lost.append(f"{descriptor.name}, which a V0 layer of type {v0.type!r} does not have")
            else:
                _put(new, place, value)
    return lost


def _put(layer, place, value):
    message, name = place
    message = getattr(layer, message) if name else layer
    name = name or place[0]
    if message.DESCRIPTOR.fields_by_name[name].label == 3:  # repeated
        getattr(message, name).append(value)
    elif message.DESCRIPTOR.fields_by_name[name].message_type:
        getattr(message, name).CopyFrom(value)
    else:
        setattr(message, name, value)


def _upgrade_transforms(net):
    """Move scale, mean_file, crop_size and mirror of old data layers into transform_param."""
    layers = [(layer, _TRANSFORMED[layer.type]) for layer in net.layers if layer.type in _TRANSFORMED]
    names = TRANSFORM.values()
    if not any(getattr(layer, param).HasField(name) for layer, param in layers for name in names):
        return
    for layer, param in layers:
        getattr(layer, param).SetInParent()
        layer.transform_param.SetInParent()
        for name in names:
            if getattr(layer, param).HasField(name):
                setattr(layer.transform_param, name, getattr(getattr(layer, param), name))
                getattr(layer, param).ClearField(name)


def _upgrade_v1(net):
    if net.layer:
        raise ValueError("found both layer { } and layers { }; wanted one of them: Caffe refuses to upgrade such a net")
    for old in net.layers:
        _new_layer(old, net.layer.add())
    net.ClearField("layers")


def _new_layer(old, new):
    for descriptor, value in old.ListFields():
        name = descriptor.name
        if name == "type":
            new.type = V1_TYPES[_V1.LayerType.Name(value)]
        elif name == "name":
            new.name = value
        elif name in ("bottom", "top", "loss_weight", "include", "exclude", "blobs"):
            getattr(new, name).MergeFrom(value)
        elif name not in _SPECS:
            getattr(new, name).CopyFrom(value)
    for names, into in zip(_SPECS, ("name", "share_mode", "lr_mult", "decay_mult"), strict=True):
        for number, value in enumerate(getattr(old, names)):
            while len(new.param) <= number:
                new.param.add()
            setattr(new.param[number], into, value)


def _upgrade_input(result):
    """Turn `input` and its shapes into an Input layer in front; without shapes it goes, as in an old caffemodel."""
    net = result.net
    if net.input_shape or net.input_dim:
        layer = caffe_pb2.LayerParameter(name="input", type="Input", top=net.input)
        for dims in _input_dims(net):
            layer.input_param.shape.add(dim=dims)
        layers = [layer, *net.layer]
        net = caffe_pb2.NetParameter()
        net.CopyFrom(result.net)
        net.ClearField("layer")
        net.layer.extend(layers)
        result.net, result.origins = net, [None, *result.origins]
    for name in ("input", "input_shape", "input_dim"):
        net.ClearField(name)


def _input_dims(net):
    count = len(net.input)
    if net.input_shape:
        if len(net.input_shape) < count:
            raise ValueError(f"found {len(net.input_shape)} input_shape; wanted one for each of {count} input")
        return [list(shape.dim) for shape in net.input_shape][:count]
    if len(net.input_dim) < 4 * count:
        raise ValueError(f"found {len(net.input_dim)} input_dim; wanted four for each of {count} input")
    return [list(net.input_dim[4 * i : 4 * i + 4]) for i in range(count)]


def _upgrade_batch_norms(net):
    """Set the three multipliers of old BatchNorms to 0; return which of them were to be learned."""
    learned = []
    for index, layer in enumerate(net.layer):
        if layer.type == "BatchNorm" and len(layer.param) == 3:
            learned += [index] * any(spec.lr_mult for spec in layer.param)
            for spec in layer.param:
                spec.lr_mult = spec.decay_mult = 0
    return learned
