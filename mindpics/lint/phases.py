"""A net as Caffe sees it in one phase: which layers take part."""

from caffe.proto import caffe_pb2

TRAIN, TEST = caffe_pb2.TRAIN, caffe_pb2.TEST
DATA_TYPES = ("Data", "ImageData", "HDF5Data", "WindowData", "MemoryData", "AnnotatedData")


class NetPhase:
    """The layers of a net that take part in a phase.

    Attributes
    ----------
    name : str
        "TRAIN" or "TEST".
    layers : list of (int, LayerParameter)
        With their index in the file.
    """

    def __init__(self, prototxt, phase):
        self.prototxt = prototxt
        self.phase = phase
        self.name = caffe_pb2.Phase.Name(phase)
        self.layers = [(i, layer) for i, layer in enumerate(prototxt.message.layer) if takes_part(layer, phase)]
        self.deploy = is_deploy(prototxt.message)

    def finding(self, severity, check, index, message, *where):
        """Return a Finding about the layer of an index."""
        name = self.prototxt.message.layer[index].name
        return self.prototxt.finding(severity, check, f"layer {name}: {message}", ("layer", index), *where)

    def readers(self, top, after):
        """Return the layers behind index `after` that read `top`, up to the one that makes it anew."""
        found = []
        for index, layer in self.layers:
            if index > after:
                if top in layer.bottom:
                    found.append((index, layer))
                if top in layer.top and top not in layer.bottom:
                    break
        return found

    def maker(self, bottom, before):
        """Return the last layer before an index that writes a blob, in place or not; None without one."""
        makers = [layer for index, layer in self.layers if index < before and bottom in layer.top]
        return makers[-1] if makers else None


def takes_part(layer, phase):
    """Tell whether a layer takes part in a phase, by its include and exclude rules (level 0, no stage)."""
    if layer.include:
        return any(_matches(rule, phase) for rule in layer.include)
    return not any(_matches(rule, phase) for rule in layer.exclude)


def _matches(rule, phase):
    if rule.HasField("phase") and rule.phase != phase:
        return False
    return not rule.stage and rule.min_level <= 0 and not (rule.HasField("max_level") and rule.max_level < 0)


def is_loss(layer):
    """Tell whether a layer adds to what is minimised."""
    return any(layer.loss_weight) or (layer.type.endswith("Loss") and not layer.loss_weight)


def is_deploy(net):
    """Tell whether a net is fed from outside: Input layers, no data layers."""
    fed = net.input or any(layer.type == "Input" for layer in net.layer)
    return bool(fed) and not any(layer.type in DATA_TYPES for layer in net.layer)


def phases_of(prototxt):
    """Return the phases that a net (a Prototxt) is used in: as it was told, or as its layers' rules say."""
    if prototxt.phases:
        return prototxt.phases
    net = prototxt.message
    if is_deploy(net):
        return (TEST,)
    rules = [rule for layer in net.layer for rule in (*layer.include, *layer.exclude)]
    return (TRAIN, TEST) if any(rule.HasField("phase") for rule in rules) else (TRAIN,)
