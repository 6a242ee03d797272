"""Fusion of the modalities: the cascade (paper, equation 1) and the linear baseline (section 4.1).

Everything is kept as logs of probabilities: the product of 117 users' small
probabilities would underflow, the sum of their logs does not.
"""

from collections.abc import Mapping

import numpy as np
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

LAMBDAS = (0.3, 0.5, 0.7)  # section 4.1


def cascade(*logs):
    """Return log r = log r^x + log r^g (equation 1) of log probabilities [N, K] each."""
    _check_shapes(logs)
    return np.sum(logs, axis=0)


def linear(text, image, weight):
    """Return the log of ``weight * p_image + (1 - weight) * p_text`` (section 4.1: lambda is the image's).

    Parameters
    ----------
    text, image : float array, shape [N, K]
        Log probabilities.
    weight : float in 0..1
    """
    if not 0 <= weight <= 1:
        raise ValueError(f"lambda: found {weight}; wanted 0..1")
    _check_shapes((text, image))
    with np.errstate(divide="ignore"):
        weights = np.log([1 - weight, weight])
    return np.logaddexp(text + weights[0], image + weights[1]).astype(text.dtype, copy=False)


def _check_shapes(logs):
    shapes = {np.shape(log) for log in logs}
    if len(shapes) != 1:
        raise ValueError(f"modalities: found the shapes {sorted(shapes)}; wanted the same pins and users")


class CascadeClassifier(ClassifierMixin, BaseEstimator):
    """The product of the probabilities of one classifier a modality, as a scikit-learn estimator.

    Parameters
    ----------
    classifiers : list of (name, estimator)
        Each with `predict_proba`, and better `predict_log_proba`.

    Attributes
    ----------
    classes_ : array, shape [K]
    fitted_ : dict
        Name to fitted estimator.

    Examples
    --------
    >>> cascade = CascadeClassifier([("text", JointLogisticRegression()), ("image", JointLogisticRegression())])
    >>> cascade.fit({"text": X_text, "image": X_image}, users)  # doctest: +SKIP

    Notes
    -----
    X is a mapping from the names to matrices with the same rows; a single matrix is given to each.
    """

    def __init__(self, classifiers):
        self.classifiers = classifiers

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = all(get_tags(part).input_tags.sparse for _, part in self.classifiers)
        return tags

    def fit(self, X, y):
        """Fit each classifier on its modality."""
        self.fitted_ = {}
        for (name, classifier), part in zip(self.classifiers, self._parts(X), strict=True):
            self.fitted_[name] = clone(classifier).fit(part, y)
        first = next(iter(self.fitted_.values()))
        self.classes_ = first.classes_
        if hasattr(first, "n_features_in_") and not isinstance(X, Mapping):
            self.n_features_in_ = first.n_features_in_
        return self

    def log_product(self, X):
        """Return the log of equation 1, [N, K]; not normalised over the users."""
        check_is_fitted(self)
        logs = [_log_proba(model, part) for model, part in zip(self.fitted_.values(), self._parts(X), strict=True)]
        return cascade(*logs)

    def predict_log_proba(self, X):
        """Return the log of `predict_proba`, [N, K].

        Parameters
        ----------
        X : dict of {str: array or CSR [N, D]}, or array [N, D]
            A part a modality, or one for all.
        """
        logs = self.log_product(X)
        logs[np.isneginf(logs).all(axis=1)] = 0  # the modalities agree on no user
        return logs - logsumexp(logs, axis=1, keepdims=True)

    def predict_proba(self, X):
        """Return the product of the modalities' probabilities, normalised to sum 1, [N, K]; uniform where all are 0.

        Parameters
        ----------
        X : dict of {str: array or CSR [N, D]}, or array [N, D]
            A part a modality, or one for all.
        """
        return np.exp(self.predict_log_proba(X))

    def predict(self, X):
        """Return the user with the largest product, [N]."""
        best = self.log_product(X).argmax(axis=1)
        return self.classes_[best]

    def _parts(self, X):
        names = [name for name, _ in self.classifiers]
        if not isinstance(X, Mapping):
            return [X] * len(names)
        missing = [name for name in names if name not in X]
        if missing:
            raise ValueError(f"X: found the modalities {', '.join(map(str, X))}; wanted {', '.join(missing)} too")
        rows = {name: X[name].shape[0] for name in names}
        if len(set(rows.values())) > 1:
            raise ValueError(f"modalities: found the pins {rows}; wanted as many of each")
        return [X[name] for name in names]


def _log_proba(model, X):
    if hasattr(model, "predict_log_proba"):
        return model.predict_log_proba(X)
    with np.errstate(divide="ignore"):
        return np.log(model.predict_proba(X))
