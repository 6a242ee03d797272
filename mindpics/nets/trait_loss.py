"""Equation 5 as a pair of NumPy functions: one head's loss and its gradient.

A head of trait t sees a whole batch of labels (``2 * trait + pole``) and answers
only for the pictures of its own trait; every other picture adds neither loss nor
gradient ("ignored classifier", section 3.2.2).
"""

import numpy as np

from mindpics.traits import N_LABELS, own_poles

# Equation 5 read literally comes first: a picture of another trait is a zero in the mean over the batch.
NORMALIZATIONS = ("BATCH_SIZE", "VALID")
# Caffe clips probabilities here (softmax_loss_layer.cpp); -log of it is the 87.33
# that marks a diverged net.
FLT_MIN = np.finfo(np.float32).tiny


def softmax(scores):
    """Return the probabilities of equation 3 for scores [N,2], computed without overflow."""
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def check_labels(labels):
    """Return labels [N] as whole numbers; ValueError when one is no ``2 * trait + pole``."""
    if labels.size and not (labels.min() >= 0 and labels.max() < N_LABELS):
        raise ValueError(
            f"found labels {labels.min():g}..{labels.max():g}; wanted 2 * trait + pole (0..{N_LABELS - 1}): "
            "was this LMDB made for another net?"
        )
    return labels.astype(int)


def trait_loss(scores, labels, trait, normalization="BATCH_SIZE"):
    """Loss of the head of one trait and its gradient (equations 4 and 5).

    Parameters
    ----------
    scores : float array [N,2]
        The head's outputs, low then high.
    labels : array [N]
        ``2 * trait + pole`` of each picture, 0..9.
    trait : int
        Index of the head's trait in O C E A N.
    normalization : {"BATCH_SIZE", "VALID"}
        Divide by the whole batch, as equation 5 says, which gives the five heads together
        the scale of one independent net; or by the pictures of this trait in it (Caffe's own
        default with ignored labels), which is five times that.

    Returns
    -------
    loss : float
        0 for a batch without a picture of the trait.
    gradient : float array [N,2]
        d loss / d scores; rows of ignored pictures are 0.
    """
    in_trait, poles = own_poles(labels, trait)
    divisor = max(1, in_trait.sum()) if normalization == "VALID" else len(in_trait)
    rows = np.flatnonzero(in_trait)
    probabilities = softmax(scores[rows])
    true = probabilities[np.arange(len(rows)), poles[rows]]
    loss = -np.log(np.maximum(true, FLT_MIN)).sum() / divisor
    gradient = np.zeros_like(scores)
    gradient[rows] = probabilities
    gradient[rows, poles[rows]] -= 1
    return float(loss), gradient / divisor


def trait_accuracy(scores, labels, trait):
    """Share of the batch's pictures of `trait` whose pole scores higher; 0 if it has none.

    As in Caffe's Accuracy layer a tie counts against, and an empty batch gives 0. The
    average of such shares over batches is for watching a run; figures to report come
    from pooled predictions (`mindpics.results.metrics`).

    Parameters
    ----------
    scores : ndarray, float, [N, 2]
        Low, high.
    labels : ndarray, int, [N]
        2 * trait + pole.
    trait : str
        One of O C E A N.

    Returns
    -------
    float
    """
    in_trait, poles = own_poles(labels, trait)
    rows = np.flatnonzero(in_trait)
    right = scores[rows, poles[rows]] > scores[rows, 1 - poles[rows]]
    return float(right.mean()) if len(rows) else 0.0
