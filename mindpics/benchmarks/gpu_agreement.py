"""Agreement of two engines: outputs and gradients of nets and of single layers.

The nets are AlexNet's body and the first blocks of ResNet-50's: in a random net of all fifty layers, batch
normalisation makes 2% of the gradients out of rounding alone, in which no fault could be told. Dropout is left out
of them: a GPU draws its masks from another generator. Fillers, picture order, crops and mirrors are drawn on the CPU
by either engine, so one seed gives both the same net and the same pictures.

How far apart may two nets be? Adding in another order rounds otherwise, and where ReLU cuts, a little makes much.
So the reference tells how far its own outputs and gradients move when its pictures are changed by NUDGE, and the
other engine may be ALLOWED times as far away, or LEAST, which is also what a single layer may be.
"""

from pathlib import Path

import caffe
import numpy as np
from caffe import layers as L
from caffe import params as P

from mindpics.benchmarks.net_runs import pictures
from mindpics.caffe_files.messages import write_message
from mindpics.nets import alexnet
from mindpics.nets.blocks import bottleneck, constant, conv_bn_scale, gaussian
from mindpics.nets.head_losses import add_native
from mindpics.traits import N_LABELS, TRAITS

SEED = 1
NUDGE = {"float32": 1e-6, "TF32": 1e-3}  # relative; TF32 rounds factors to 10 bits
ALLOWED = 10
LEAST = {"float32": 1e-4, "TF32": 1e-2}


def without_dropout(net):
    """Return a NetParameter without its Dropout layers, which work in place."""
    kept = [layer for layer in net.layer if layer.type != "Dropout"]
    del net.layer[:]
    net.layer.extend(kept)
    return net


def fill(net):
    """Set ``data`` to noise and ``label`` to all labels in turn."""
    net.blobs["data"].data[...] = pictures(net.blobs["data"].data.shape)
    net.blobs["label"].data[...] = np.arange(net.blobs["label"].data.size) % N_LABELS


def _resnet_like(n, width):
    """Add ResNet-50's first stage and one block of its second: a projection, a shortcut, a stride."""

    def channels(published):
        return 4 * max(1, round(published * width / 4))

    top = conv_bn_scale(
        n,
        "conv1",
        "_conv1",
        n.data,
        channels(64),
        kernel_size=7,
        pad=3,
        stride=2,
        bias=True,
        relu="conv1_relu",
        fraction=0.95,
    )
    top = n.pool1 = L.Pooling(top, pool=P.Pooling.MAX, kernel_size=3, stride=2)
    for name, published, stride, project in (("2a", 256, 1, True), ("2b", 256, 1, False), ("3a", 512, 2, True)):
        top = bottleneck(n, name, top, channels(published), stride=stride, project=project, fraction=0.95)
    n.pool3 = L.Pooling(top, pool=P.Pooling.AVE, global_pooling=True)
    return n.pool3


BODIES = {"AlexNet": lambda n, width: alexnet.add_body(n, width=width, gain=3.0), "ResNet-like": _resnet_like}


def add_heads(n, top):
    for trait in TRAITS:
        score = n[f"score_{trait}"] = L.InnerProduct(
            top, num_output=2, weight_filler=gaussian(0.01), bias_filler=constant(0)
        )
        add_native(n, trait, score, "BATCH_SIZE")


def write_whole(folder, body, batch, crop, width):
    """Write the all-in-one net of a body; `whole` passes through it.

    Parameters
    ----------
    folder : Path
    body : str
        A key of BODIES.
    batch, crop : int
    width : float
        Of the layers, as a share of the published ones.
    """
    n = caffe.NetSpec()
    n.data, n.label = L.Input(shape={"dim": [batch, 3, crop, crop]}), L.Input(shape={"dim": [batch]})
    add_heads(n, BODIES[body](n, width))
    write_message(without_dropout(n.to_proto()), folder / f"whole_{body}.prototxt")


def whole(engine, folder, body):
    """Compare a forward and backward pass with the reference's, which the first call of all leaves in the folder.

    Parameters
    ----------
    engine : mindpics.benchmarks.gpu_engines.Engine
    folder : Path
        Where `write_whole` has written the net.
    body : str
        A key of BODIES.

    Returns
    -------
    dict
        ``{"outputs": {name: apart}, "gradients": {layer: apart}}``; of the first call, ``{kind: such a dict}``
        for each kind of NUDGE: how far the reference moves.
    """
    engine.start()
    caffe.set_random_seed(SEED)
    net = caffe.Net(str(folder / f"whole_{body}.prototxt"), caffe.TRAIN)
    fill(net)
    arrays_here = _pass(net)
    reference = Path(folder) / f"whole_{body}.npz"
    if reference.exists():
        with np.load(reference, allow_pickle=False) as arrays:
            return _sorted(apart(arrays_here, arrays))
    np.savez(reference, **arrays_here)
    noise = np.random.default_rng(SEED).choice((-1, 1), net.blobs["data"].data.shape)
    moved = {}
    for kind, nudge in NUDGE.items():
        fill(net)
        net.blobs["data"].data[...] *= 1 + nudge * noise
        moved[kind] = _sorted(apart(_pass(net), arrays_here))
    return moved


def _pass(net):
    net.clear_param_diffs()
    net.forward()
    net.backward()
    arrays = {f"outputs {trait}": net.blobs[f"score_{trait}"].data.copy() for trait in TRAITS}
    for name, blobs in net.params.items():  # weights and bias together: a bias before a BatchNorm has no gradient
        diffs = np.concatenate([blob.diff.ravel() for blob in blobs])
        if diffs.any():
            arrays[f"gradients {name}"] = diffs
    return arrays


def _sorted(values):
    by_kind = {"outputs": {}, "gradients": {}}
    for name, value in values.items():
        kind, _, name = name.partition(" ")
        by_kind[kind][name] = value
    return by_kind


def apart(arrays, reference):
    """Return {name: norm of the difference over the norm of the reference}; inf where an array is missing."""
    return {
        name: float(np.linalg.norm(arrays[name] - reference[name]) / max(np.linalg.norm(reference[name]), 1e-30))
        if name in arrays
        else float("inf")
        for name in reference
    }


def at_most(moved, part, kind):
    """Return how far an engine may be from the reference, which `whole` found to move so far, in a part.

    Parameters
    ----------
    moved : dict
        What the first call of `whole` returned.
    part : {"outputs", "gradients"}
    kind : str
        Of arithmetic: a key of LEAST.
    """
    return max(LEAST[kind], ALLOWED * max(moved[kind][part].values()))


def _convolution(x, num_output, kernel, *, stride=1, pad=0, group=1):
    return L.Convolution(
        x,
        num_output=num_output,
        kernel_size=kernel,
        stride=stride,
        pad=pad,
        group=group,
        weight_filler={"type": "msra"},
        bias_filler={"type": "gaussian"},
    )


# name -> (shape of the bottom, function of the bottom that gives the layer)
LAYERS = {
    "conv2 of AlexNet, 2 groups": ((4, 96, 27, 27), lambda x: _convolution(x, 256, 5, pad=2, group=2)),
    "conv3 of AlexNet": ((4, 256, 13, 13), lambda x: _convolution(x, 384, 3, pad=1)),
    "conv4 of AlexNet, 2 groups": ((4, 384, 13, 13), lambda x: _convolution(x, 384, 3, pad=1, group=2)),
    "convolution, 3 groups, stride 2": ((4, 12, 15, 15), lambda x: _convolution(x, 6, 3, stride=2, pad=1, group=3)),
    "convolution, a group a channel": ((4, 8, 9, 9), lambda x: _convolution(x, 8, 3, pad=1, group=8)),
    "convolution 1x1, stride 2": ((4, 64, 7, 7), lambda x: _convolution(x, 32, 1, stride=2)),
    "InnerProduct": ((4, 16, 6, 6), lambda x: L.InnerProduct(x, num_output=20, weight_filler={"type": "xavier"})),
    "LRN": ((4, 16, 13, 13), lambda x: L.LRN(x, local_size=5, alpha=1, beta=0.75)),
    "Pooling MAX": ((4, 16, 13, 13), lambda x: L.Pooling(x, pool=P.Pooling.MAX, kernel_size=3, stride=2)),
    "Pooling AVE": ((4, 16, 14, 14), lambda x: L.Pooling(x, pool=P.Pooling.AVE, kernel_size=3, stride=2, pad=1)),
    "BatchNorm": ((4, 16, 13, 13), lambda x: L.BatchNorm(x)),
    "Scale": ((4, 16, 13, 13), lambda x: L.Scale(x, filler=gaussian(1), bias_term=True)),
}


def single_layers(engine, folder):
    """Return {name: array} of single layers: top, and gradients to bottom and to weights."""
    engine.start()
    arrays = {}
    for number, (name, (shape, layer)) in enumerate(LAYERS.items()):
        n = caffe.NetSpec()
        n.data = L.Input(shape={"dim": list(shape)})
        n.top = layer(n.data)
        message = n.to_proto()
        message.force_backward = True
        write_message(message, folder / f"layer_{number}.prototxt")
        caffe.set_random_seed(SEED)
        net = caffe.Net(str(folder / f"layer_{number}.prototxt"), caffe.TRAIN)
        rng = np.random.default_rng(number)
        net.blobs["data"].data[...] = rng.normal(size=shape)
        top = arrays[f"{name}: top"] = net.forward()["top"].copy()
        net.backward(top=rng.normal(size=top.shape).astype(np.float32))
        arrays[f"{name}: bottom's gradient"] = net.blobs["data"].diff.copy()
        for i, blob in enumerate(net.params.get("top", ())):
            arrays[f"{name}: gradient of blob {i}"] = blob.diff.copy()
    return arrays
