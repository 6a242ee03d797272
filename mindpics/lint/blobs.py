"""Lint of blobs: who makes and who reads each, and in-place layers that break gradients."""

from mindpics.caffe_files.prototxt import nearest
from mindpics.lint.phases import TRAIN

# These compute the right gradient when top and bottom are one blob.
IN_PLACE = {
    "ReLU",
    "PReLU",
    "ELU",
    "Sigmoid",
    "TanH",
    "Dropout",
    "BatchNorm",
    "Scale",
    "Bias",
    "Softmax",
    "Power",
    "Exp",
    "Threshold",
    "Python",
    "Swish",
}
# Their gradient is computed from the top as they left it.
NEEDS_TOP = {"Sigmoid", "TanH", "Softmax", "LRN", "Exp", "ELU", "MVN", "Swish"}
# They refuse it in any phase.
NOT_IN_PLACE = {"AbsVal", "Flatten", "Reshape", "Split", "Crop", "Slice", "Tile", "SPP", "Im2col"}

ADVISED = 20  # blobs whose nearest name is looked up, among all


def check_blobs(view):
    """Yield what is wrong with the blobs of a NetPhase."""
    made, advice = {}, {}
    for index, layer in view.layers:
        yield from _bottoms(view, index, layer, made, advice)
        yield from _tops(view, index, layer, made)
        for top in set(layer.top) & set(layer.bottom):
            yield from _in_place(view, index, layer, top)
        if layer.type == "SoftmaxWithLoss" and layer.bottom:
            yield from _softmax_twice(view, index, layer)


def _bottoms(view, index, layer, made, advice):
    for number, bottom in enumerate(layer.bottom):
        if bottom not in made:
            later = view.later_maker(bottom, index)
            if bottom not in advice:
                advice[bottom] = nearest(bottom, made) if len(advice) < ADVISED else ""
            hint = f"; layer {later.name} makes it, but later" if later else advice[bottom]
            text = f"bottom {bottom!r} that no layer of phase {view.name} has made{hint}"
            yield view.finding("error", "missing-bottom", index, text, ("bottom", number))


def _tops(view, index, layer, made):
    for number, top in enumerate(layer.top):
        if top in made and top not in layer.bottom:
            text = f"top {top!r} is made by layer {made[top]} as well in phase {view.name}"
            yield view.finding("error", "duplicate-top", index, text, ("top", number))
        made[top] = layer.name
        is_end = layer.loss_weight or layer.type.endswith("Loss") or layer.type in ("Accuracy", "Python")
        if view.phase == TRAIN and layer.bottom and not is_end and not view.readers(top, index):
            text = f"top {top!r} is read by no layer and is no loss"
            yield view.finding("warning", "dead-end", index, text, ("top", number))


def _in_place(view, index, layer, blob):
    if layer.type in NOT_IN_PLACE:
        text = f"{layer.type} in place (top and bottom {blob!r}): Caffe aborts"
        yield view.finding("error", "not-in-place", index, text, "top")
    elif any(other is not layer for other in view.beside(blob, index)):
        readers = ", ".join(f"{other.name} ({other.type})" for other in view.beside(blob, index) if other is not layer)
        text = f"overwrites {blob!r}, which {readers} reads as well: Caffe aborts (produced by multiple sources)"
        yield view.finding("error", "in-place-shared", index, text, "top")
    elif view.phase == TRAIN:
        yield from _wrong_gradient(view, index, layer, blob)


def _wrong_gradient(view, index, layer, blob):
    """Caffe trains these, and learns something else than it was told."""
    if layer.type not in IN_PLACE or (layer.type == "Power" and layer.power_param.power != 1):
        text = f"{layer.type} in place (top and bottom {blob!r}) gives a wrong gradient"
        yield view.finding("warning", "in-place", index, text, "top")
    maker = view.maker(blob, index)
    if maker is not None and maker.type in NEEDS_TOP:
        text = f"overwrites {blob!r}, from which {maker.name} ({maker.type}) computes its gradient; use a new top"
        yield view.finding("warning", "in-place", index, text, "top")


def _softmax_twice(view, index, layer):
    maker = view.maker(layer.bottom[0], index)
    if maker is not None and maker.type == "Softmax":
        text = f"its bottom is the Softmax {maker.name}; SoftmaxWithLoss applies one itself"
        yield view.finding("warning", "softmax-twice", index, text, "bottom")
