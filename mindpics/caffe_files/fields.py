"""Fields of a solver and of a net's layers, set by name."""

import re

from caffe.proto import caffe_pb2

from mindpics.caffe_files.prototxt import nearest
from mindpics.caffe_files.solver_nets import takes_part, trained_state

LAYER = "layer["
TRANSFORMS = ("Data", "ImageData", "WindowData", "MemoryData")  # their own scale, mirror and so on are dead since 2013
_LAYER_FIELD = re.compile(r"layer\[([^\]]+)\]\.([\w.]+)")


def setting(text):
    """Return (name, value) of "NAME=VALUE": a number where it is one, true or false, else a text.

    Raises
    ------
    ValueError
        Where there is no "=".
    """
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ValueError(f"found {text!r}; wanted NAME=VALUE")
    return name, value_of(value)


def settings(texts):
    """Return {name: value} of "NAME=VALUE" texts; a name that is given several times has the list of its values."""
    lists = {}
    for name, value in map(setting, texts):
        lists.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in lists.items()}


def value_of(text):
    """Return a text as an int, a float or a bool where it is written as one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return {"true": True, "false": False}.get(text, text)


def set_fields(message, fields):
    """Set fields of a Caffe message by name: numbers, texts, enums by their names, lists where they are repeated.

    Raises
    ------
    ValueError
        For a name that is no such field, or a value that it does not take.
    """
    for name, value in fields.items():
        descriptor = message.DESCRIPTOR.fields_by_name.get(name)
        kind = message.DESCRIPTOR.name
        if descriptor is None or descriptor.message_type is not None:
            near = nearest(name, message.DESCRIPTOR.fields_by_name)
            raise ValueError(f"found {name}={value!r}; wanted a field of {kind} that is no message{near}")
        try:
            if descriptor.label == descriptor.LABEL_REPEATED:
                getattr(message, name)[:] = value if isinstance(value, (list, tuple)) else [value]
            else:
                setattr(message, name, value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"found {name}={value!r}; {kind} does not take it ({error})") from None


def set_layers(nets, fields, solver=None):
    """Set fields of layers: ``{"layer[fc6].dropout_ratio": .7}``, in each layer of that name, in each net of a solver.

    So TRAIN and TEST, whose data layers share a name, stay alike; the batch_size alone is set for training only,
    since test_iter counts TEST's.

    Parameters
    ----------
    nets : list of NetParameter
        The one that is trained, then test nets.
    fields : dict
        The field is one of the layer, of its type's parameters, or of those of a layer in place on its top, as
        dropout is: fc6's is that of drop6. A longer path says which, as in ``layer[conv1].weight_filler.std``.
    solver : SolverParameter, optional
        Of whose training the batch_size is.

    Raises
    ------
    ValueError
        For a layer or a field that no net has, or a value that it does not take.
    """
    state = trained_state(nets[0], solver or caffe_pb2.SolverParameter())
    for path, value in fields.items():
        match = _LAYER_FIELD.fullmatch(path)
        if not match:
            raise ValueError(f"found {path}={value!r}; wanted layer[NAME].FIELD")
        name, (*outer, last) = match.group(1), match.group(2).split(".")
        _check_name(nets, name)
        reached = [(net is nets[0], *pair) for net in nets for pair in _nearest(net, name, [*outer, last])]
        if not reached:
            raise ValueError(f"found {path}={value!r}; wanted a layer of {_name(nets)} that has this field")
        training = [each for each in reached if each[0] and takes_part(each[1], state)] if last == "batch_size" else []
        for _, _, message in training or reached:
            for part in outer:
                message = getattr(message, part)
            set_fields(message, {last: value})


def _check_name(nets, name):
    names = [layer.name for net in nets for layer in net.layer]
    if name not in names:
        raise ValueError(f"found layer[{name}]; wanted a layer of {_name(nets)}{nearest(name, names)}")


def _name(nets):
    return nets[0].name or "the net"


def _nearest(net, name, path):
    """Return (layer, message with the field) of each layer of the name, or else of the first in place on their top."""
    named = [layer for layer in net.layer if layer.name == name]
    tops = [list(layer.top) for layer in named]
    in_place = [layer for layer in net.layer if list(layer.top) == list(layer.bottom) and list(layer.top) in tops[:1]]
    reached = [(layer, _message(layer, path)) for layer in [*named, *in_place]]
    reached = [(layer, message) for layer, message in reached if message is not None]
    return [(layer, message) for layer, message in reached if layer.name == reached[0][0].name]


def _message(layer, path):
    """Return the first that has a field: what transforms pictures, the parameters of its type, the layer; or None."""
    fields, of_type = layer.DESCRIPTOR.fields_by_name, f"{layer.type}param".lower()
    names = [name for name in fields if name.replace("_", "") == of_type]
    messages = [getattr(layer, name) for name in (*(["transform_param"] if layer.type in TRANSFORMS else []), *names)]
    return next((message for message in (*messages, layer) if _reaches(message, path)), None)


def _reaches(message, path):
    """Tell whether fields lead from one message into another; what is repeated is no way."""
    descriptor = message.DESCRIPTOR
    for part in path[:-1]:
        field = descriptor.fields_by_name.get(part)
        if field is None or field.message_type is None or field.label == field.LABEL_REPEATED:
            return False
        descriptor = field.message_type
    return path[-1] in descriptor.fields_by_name
