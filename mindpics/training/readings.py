"""A solver and its net under other readings of the paper: rate, length, batch in passes, normalisation, BatchNorm."""

import json
import math

from mindpics.caffe_files.lmdbs import count_lmdb
from mindpics.caffe_files.solver_nets import trained_layers
from mindpics.nets import switches

LENGTHS = ("stepsize", "snapshot", "test_interval")


def read_otherwise(message, net, readings):
    """Change a SolverParameter and its NetParameter by switches of `mindpics.nets.switches`.

    Parameters
    ----------
    message : SolverParameter
    net : NetParameter
    readings : dict
        Of normalization, base_lr, epochs, batch, snapshots and frozen_batch_norm, those that are asked for.

    Raises
    ------
    ValueError
        A number that is not above 0, a batch that does not divide the net's, a net without what is changed.
    """
    switches.check(readings)
    message.base_lr = readings.get("base_lr", message.base_lr)
    if "batch" in readings:
        _split_batch(message, net, readings["batch"])
    if "epochs" in readings:
        _lengthen(message, net, readings["epochs"])
    if "snapshots" in readings:
        message.snapshot = max(1, message.max_iter // readings["snapshots"])
    if "normalization" in readings:
        _normalise(net, readings["normalization"])
    if "frozen_batch_norm" in readings:
        for layer in _wanted(net, "frozen_batch_norm", True, lambda layer: layer.type == "BatchNorm"):
            layer.batch_norm_param.use_global_stats = True


def pictures_an_update(message, net):
    """Return (pictures, pictures an update) of a training, or None where no LMDB of its own tells."""
    layer = _training_data(message, net)
    if layer is None:
        return None
    return count_lmdb(layer.data_param.source), layer.data_param.batch_size * message.iter_size


def _training_data(message, net):
    """Return the Data layer that the solver trains from, or None."""
    return next((layer for layer in trained_layers(net, message) if layer.type == "Data"), None)


def _split_batch(message, net, smaller):
    trained = _training_data(message, net)
    data = _wanted(net, "batch", smaller, lambda layer: layer == trained)[0].data_param
    scales = any(layer.type == "Scale" and len(layer.bottom) == 1 for layer in trained_layers(net, message))
    message.iter_size = switches.passes(net.name, data.batch_size * message.iter_size, smaller, scales)
    data.batch_size = smaller


def _lengthen(message, net, epochs):
    sizes = pictures_an_update(message, net)
    if sizes is None:
        raise ValueError(
            f"found epochs={epochs:g}, and no Data layer for training in {net.name}; wanted one, "
            "whose pictures are counted"
        )
    if not sizes[1]:
        raise ValueError(f"found epochs={epochs:g}, and a batch_size or iter_size of 0; wanted 1 or more pictures")
    before, message.max_iter = message.max_iter, max(1, math.ceil(epochs * sizes[0] / sizes[1]))
    lengths = [name for name in LENGTHS if getattr(message, name)]
    if not before and (lengths or message.stepvalue):
        raise ValueError(
            f"found epochs={epochs:g}, and no max_iter that {' and '.join(lengths or ['stepvalue'])} belong to; "
            "wanted one, by which they are scaled"
        )
    times = message.max_iter / before if before else 1
    for name in lengths:
        setattr(message, name, max(1, round(times * getattr(message, name))))
    message.stepvalue[:] = [max(1, round(times * value)) for value in message.stepvalue]


def _normalise(net, normalization):
    for layer in _wanted(net, "normalization", normalization, _normalises):
        if layer.type == "SoftmaxWithLoss":
            loss = layer.loss_param
            loss.normalization = loss.NormalizationMode.Value(normalization)
        else:
            param = json.loads(layer.python_param.param_str)
            layer.python_param.param_str = json.dumps(param | {"normalization": normalization})


def _normalises(layer):
    return layer.type == "SoftmaxWithLoss" or layer.type == "Python" and layer.python_param.layer == "TraitLoss"


def _wanted(net, name, value, is_meant):
    layers = [layer for layer in net.layer if is_meant(layer)]
    if not layers:
        raise ValueError(f"found {name}={value!r}, and no layer in {net.name or 'the net'} that it changes; wanted one")
    return layers
