"""Outputs of a net as Caffe's log names them: every value of every output, and the loss that is minimised."""

import math
import re
from pathlib import Path

import numpy as np

from mindpics.caffe_files import log_lines
from mindpics.files.layout import TrainingFiles

MOST = 1000  # values of one output that have a column; a map of scores is no figure


class Outputs:
    """Figures of a net's last pass.

    Attributes
    ----------
    names : list of str
        Of the values: ``NAME``, and ``NAME[1]`` from an output's second value on.
    losses : list of str
        Of these, what is minimised.
    left_out : list of str
        Outputs of too many values.
    """

    def __init__(self, net):
        self.net = net
        weights = dict(zip(net._blob_names, net._blob_loss_weights, strict=True))
        # by place: pycaffe has a single name, (automatic), for the losses of all layers without a top
        self.minimised = [pair for pair in zip(net._blob_loss_weights, net._blobs, strict=True) if pair[0]]
        counts = {name: net.blobs[name].data.size for name in net.outputs}
        self.left_out = [name for name, count in counts.items() if count > MOST]
        self.outputs = [name for name in counts if name not in self.left_out]
        self.names = [value for name in self.outputs for value in _names(name, counts[name])]
        self.losses = [value for name in self.outputs if weights[name] for value in _names(name, counts[name])]

    def values(self):
        """Return {name: value} of the last pass."""
        values = {}
        for name in self.outputs:
            data = np.asarray(self.net.blobs[name].data).ravel()
            values |= zip(_names(name, data.size), map(float, data), strict=True)
        return values

    def loss(self):
        """Return the sum of all losses, each with its loss_weight."""
        return math.fsum(weight * float(np.sum(blob.data)) for weight, blob in self.minimised)

    def total_name(self, passes, before=()):
        """Return what the loss of an iteration is called in train.csv: "loss", or "total_loss" beside another "loss".

        Parameters
        ----------
        passes : int
            iter_size: an output's value is that of the last pass.
        before : collection of str
            Columns of the run that goes on; it keeps a total_loss that it has.
        """
        whole = self.losses == ["loss"] and [weight for weight, _ in self.minimised] == [1] and passes == 1
        apart = log_lines.total_name(self.names, whole=False)
        return apart if apart in before or ("loss" in self.names and not whole) else "loss"


def kinds_of(nets):
    """Return {blob: "accuracy" or "loss"} of what the layers of NetParameters measure, whatever it is called."""
    kinds = {}
    for layer in (layer for net in nets for layer in net.layer):
        kind = kind_of(layer)
        if kind:
            kinds |= dict.fromkeys(layer.top, kind)
    return kinds


def kind_of(layer):
    """Return "accuracy" or "loss" where a LayerParameter measures, None elsewhere."""
    kind = layer.python_param.layer if layer.type == "Python" else layer.type
    if kind.endswith("Accuracy"):
        return "accuracy"
    return "loss" if kind.endswith("Loss") or any(layer.loss_weight) else None


def blob_of(column):
    """Return the blob of a column of train.csv or test.csv: loss of "loss[1]", and of a second test net's "loss#1"."""
    return re.sub(r"\[\d+\]|#\d+", "", column)


def kinds_of_run(folder):
    """Return {blob: "accuracy" or "loss"} of what the layers of all nets of a run folder measure."""
    from caffe.proto import caffe_pb2  # a report reads histories without Caffe

    from mindpics.caffe_files.messages import read_message

    files = TrainingFiles(Path(folder))
    paths = [path for path in (files.net, *files.folder.glob(TrainingFiles.test_nets)) if path.is_file()]
    return kinds_of(read_message(path, caffe_pb2.NetParameter()) for path in paths)


class LossOfPasses:
    """The mean loss over the passes of an iteration (iter_size), which Caffe does not keep."""

    def __init__(self, outputs, passes):
        self.outputs = outputs
        self.passes = passes
        self.losses = []
        if passes > 1:
            self.last = len(outputs.net.layers) - 1
            outputs.net.after_forward(self._see)

    def take(self):
        """Return the loss of the iteration that has just ended."""
        losses, self.losses = self.losses, []
        return math.fsum(losses[-self.passes :]) / self.passes if self.passes > 1 else self.outputs.loss()

    def _see(self, layer):
        if layer == self.last:
            self.losses.append(self.outputs.loss())


def averages(net, passes):
    """Return {name: mean} of a net's outputs over so many passes; {} over none, of which Caffe prints nothing."""
    outputs = Outputs(net)
    rows = []
    for _ in range(passes):
        net.forward()
        rows.append(outputs.values())
    return {name: float(np.mean([row[name] for row in rows])) for name in outputs.names} if rows else {}


def _names(name, count):
    return [name, *(f"{name}[{number}]" for number in range(1, count))][:count]
