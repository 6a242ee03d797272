"""Learned late fusion, not in the paper: how much each modality's log probability should count.

Equation 1 counts both once. Here user k of a pin gets the score
``sum_m a_m log p_mk``, a softmax over users makes it a probability, and the few
a_m, shared by all users, are the logistic regression that fits the validation pins.
"""

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax


def fit_late_fusion(logs, codes):
    """Return the weight of each modality, float [M].

    Parameters
    ----------
    logs : sequence of M float arrays, shape [N, K]
        Log probabilities of validation pins, from models that have not seen them.
    codes : int array, shape [N]
    """
    stacked = np.stack([np.asarray(log, dtype=np.float64) for log in logs])
    of_user = stacked[:, np.arange(len(codes)), codes]

    def loss(weights):
        scores = np.tensordot(weights, stacked, axes=1)
        value = logsumexp(scores, axis=1).mean() - (weights @ of_user).mean()
        expected = np.einsum("mnk,nk->m", stacked, softmax(scores, axis=1)) / len(codes)
        return value, expected - of_user.mean(axis=1)

    return minimize(loss, np.ones(len(stacked)), jac=True, method="BFGS").x


def late_fusion(logs, weights):
    """Return log probabilities [N, K] of the fused modalities."""
    scores = sum(weight * log for weight, log in zip(weights, logs, strict=True))
    return (scores - logsumexp(scores, axis=1, keepdims=True)).astype(np.float32)
