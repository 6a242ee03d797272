"""SolverParameter messages from hyper-parameters, the reason beside each field."""

import math
from dataclasses import dataclass

from caffe.proto import caffe_pb2

from mindpics.published import published

SNAPSHOTS = 10  # over a training, and the last


@dataclass(frozen=True)
class Schedule:
    """How long to train, in epochs. The paper does not say: see "Differences and choices".

    Attributes
    ----------
    epochs, step_epochs : float
        Training ends after `epochs`; the rate is divided by ten every `step_epochs`.
    base_lr : float
    """

    epochs: float
    step_epochs: float
    base_lr: float


# Lengths: finetune_flickr_style (100,000 iterations, stepsize 20,000, batch 50 on 80,000
# pictures) and bvlc_alexnet (450,000, 100,000, batch 256 on 1.28 million). Rates: section 4.
SCHEDULES = {
    "finetune": Schedule(62.5, 12.5, published()["training"]["base_lr"]["finetune"]),
    "scratch": Schedule(90, 20, published()["training"]["base_lr"]["scratch"]),
}


def solver(
    net, schedule, *, train, batch, test, test_batch, prefix, seed=None, iter_size=1, snapshots=SNAPSHOTS, tests=20
):
    """Return a SolverParameter.

    Parameters
    ----------
    net : str
        Path of the train_val prototxt, as Caffe will open it.
    schedule : Schedule
    train, test : int
        Pictures in the training and in the test set.
    batch, test_batch : int
        Pictures of an update, which `iter_size` passes share, and of a test pass.
    seed : int, optional
        ``random_seed``: fillers, picture crops and mirrors, dropout.
    prefix : str
        ``snapshot_prefix``.
    snapshots, tests : int
        How many of each to spread over the run.
    """
    per_epoch = train / batch
    max_iter = max(1, math.ceil(schedule.epochs * per_epoch))
    test_interval = max(1, max_iter // tests)
    message = caffe_pb2.SolverParameter(
        net=net,
        type="SGD",
        base_lr=schedule.base_lr,
        lr_policy="step",
        gamma=0.1,
        stepsize=max(1, math.ceil(schedule.step_epochs * per_epoch)),
        max_iter=max_iter,
        momentum=0.9,  # section 4
        weight_decay=0.0005,  # section 4, L2
        regularization_type="L2",
        display=20,
        test_interval=test_interval,
        # An untrained BatchNorm has no statistics to test with: NaN, on which parse_log.py stumbles.
        test_initialization=False,
        snapshot=_between_snapshots(max_iter, snapshots, test_interval),
        snapshot_prefix=prefix,
        # No solver_mode: with one, `caffe train` would want a GPU where there is none. `-gpu 0` asks for it.
    )
    message.test_iter.append(math.ceil(test / test_batch))
    if iter_size != 1:
        message.iter_size = iter_size
    if seed is not None:
        message.random_seed = seed
    return message


def _between_snapshots(max_iter, snapshots, test_interval):
    """Return `snapshot`: where there are several, each falls on a test pass, which says how good it is."""
    apart = max(1, max_iter // snapshots)
    return apart - apart % test_interval if snapshots > 1 and apart >= test_interval else apart
