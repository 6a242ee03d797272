"""Divergence watch of a training: NaN, the clip of SoftmaxWithLoss, heads stuck at guessing."""

import math

import numpy as np

from mindpics.nets.trait_loss import FLT_MIN, check_labels, softmax
from mindpics.traits import N_LABELS, TRAITS, unpack

# -log(FLT_MIN): Softmax gave the true class a zero, and Caffe clipped it.
CLIPPED_LOSS = 87.33
# A head no better than this (nats a picture) than always guessing has learned nothing.
STUCK_MARGIN = 0.005


class DivergedError(RuntimeError):
    """Training has diverged or is stuck; the message says which head, and what to try.

    Attributes
    ----------
    history : mindpics.training.history.History or None
        What the run did until then, once it is one of `mindpics.training.train.solve`.
    iteration : int or None
        Where it was found.
    """

    history = None
    iteration = None


def clipped_losses(net):
    """Return the blobs of a NetParameter that SoftmaxWithLoss means over, where 87.33 is a clip; not where it sums."""
    return {top for layer in net.layer if _is_mean_of_softmax(layer) for top in layer.top[:1]}


def _is_mean_of_softmax(layer):
    if layer.type == "Python":
        return layer.python_param.layer == "TraitLoss"
    return layer.type == "SoftmaxWithLoss" and layer.loss_param.normalization != layer.loss_param.NONE


def check_losses(iteration, losses, clipped):
    """Raise DivergedError for a loss (``{name: value}``) that is not finite, or is one of `clipped` and at 87.33.

    Parameters
    ----------
    iteration : int
        For the message.
    losses : dict of str to float
    clipped : collection of str
        Those of a normalised SoftmaxWithLoss, which clips at -log(FLT_MIN).

    Raises
    ------
    DivergedError
    """
    for name, loss in losses.items():
        if not math.isfinite(loss):
            raise DivergedError(
                f"iteration {iteration}: {name} is {loss}; lower base_lr, have normalization BATCH_SIZE, "
                "or start from smaller weights"
            )
        if name in clipped and loss >= CLIPPED_LOSS - 0.01:
            raise DivergedError(
                f"iteration {iteration}: {name} is {loss:.2f}, that is -log(FLT_MIN): the net is certain "
                "and wrong; lower base_lr"
            )


def check_weights(iteration, net):
    """Raise DivergedError where a training ends in what no later stage can use: weights that are not finite."""
    for name, blobs in net.params.items():
        if not all(np.isfinite(blob.data).all() for blob in blobs):
            raise DivergedError(f"iteration {iteration}: layer {name} has weights that are not finite; lower base_lr")


# A slow start is no dead head: it must be no better in each of so many windows running.
WINDOWS = 4


class StuckHeads:
    """Watch trait heads; one that is no better than guessing for `patience` iterations running is stuck.

    A dead AlexNet gives every picture the same answer, and its loss stays at that of
    guessing: 0.693 when the poles are balanced.
    """

    def __init__(self, patience):
        self.patience = patience
        self.bad_windows = [0] * len(TRAITS)
        self._start_window()

    def _start_window(self):
        self.iterations = 0
        self.loss = np.zeros(len(TRAITS))
        self.poles = np.zeros((len(TRAITS), 2))

    def update(self, iteration, blobs):
        """Take the blobs of one iteration (``score_O`` .. and ``label``); raise DivergedError when stuck."""
        heads = [index for index, trait in enumerate(TRAITS) if f"score_{trait}" in blobs]
        if not heads:  # another net, whose labels are its own
            return
        labels = check_labels(blobs["label"].data.reshape(-1))
        rows, (traits, poles) = np.arange(len(labels)), unpack(labels)
        scores = np.zeros((len(TRAITS), len(labels), 2))
        for head in heads:
            scores[head] = blobs[f"score_{TRAITS[head]}"].data.reshape(-1, 2)
        true = softmax(scores[traits, rows])[rows, poles]  # by the head of each picture's trait
        self.loss += np.bincount(traits, -np.log(np.maximum(true, FLT_MIN)), minlength=len(TRAITS))
        self.poles += np.bincount(labels, minlength=N_LABELS).reshape(-1, 2)
        self.iterations += 1
        if self.iterations == max(1, self.patience // WINDOWS):
            self._judge(iteration, heads)
            self._start_window()

    def _judge(self, iteration, heads):
        for head in heads:
            n = self.poles[head].sum()
            if not n or not self.poles[head].all():
                continue
            shares = self.poles[head] / n
            guessing = -(shares * np.log(shares)).sum()
            mean = self.loss[head] / n
            self.bad_windows[head] = self.bad_windows[head] + 1 if mean > guessing - STUCK_MARGIN else 0
            if self.bad_windows[head] == WINDOWS:
                raise DivergedError(
                    f"iteration {iteration}: head {TRAITS[head]} is stuck at {mean:.3f}, no better for "
                    f"{self.patience} iterations than always guessing ({guessing:.3f}); try another "
                    "random_seed, a larger base_lr or crop, or patience=0 to wait"
                )
