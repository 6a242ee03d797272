"""Lint of one layer at a time, and of its place in a phase."""

from functools import cache

import caffe

from mindpics.caffe_files.prototxt import nearest
from mindpics.lint import preflight
from mindpics.lint.gradients import BLOBS, LOSSES, blobs_of
from mindpics.lint.heads import HEAD_LAYERS, check_head_layer, is_our_layer, is_our_loss
from mindpics.lint.phases import DATA_TYPES, TEST, TRAIN, is_loss
from mindpics.lint.sizes import LEARNED, check_sizes

NO_BLOBS = {
    "ReLU",
    "Pooling",
    "LRN",
    "Dropout",
    "Softmax",
    "SoftmaxWithLoss",
    "Eltwise",
    "Concat",
    "Accuracy",
    "Sigmoid",
    "TanH",
    "Flatten",
    "Split",
    "Silence",
    *DATA_TYPES,
}
FILLERS = ("constant", "gaussian", "uniform", "positive_unitball", "xavier", "msra", "bilinear")
TWO_BOTTOMS = {
    "SoftmaxWithLoss",
    "EuclideanLoss",
    "HingeLoss",
    "SigmoidCrossEntropyLoss",
    "MultinomialLogisticLoss",
    "Accuracy",
}


def check_all_layers(net, views, allow_python_layers=False):
    """Yield what is wrong with each layer of a net (a Prototxt) by itself, as far as a view (NetPhase) has it.

    Parameters
    ----------
    net : Prototxt
    views : list of NetPhase
    allow_python_layers : bool
        Modules beside mindpics.layers are no error.
    """
    if not allow_python_layers:
        yield from check_reach(net)
    for index, layer in enumerate(net.message.layer):
        if layer.include and layer.exclude:
            text = f"layer {layer.name}: has include and exclude rules; Caffe takes one kind"
            yield net.finding("error", "include-exclude", text, ("layer", index), "exclude")
    for view in views:
        for index, layer in view.layers:
            yield from _check_layer(view, index, layer)


def _check_layer(view, index, layer):
    for check in CHECKS:
        for severity, name, text, *where in check(layer):
            yield view.finding(severity, name, index, text, *where)
    if layer.type == "Python":
        for severity, name, text, *where in _python(layer):
            yield view.prototxt.finding(severity, name, text, ("layer", index), "python_param", *where)
    if layer.type == "BatchNorm" and not view.deploy:
        for severity, name, text, *where in _frozen(layer):
            yield view.finding(severity, name, index, text, *where)


def check_reach(net):
    """Yield the layers of a net (a Prototxt) that reach outside Caffe: a prototxt may come from a stranger."""
    for index, layer in enumerate(net.message.layer):
        where = ("layer", index)
        if layer.type == "Python" and layer.python_param.module != preflight.OUR_LAYERS:
            text = (
                f"layer {layer.name} would import the Python module {layer.python_param.module!r}; only "
                f"{preflight.OUR_LAYERS} is imported unless you allow it (allow_python_layers=True)"
            )
            yield net.finding("error", "python-module", text, where, "python_param", "module")
        if layer.type == "HDF5Output":
            yield _writes(net, layer, where)


def _writes(net, layer, where):
    text = (
        f"layer {layer.name} would write the file {layer.hdf5_output_param.file_name!r}; layers that write files "
        "are refused unless you allow them (allow_python_layers=True)"
    )
    return net.finding("error", "writes-file", text, where, "hdf5_output_param")


def check_phase(view):
    """Yield what is wrong with layers in a phase (a NetPhase)."""
    names = set()
    for index, layer in view.layers:
        if blobs_of(layer):
            if layer.name in names:
                text = f"a second layer of this name in phase {view.name}; weights are copied by name, to one of them"
                yield view.finding("error", "duplicate-name", index, text, "name")
            names.add(layer.name)
        if layer.type == "BatchNorm":
            yield from _statistics(view, index, layer)
        if layer.type == "Scale" and len(layer.bottom) == 1:
            yield from _scale(view, index, layer)
        if layer.type in DATA_TYPES and view.phase == TEST and layer.transform_param.mirror:
            text = "test pictures are mirrored at random; the result changes from pass to pass"
            yield view.finding("warning", "test-augmented", index, text, "transform_param", "mirror")
    yield from _losses(view)


def _losses(view):
    scores = [index for index, layer in view.layers if layer.type == "Accuracy"]
    if any(is_loss(layer) for _, layer in view.layers):
        return
    if view.phase == TEST and scores:
        text = "Accuracy and no loss in phase TEST: Caffe counts scores of NaN as right, and no loss would show them"
        yield view.finding("warning", "accuracy-alone", scores[0], text)
    if view.phase == TRAIN:
        text = "no layer of phase TRAIN has a loss: nothing would be learned"
        yield view.prototxt.finding("warning", "no-loss", text)


@cache
def _types():
    return frozenset(caffe.layer_type_list())


def _type(layer):
    if layer.type not in _types():
        text = f"no layer type {layer.type!r}{nearest(layer.type, _types())}"
        yield "error", "unknown-type", text, "type"


def _multipliers(layer):
    """Caffe aborts on more param {} than a layer has blobs."""
    if layer.type not in BLOBS and layer.type not in NO_BLOBS:
        return
    blobs = blobs_of(layer)
    if len(layer.param) > blobs:
        text = f"{len(layer.param)} param {{ }} for {blobs} blobs of weights"
        yield "error", "too-many-params", text, ("param", blobs)


def _propagate_down(layer):
    if layer.propagate_down and len(layer.propagate_down) != len(layer.bottom):
        text = f"{len(layer.propagate_down)} propagate_down for {len(layer.bottom)} bottoms"
        yield "error", "propagate-down", text, "propagate_down"


def _fillers(layer):
    if layer.type not in LEARNED:
        return
    field = LEARNED[layer.type]
    for name in ("weight_filler", "bias_filler"):
        filler = getattr(getattr(layer, field), name)
        if filler.type not in FILLERS:
            text = f"{name} of type {filler.type!r}{nearest(filler.type, FILLERS)}"
            yield "error", "unknown-filler", text, field, name
        if filler.type == "gaussian" and not filler.HasField("std"):
            yield "warning", "gaussian-std", f"gaussian {name} without std: Caffe's default is 1", field, name


def _loss_weights(layer):
    tops = max(len(layer.top), layer.type in LOSSES)  # Caffe gives a loss the top that it lacks
    if layer.loss_weight and len(layer.loss_weight) != tops:
        text = f"{len(layer.loss_weight)} loss_weight for {tops} tops"
        yield "error", "loss-weight-count", text, "loss_weight"


def _two_bottoms(layer):
    if layer.type in TWO_BOTTOMS and len(layer.bottom) < 2:
        text = f"{layer.type} with the bottoms {list(layer.bottom)}; a score and a label are wanted"
        yield "error", "no-label", text, "bottom"


CHECKS = (_type, _multipliers, _propagate_down, check_sizes, _fillers, _loss_weights, _two_bottoms)


def _python(layer):
    param, has_our_class = layer.python_param, False
    if param.module == preflight.OUR_LAYERS:
        has_our_class = is_our_layer(layer)
        if has_our_class:
            yield from check_head_layer(layer)
        else:
            text = f"layer {layer.name}: {param.module} has no layer {param.layer!r}{nearest(param.layer, HEAD_LAYERS)}"
            yield "error", "python-layer", text, "layer"
    is_ours = has_our_class and is_our_loss(layer)
    if (is_ours or "loss" in param.layer.lower()) and not layer.loss_weight:
        text = f"layer {layer.name}: no loss_weight; Caffe takes a Python layer for no loss without loss_weight: 1"
        if is_ours:
            yield "error", "python-loss-weight", text
        else:
            yield "warning", "python-loss-weight", text


def _frozen(layer):
    """Mean, variance and their factor are statistics: no solver may move them."""
    for number, param in enumerate(layer.param):
        if param.lr_mult:
            text = f"blob {number} of a BatchNorm has lr_mult {param.lr_mult:g}; 0 is wanted, it is no weight"
            yield "error", "batchnorm-learned", text, ("param", number)
    if len(layer.param) < 3:
        text = f"{len(layer.param)} of three param {{ lr_mult: 0 }}; some Caffes would train its statistics"
        yield "warning", "batchnorm-lr-mult", text


def _statistics(view, index, layer):
    param = layer.batch_norm_param
    where = ("batch_norm_param", "use_global_stats")
    if param.HasField("use_global_stats") and param.use_global_stats and view.phase == TRAIN:
        text = "use_global_stats: true in phase TRAIN: the statistics stay as they came with the weights"
        yield view.finding("warning", "batchnorm-stats", index, text, *where)
    if param.HasField("use_global_stats") and not param.use_global_stats and view.phase == TEST:
        text = "use_global_stats: false in phase TEST: a picture's score depends on its batch"
        yield view.finding("warning", "batchnorm-stats", index, text, *where)
    if not any(reader.type == "Scale" for top in layer.top for _, reader, _ in view.readers(top, index)):
        text = "no Scale layer follows; Caffe's BatchNorm has no scale and shift of its own"
        yield view.finding("warning", "batchnorm-alone", index, text)


def _scale(view, index, layer):
    maker = view.maker(layer.bottom[0], index) if layer.bottom else None
    if maker is not None and maker.type != "BatchNorm":
        text = f"a Scale behind {maker.name} ({maker.type}), not behind a BatchNorm"
        yield view.finding("warning", "scale-alone", index, text)
