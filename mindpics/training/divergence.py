"""Divergence watch of a training: NaN, the clip of SoftmaxWithLoss, heads stuck at guessing."""

import math

import numpy as np

from mindpics.nets.trait_loss import FLT_MIN, softmax
from mindpics.traits import TRAITS, own_poles

# -log(FLT_MIN): Softmax gave the true class a zero, and Caffe clipped it.
CLIPPED_LOSS = 87.33
# A net that is certain and wrong may still learn, as Caffe lets it: at batch size 1 a picture is enough for the clip.
# A net of ten classes that guesses surely, and never learns, is wrong so often running with .9 ** 100, 3 in 100,000.
CLIPPED_ITERATIONS = 100
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


def clipped_losses(net, shapes):
    """Return the losses of SoftmaxWithLoss that are means, where 87.33 is a clip; those that sum may be above it.

    Parameters
    ----------
    net : NetParameter
    shapes : dict
        Blob -> shape, of the net that is trained.
    """
    return {top for layer in net.layer if _is_mean_of_softmax(layer, shapes) for top in layer.top[:1]}


def _is_mean_of_softmax(layer, shapes):
    """As `SoftmaxWithLossLayer::LayerSetUp` reads its normalization; by pictures it sums over a picture's positions."""
    if layer.type == "Python":
        return layer.python_param.layer == "TraitLoss"
    if layer.type != "SoftmaxWithLoss" or layer.bottom[0] not in shapes:
        return False
    loss, normalization = layer.loss_param, layer.loss_param.normalization
    if loss.HasField("normalize") and not loss.HasField("normalization"):
        normalization = loss.VALID if loss.normalize else loss.BATCH_SIZE
    shape = shapes[layer.bottom[0]]
    positions = math.prod(shape[layer.softmax_param.axis % len(shape) + 1 :])
    return normalization != loss.NONE and (normalization != loss.BATCH_SIZE or positions == 1)


def check_losses(iteration, losses):
    """Raise DivergedError for a loss (``{name: value}``) that is not finite; `iteration` is for the message."""
    for name, loss in losses.items():
        if not math.isfinite(loss):
            raise DivergedError(
                f"iteration {iteration}: {name} is {loss}; lower base_lr, have normalization BATCH_SIZE, "
                "or start from smaller weights"
            )


class ClippedLosses:
    """Watch means of SoftmaxWithLoss; one that stays at -log(FLT_MIN) has diverged.

    Parameters
    ----------
    patience : int
        Iterations running, of which `CLIPPED_ITERATIONS` are enough; 0 for ever.
    names : collection of str
        Their blobs, see `clipped_losses`.
    """

    def __init__(self, patience, names):
        self.limit = min(patience, CLIPPED_ITERATIONS)
        self.running = dict.fromkeys(names, 0)

    def update(self, iteration, losses):
        """Take the losses (``{name: value}``) of one iteration; raise DivergedError when one has stayed at its clip."""
        for name in self.running.keys() & losses.keys():
            loss = losses[name]
            self.running[name] = self.running[name] + 1 if loss >= CLIPPED_LOSS - 0.01 else 0
            if self.limit and self.running[name] >= self.limit:
                raise DivergedError(
                    f"iteration {iteration}: {name} is {loss:.2f}, that is -log(FLT_MIN), for {self.limit} iterations "
                    "running: the net is certain and wrong; lower base_lr, or patience=0 to wait"
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

    Parameters
    ----------
    patience : int
    heads : dict
        Trait's index -> (score, label): the blobs, see `mindpics.lint.heads.trait_heads`.
    """

    def __init__(self, patience, heads):
        self.patience, self.heads = patience, heads
        self.bad_windows = dict.fromkeys(heads, 0)
        self._start_window()

    def _start_window(self):
        self.iterations = 0
        self.loss = dict.fromkeys(self.heads, 0.0)
        self.poles = {head: np.zeros(2) for head in self.heads}

    def update(self, iteration, blobs):
        """Take the blobs of one iteration; raise DivergedError when a head is stuck."""
        for head, (score, label) in self.heads.items():
            is_of_head, poles = own_poles(blobs[label].data.reshape(-1), head)
            poles = poles[is_of_head]
            true = softmax(blobs[score].data.reshape(-1, 2)[is_of_head])[np.arange(len(poles)), poles]
            self.loss[head] -= np.log(np.maximum(true, FLT_MIN)).sum()
            self.poles[head] += np.bincount(poles, minlength=2)
        self.iterations += 1
        if self.iterations == max(1, self.patience // WINDOWS):
            self._judge(iteration)
            self._start_window()

    def _judge(self, iteration):
        for head in self.heads:
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
