"""Whole nets (data, body, heads, losses) as NetParameter messages."""

from dataclasses import dataclass

import caffe
from caffe import layers as L
from caffe import params as P

from mindpics.nets import alexnet, resnet50
from mindpics.nets.blocks import constant, gaussian
from mindpics.nets.head_losses import LOSSES
from mindpics.traits import TRAITS

BODIES = {alexnet.NAME: alexnet, resnet50.NAME: resnet50}
# Section 4: "increasing the learning rate by a factor of 10 at the new layers".
NEW_LAYER_LR = {"scratch": 1, "finetune": 10}


@dataclass(frozen=True)
class Data:
    """Where a net's pictures come from.

    Attributes
    ----------
    train, test : str
        LMDBs of Datums 3xHxW uint8 BGR, as Caffe will open them.
    mean : str
        BlobProto 1x3xHxW.
    train_batch, test_batch : int
        Pictures per iteration.
    crop : int
        Side in pixels: random and mirrored when training, from the centre when testing.
    """

    train: str
    test: str
    mean: str
    train_batch: int
    test_batch: int
    crop: int


def train_val(body, data, traits=TRAITS, init="scratch", *, normalization="BATCH_SIZE", loss="python", **size):
    """Return the training and testing net of one or of five trait heads.

    Parameters
    ----------
    body : {"alexnet", "resnet50"}
    data : Data
    traits : sequence of str
        ("O",) for an independent net, all five for all-in-one.
    init : {"scratch", "finetune"}
        Heads learn ten times faster when the body comes with weights (section 4).
    normalization : {"BATCH_SIZE", "VALID"}
        Of equation 5, see `mindpics.nets.trait_loss`.
    loss : {"python", "native"}
        Layers of the heads' losses and accuracies, see `mindpics.nets.head_losses`.
    **size
        width, gain, fraction, frozen: see the bodies' ``add_body``.

    Returns
    -------
    caffe.proto.caffe_pb2.NetParameter
        Heads ``score_O`` .., losses ``loss_O`` .., TEST accuracies ``accuracy_O`` ...
    """
    n, top = _data_and_body(body, data, size)
    for trait in traits:
        score = n[f"score_{trait}"] = _head(top, 2, NEW_LAYER_LR[init])
        LOSSES[loss](n, trait, score, normalization)
    return _finish(n, data, f"MindPics {body} {heads_name(traits)} {init}")


def classification_train_val(body, data, classes, *, head=None, init="scratch", **size):
    """Return a plain classifier of `classes` categories: the pretraining that fine-tuning starts from.

    Its head is named as the published net's own (fc8, fc1000), so no trait head takes its weights;
    another name keeps it from taking the published head's. `init` is as in `train_val`.

    Parameters
    ----------
    body : {"alexnet", "resnet50"}
    data : Data
    classes : int
    head : str, optional
        Name of the last layer.
    init : {"scratch", "finetune"}
    **size
        width, gain, fraction, frozen: see the bodies' ``add_body``.

    Returns
    -------
    caffe.proto.caffe_pb2.NetParameter
    """
    n, top = _data_and_body(body, data, size)
    head = head or BODIES[body].PRETRAINED_HEAD
    n[head] = _head(top, classes, NEW_LAYER_LR[init])
    n.accuracy = L.Accuracy(n[head], n.label, include={"phase": caffe.TEST})
    n.loss = L.SoftmaxWithLoss(n[head], n.label, loss_weight=1)
    return _finish(n, data, f"{body} {classes} categories")


def deploy(body, traits=TRAITS, *, crop=None, **size):
    """Return the net without data and losses: ``data`` [1,3,crop,crop] -> ``prob_O`` [1,2] ...

    Parameters
    ----------
    body : {"alexnet", "resnet50"}
    traits : sequence of str
        Of O C E A N.
    crop : int, optional
        Side of the input in pixels; default the body's own, 227 or 224.
    **size
        width, gain, fraction, frozen: see the bodies' ``add_body``.

    Returns
    -------
    caffe.proto.caffe_pb2.NetParameter
    """
    n = caffe.NetSpec()
    crop = crop or BODIES[body].CROP
    n.data = L.Input(shape={"dim": [1, 3, crop, crop]})
    top = BODIES[body].add_body(n, crop=crop, **size)
    for trait in traits:
        score = n[f"score_{trait}"] = _head(top, 2, 1)
        n[f"prob_{trait}"] = L.Softmax(score)
    return _named(n, f"MindPics {body} {heads_name(traits)}")


def features_deploy(body, *, crop=None, **size):
    """Return the body alone, under the published layer names (fc7 of AlexNet is DeCAF7's place).

    Parameters
    ----------
    body : {"alexnet", "resnet50"}
    crop : int, optional
        Side of the input in pixels; default the body's own.
    **size
        width, gain, fraction, frozen: see the bodies' ``add_body``.

    Returns
    -------
    caffe.proto.caffe_pb2.NetParameter
        ``data`` is [1, 3, crop, crop].
    """
    n = caffe.NetSpec()
    crop = crop or BODIES[body].CROP
    n.data = L.Input(shape={"dim": [1, 3, crop, crop]})
    BODIES[body].add_body(n, crop=crop, **size)
    return _named(n, f"{body} features")


def heads_name(traits):
    """Return "all-in-one" for the five traits, "independent O" for one."""
    return "all-in-one" if tuple(traits) == TRAITS else "independent " + " ".join(traits)


def _data_and_body(body, data, size):
    if body not in BODIES:
        raise ValueError(f"found body {body!r}; wanted one of {', '.join(BODIES)}")
    n = caffe.NetSpec()
    n.data, n.label = _data_layer(data, caffe.TRAIN)
    return n, BODIES[body].add_body(n, crop=data.crop, **size)


def _data_layer(data, phase):
    training = phase == caffe.TRAIN
    return L.Data(
        ntop=2,
        include={"phase": phase},
        transform_param={"mirror": training, "crop_size": data.crop, "mean_file": data.mean},
        source=data.train if training else data.test,
        batch_size=data.train_batch if training else data.test_batch,
        backend=P.Data.LMDB,
    )


def _head(bottom, num_output, lr):
    return L.InnerProduct(
        bottom,
        param=[{"lr_mult": lr, "decay_mult": 1}, {"lr_mult": 2 * lr, "decay_mult": 0}],
        num_output=num_output,
        weight_filler=gaussian(0.01),
        bias_filler=constant(0),
    )


def _finish(n, data, name):
    """Put the TEST data layer beside the TRAIN one: NetSpec cannot hold two tops of one name."""
    net = _named(n, name)
    test = caffe.NetSpec()
    test.data, test.label = _data_layer(data, caffe.TEST)
    layers = [net.layer[0], test.to_proto().layer[0], *net.layer[1:]]
    finished = caffe.proto.caffe_pb2.NetParameter(name=net.name)
    finished.layer.extend(layers)
    return finished


def _named(n, name):
    net = n.to_proto()
    net.name = name
    return net
