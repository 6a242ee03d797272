"""Layers of a net that take part in one build of it: a phase, a level, stages."""

from collections import defaultdict

from caffe.proto import caffe_pb2

from mindpics.caffe_files.solver_nets import plain_build, takes_part

TRAIN, TEST = caffe_pb2.TRAIN, caffe_pb2.TEST
SOURCES = {"ImageData": "image_data_param", "HDF5Data": "hdf5_data_param", "WindowData": "window_data_param"}
DATA_TYPES = ("Data", "ImageData", "HDF5Data", "WindowData", "MemoryData")


class NetPhase:
    """The layers of a net (a Prototxt) that take part in a Build of it.

    Attributes
    ----------
    name : str
        "TRAIN" or "TEST", with its level and stages.
    test : int or None
        Its number among a solver's test nets.
    layers : list of (int, LayerParameter)
        With their index in the file.
    """

    def __init__(self, prototxt, build):
        self.prototxt = prototxt
        self.phase, self.name, self.test = build.state.phase, build.name, build.test
        self.layers = [(i, layer) for i, layer in enumerate(prototxt.message.layer) if takes_part(layer, build.state)]
        self.deploy = is_deploy(prototxt.message)
        self._readers, self._makers, self._made_by = defaultdict(list), {}, defaultdict(list)
        self._connect()

    def _connect(self):
        """Find who makes and who reads each value of each blob, in one pass: a layer in place makes a new value."""
        makers = {}
        for index, layer in self.layers:
            for number, bottom in enumerate(layer.bottom):
                maker = makers.get(bottom)
                self._makers[index, bottom] = maker
                if maker is not None:
                    self._readers[maker[0], bottom].append((index, layer, number))
            for top in set(layer.top):
                makers[top] = (index, layer)
                self._made_by[top].append((index, layer))

    def finding(self, severity, check, index, message, *where):
        """Return a Finding about the layer of an index.

        Parameters
        ----------
        severity, check, message : str
            As of `mindpics.files.findings.Finding`.
        index : int
            Of the layer in the prototxt.
        *where : str or (str, int)
            Fields in the layer, see `mindpics.caffe_files.prototxt.Prototxt.finding`.
        """
        name = self.prototxt.message.layer[index].name
        return self.prototxt.finding(severity, check, f"layer {name}: {message}", ("layer", index), *where)

    def readers(self, top, index):
        """Return (index, layer, number of its bottom) of each that reads a top of the layer at `index` as it made it.

        As Caffe connects them: what comes behind a layer in place reads that layer's top.
        """
        return self._readers.get((index, top), [])

    def maker(self, bottom, index):
        """Return the layer that made a bottom of the layer at `index`, in place or not; None without one."""
        maker = self._makers.get((index, bottom))
        return maker and maker[1]

    def beside(self, bottom, index):
        """Return the layers that read, as it is, a bottom of the layer at `index`, that layer among them."""
        maker = self._makers.get((index, bottom))
        return [layer for _, layer, _ in self._readers[maker[0], bottom]] if maker else []

    def later_maker(self, blob, index):
        """Return the first layer behind `index` that makes a blob; None without one."""
        return next((layer for i, layer in self._made_by.get(blob, ()) if i > index), None)


def is_loss(layer):
    """Tell whether a layer adds to what is minimised."""
    return any(layer.loss_weight) or (layer.type.endswith("Loss") and not layer.loss_weight)


def is_deploy(net):
    """Tell whether a net is fed from outside: Input layers, no data layers."""
    fed = net.input or any(layer.type == "Input" for layer in net.layer)
    return bool(fed) and not any(layer.type in DATA_TYPES for layer in net.layer)


def builds_of(prototxt):
    """Return the Builds of a net (a Prototxt): those of its solver, or what its layers' rules speak of.

    A net without its solver is taken for that of each phase in which something feeds it; () when that is of none,
    since only a solver says which stages are built.
    """
    if prototxt.builds is not None:
        return prototxt.builds
    net = prototxt.message
    if is_deploy(net):
        return (plain_build(TEST, net),)
    rules = [rule for layer in net.layer for rule in (*layer.include, *layer.exclude)]
    phases = (TRAIN, TEST) if any(rule.HasField("phase") for rule in rules) else (TRAIN,)
    builds = [plain_build(phase, net) for phase in phases]
    fed = tuple(build for build in builds if any(_feeds(layer, build.state) for layer in net.layer))
    return fed if fed or any(rule.stage for rule in rules) else tuple(builds[:1])


def _feeds(layer, state):
    return not layer.bottom and takes_part(layer, state)
