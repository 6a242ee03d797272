"""Linear classifiers as plain arrays: log probabilities, files without pickle."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import log_expit, logsumexp

from mindpics.files.arrays import load_npz
from mindpics.files.atomic import atomic_write
from mindpics.files.json_files import read_document, shown, write_json

KINDS = ("one-vs-rest", "multinomial")


def log_probabilities(decision, kind="one-vs-rest"):
    """Return the log of class probabilities from decision values, without underflow.

    Parameters
    ----------
    decision : float array, shape [N, K]
    kind : {"one-vs-rest", "multinomial"}
        Sigmoids renormalised to sum 1 (scikit-learn's one-vs-rest), or a softmax.

    Returns
    -------
    float array, shape [N, K]
    """
    logs = log_expit(decision) if kind == "one-vs-rest" else np.asarray(decision)
    return logs - logsumexp(logs, axis=1, keepdims=True)


@dataclass(frozen=True)
class LinearModel:
    """A fitted linear classifier as plain arrays, whatever solver made it.

    `classes` [K] of str, `coef` float32 [K, D], `intercept` float32 [K], `kind`
    "one-vs-rest" or "multinomial", `about` a JSON-able dict.
    """

    classes: np.ndarray
    coef: np.ndarray
    intercept: np.ndarray
    kind: str
    about: dict

    @property
    def not_converged(self):
        """What was said of a fit that did not converge; "" of others."""
        return self.about.get("not_converged", "")

    def log_proba(self, X):
        """Return log probabilities of X ([N, D], dense or CSR), float32 [N, K]."""
        if X.shape[1] != self.coef.shape[1]:
            raise ValueError(f"X: found {X.shape[1]} features; wanted the model's {self.coef.shape[1]}")
        Z = X.astype(np.float32, copy=False) @ self.coef.T + self.intercept
        return log_probabilities(Z, self.kind).astype(np.float32)


def linear_model(classifier, about=None):
    """Return the `LinearModel` of a fitted classifier of `make_classifier`."""
    from sklearn.linear_model import LogisticRegression  # takes a second

    parts = getattr(classifier, "estimators_", [classifier])
    coef = np.vstack([part.coef_ for part in parts]).astype(np.float32)
    intercept = np.concatenate([part.intercept_ for part in parts]).astype(np.float32)
    kind = "multinomial" if isinstance(classifier, LogisticRegression) else "one-vs-rest"
    if len(coef) == 1:  # two classes share one decision value, whoever solved it
        coef, intercept, kind = np.vstack([-coef, coef]), np.concatenate([-intercept, intercept]), "one-vs-rest"
    return LinearModel(classifier.classes_.astype(str), coef, intercept, kind, about or {})


def save_model(path, model):
    """Write a `LinearModel` as PATH.npz (arrays) and PATH.json (kind and facts); no pickle.

    Parameters
    ----------
    path : path
        Without ending.
    model : LinearModel
    """
    Path(f"{path}.json").unlink(missing_ok=True)  # a killed run leaves no old facts beside new arrays
    with atomic_write(f"{path}.npz", "wb") as stream:
        np.savez(stream, classes=model.classes, coef=model.coef, intercept=model.intercept)
    write_json(f"{path}.json", {"kind": model.kind, **model.about})


def load_model(path):
    """Read what `save_model` wrote.

    Raises
    ------
    ValueError
        When a file is none of ours, or the arrays do not belong together. No pickle is loaded.
    """
    about = _read_about(Path(f"{path}.json"))
    classes, coef, intercept = load_npz(f"{path}.npz", ("classes", "coef", "intercept"), "a model")
    shapes = [array.shape for array in (classes, coef, intercept)]
    if [len(shape) for shape in shapes] != [1, 2, 1] or len({shape[0] for shape in shapes}) != 1:
        raise ValueError(f"{path}.npz: found classes, coef, intercept {shapes}; wanted [K], [K, D], [K]")
    if classes.dtype.kind != "U" or coef.dtype.kind != "f" or intercept.dtype.kind != "f":
        raise ValueError(
            f"{path}.npz: found {classes.dtype}, {coef.dtype}, {intercept.dtype}; wanted str, float, float"
        )
    if not (np.isfinite(coef).all() and np.isfinite(intercept).all()):
        raise ValueError(f"{path}.npz: found weights that are not finite; wanted finite ones")
    return LinearModel(classes, coef, intercept, about.pop("kind"), about)


def _read_about(path):
    about = read_document(path, "facts of a model in JSON")
    if not isinstance(about, dict) or about.get("kind") not in KINDS:
        raise ValueError(f"{path}: found {shown(about)}; wanted an object with kind, one of {', '.join(KINDS)}")
    return about
