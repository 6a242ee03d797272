"""Lint of weights: which layers a caffemodel reaches, and which start at their fillers."""

from mindpics.caffe_files import weights
from mindpics.caffe_files.blobs import read_caffemodel
from mindpics.lint.build import built_targets
from mindpics.lint.gradients import learns
from mindpics.lint.phases import is_deploy
from mindpics.lint.sizes import LEARNED


def check_fillers(net):
    """Yield learned layers whose weights start at zero, when no caffemodel is named."""
    if is_deploy(net.message):
        return
    for index, layer in enumerate(net.message.layer):
        if _starts_at_zero(layer):
            text = f"layer {layer.name}: no weight_filler: it starts at constant 0 unless weights of this name come"
            yield net.finding("warning", "no-filler", text, ("layer", index))


def check_weights(net, view, paths, allow_python_layers=False):
    """Yield how caffemodels fit a net (a Prototxt) as a NetPhase has it: what takes, what does not, what clashes.

    Caffe copies them all: a layer that a single file lacks is in another.

    Parameters
    ----------
    net : Prototxt
    view : NetPhase
    paths : list of path
        caffemodels, of any age, or HDF5.
    allow_python_layers : bool
        Modules beside mindpics.layers may be imported to build the net.
    """
    try:
        targets = built_targets(view, allow_python_layers)
    except ValueError:
        return  # said by check_build
    if targets is None:
        text = "weights not compared: the pictures' size is not known, or a Python layer would be imported"
        yield net.finding("note", "weights", text)
        return
    fits = []
    for path in paths:
        try:
            stored = read_caffemodel(path)
        except (ValueError, OSError) as error:
            yield net.finding("error", "weights", str(error))
            continue
        fit = weights.compare(targets, stored)
        yield net.finding("note", "weights", f"{path}: {weights.describe(path)}; {fit}")
        for clash in fit.clashes:
            yield net.finding("error", "weights-clash", f"{path}: {clash}")
        if not fit.taken:
            yield net.finding("error", "weights", f"{path}: none of its layers is in the net")
            continue
        fits.append((fit, dict(stored.layers)))
    if len(fits) == len(paths):
        yield from _missed(net, fits, targets)


def _missed(net, fits, targets):
    places = {layer.name: (i, layer) for i, layer in reversed(list(enumerate(net.message.layer)))}
    with_weights = {name for name, target in targets.items() if target}
    heads = _heads(net.message, {name for name in with_weights if learns(places[name][1], len(targets[name]))})
    unused = {
        weights.shape_key([blob.values.shape for blob in stored[name_in_file] if blob is not None]): name_in_file
        for fit, stored in reversed(fits)
        for name_in_file in reversed(fit.not_in_net)
    }
    lacking = [set(fit.not_in_weights) for fit, _ in fits]
    for name in (name for name in targets if all(name in names for names in lacking)):
        index, layer = places[name]
        twin = unused.get(weights.shape_key([shape for shape, _ in targets[name]]))
        if _starts_at_zero(layer):
            text = f"layer {name}: the weights do not reach it, and without weight_filler it starts at constant 0"
            if name in heads:  # which learns from there, as FCN's score_fr does
                yield net.finding("warning", "no-filler", text, ("layer", index))
            else:
                yield net.finding("error", "no-filler", text, ("layer", index))
        elif name not in heads and twin is not None:
            text = f"layer {name}: the weights do not reach it; {twin} of the file has its shapes: renamed?"
            yield net.finding("error", "weights-renamed", text, ("layer", index), "name")
        elif name not in heads:
            text = f"layer {name}: not in the weights, it starts at its fillers"
            yield net.finding("warning", "weights-missed", text, ("layer", index), "name")


def _starts_at_zero(layer):
    if any(param.name for param in layer.param):
        return False  # shares another layer's weights
    return layer.type in LEARNED and not getattr(layer, LEARNED[layer.type]).HasField("weight_filler")


def _heads(net, learned):
    """Return the layers that learn behind which no other does: new ones when fine-tuning."""
    leads_on, heads = set(), set()
    for layer in reversed(net.layer):
        if layer.name in learned and not leads_on & set(layer.top):
            heads.add(layer.name)
        if layer.name in learned or leads_on & set(layer.top):
            leads_on |= set(layer.bottom)
    return heads
