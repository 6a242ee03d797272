"""Accuracies of trait heads, pooled over the test set, from saved scores.

Accuracy is taken over pooled predictions of the whole test set. Caffe's own
figure is an average over batches, in which a picture of a batch with few of its
trait weighs more.
"""

import numpy as np

from mindpics.files.arrays import load_npz
from mindpics.traits import TRAITS, own_poles

Z95 = 1.959963984540054  # the normal distribution's 97.5th percentile
RESAMPLES = 10_000
_TINY = np.finfo(np.float32).tiny


def wilson(right, n):
    """Return the 95% Wilson interval of `right` successes in `n` trials, as two shares."""
    if n == 0:
        return 0.0, 1.0
    from scipy.stats import binomtest  # a second to import, for which no --help waits

    interval = binomtest(int(right), int(n)).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def trait_figures(labels, scores, trait):
    """Return the figures of one head over the pictures of its trait.

    Parameters
    ----------
    labels : int array [N]
        ``2 * trait + pole``.
    scores : float array [N,5,2]
        Low and high of each trait.
    trait : int

    Returns
    -------
    dict
        n, right, accuracy, balanced_accuracy, larger_pole (accuracy of always guessing the
        test set's larger pole), low95 and high95 (Wilson); shares, not percent.

    Raises
    ------
    ValueError
        When no picture has the trait, or a score is not finite.
    """
    of_trait, poles = own_poles(labels, trait)
    if not of_trait.any():
        raise ValueError(f"labels: found no picture of trait {TRAITS[trait]} among {len(labels)}; wanted one at least")
    poles, heads = poles[of_trait], np.asarray(scores)[of_trait, trait]
    if not np.isfinite(heads).all():
        raise ValueError(f"scores: found values of trait {TRAITS[trait]} that are not finite; wanted those of its net")
    right = heads[np.arange(len(poles)), poles] > heads[np.arange(len(poles)), 1 - poles]
    low, high = wilson(right.sum(), len(right))
    return {
        "n": len(right),
        "right": int(right.sum()),
        "accuracy": float(right.mean()),
        "balanced_accuracy": float(np.mean([right[poles == pole].mean() for pole in np.unique(poles)])),
        "larger_pole": float(max(poles.mean(), 1 - poles.mean())),
        "low95": low,
        "high95": high,
    }


def evaluate(labels, scores, seed=0):
    """Return the figures of every trait and their mean.

    Parameters
    ----------
    labels : int [N]
        ``2 * trait + pole``.
    scores : float [N,5,2]
        Probabilities of low and high by each trait's head.
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        One entry a trait (see `trait_figures`) and "avg": accuracy, balanced_accuracy,
        larger_pole as means over traits, n pictures in all, and low95, high95 by bootstrap
        (pictures resampled within each trait, 10,000 times).

    Raises
    ------
    ValueError
        As `trait_figures`.
    """
    figures = {name: trait_figures(labels, scores, index) for index, name in enumerate(TRAITS)}
    rows = list(figures.values())
    rng = np.random.default_rng(seed)
    # Resampling right and wrong answers of one trait is a binomial draw.
    resampled = np.mean([rng.binomial(r["n"], r["accuracy"], RESAMPLES) / r["n"] for r in rows], axis=0)
    low, high = np.percentile(resampled, [2.5, 97.5])
    figures["avg"] = {
        key: float(np.mean([row[key] for row in rows])) for key in ("accuracy", "balanced_accuracy", "larger_pole")
    } | {"n": sum(row["n"] for row in rows), "low95": float(low), "high95": float(high)}
    return figures


def log_odds(scores):
    """Return the log odds of high against low of every head.

    Probabilities near 1 are rounded to 1 in float32 where their complements still differ,
    so the odds rank pictures that the probability of high alone would tie.

    Parameters
    ----------
    scores : float array [N,5,2]
        Low and high of each trait.

    Returns
    -------
    float64 [N,5]
    """
    logs = np.log(np.maximum(np.asarray(scores, dtype=np.float64), _TINY))
    return logs[..., 1] - logs[..., 0]


def load_scores(path):
    """Return (ids, labels, scores) of a scores.npz: str [N], int [N], float32 [N,5,2].

    Raises
    ------
    ValueError
        When the file is none, or its arrays do not go together. No pickle is loaded.
    """
    ids, labels, scores = load_npz(path, ("ids", "labels", "scores"), "a scores file")
    if ids.dtype.kind != "U" or labels.dtype.kind not in "iu" or scores.dtype.kind != "f":
        kinds = f"ids {ids.dtype}, labels {labels.dtype}, scores {scores.dtype}"
        raise ValueError(f"{path}: found {kinds}; wanted str, int and float")
    if ids.ndim != 1 or scores.shape != (len(ids), len(TRAITS), 2) or labels.shape != (len(ids),):
        raise ValueError(
            f"{path}: found scores {scores.shape}, labels {labels.shape}, {len(ids)} ids; wanted [N,5,2], [N], N"
        )
    return ids, labels, scores


def load_iterate(path):
    """Return [(name, iteration), ...] of the nets that a scores.npz is of, as `tools/score_net` keeps them.

    See `mindpics.training.iterates.iterate_of`; [] of a file that does not tell, as older ones.

    Raises
    ------
    ValueError
        When what it tells is no such thing.
    """
    _, names, iterations = load_npz(path, ("ids",), "a scores file", optional=("iterate", "iterations"))
    if names is None or iterations is None:
        return []
    if names.dtype.kind != "U" or iterations.dtype.kind != "i" or names.ndim != 1 or names.shape != iterations.shape:
        kinds = f"iterate {names.dtype} {names.shape}, iterations {iterations.dtype} {iterations.shape}"
        raise ValueError(f"{path}: found {kinds}; wanted str [K], int [K]")
    return [(str(name), None if number < 0 else int(number)) for name, number in zip(names, iterations, strict=True)]


def load_activations(path):
    """Return (ids, activations) of a scores.npz of ``tools/score_net --activations``: str [N], float32 [N,5,2].

    Raises
    ------
    ValueError
        When the file has none, or they do not go together.
    """
    ids, activations = load_npz(path, ("ids", "activations"), "scores with activations")
    if ids.dtype.kind != "U" or activations.dtype.kind != "f" or activations.shape != (len(ids), len(TRAITS), 2):
        raise ValueError(f"{path}: found activations {activations.shape} of {len(ids)} ids; wanted [N,5,2] of N")
    return ids, activations
