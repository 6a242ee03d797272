"""Logistic regression over users: our joint solver, scikit-learn's by switch, and the choice of C.

Paper section 3.1: one logistic regression a modality, C from [0.1, 1, 10, 100] on
the validation pins. Its scikit-learn (0.18) made that one-vs-rest with liblinear:
penalised intercept, probabilities the sigmoid of each class renormalised to sum 1.
"""

import warnings

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from mindpics.jobs.bars import bar_of
from pinterest_id.design import Design
from pinterest_id.linear_models import log_probabilities
from pinterest_id.logistic import fit_one_vs_rest
from pinterest_id.options import CLASSIFIERS


class JointLogisticRegression(ClassifierMixin, BaseEstimator):
    """One-vs-rest L2 logistic regression with liblinear's optimum, all classes solved at once.

    Parameters
    ----------
    C : float, default=1.0
        Inverse strength of the penalty.
    fit_intercept : bool, default=True
        The intercept is penalised like a weight, as in liblinear.
    tol : float, default=1e-3
        Largest distance of each class's weights from the optimum, relative to their norm; it is
        proved, not estimated (see `pinterest_id.logistic`).
    max_iter : int, default=100
        Newton steps at most.
    verbose : int, default=0
        Show the number of solved classes, with rate and time left.

    Attributes
    ----------
    classes_ : array, shape [K]
    coef_ : float array, shape [K, D] ([1, D] for two classes)
    intercept_ : float array, shape [K] ([1] for two classes)
    n_iter_ : int
        Newton steps taken.
    n_columns_ : int
        Columns multiplied with X or its transpose, the work done.

    Notes
    -----
    X is dense or CSR; products are float32 if X is float32, else float64.
    """

    def __init__(self, C=1.0, fit_intercept=True, tol=1e-3, max_iter=100, verbose=0):
        self.C = C
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def fit(self, X, y, coef_init=None, intercept_init=None, design=None):
        """Fit all classes.

        Parameters
        ----------
        X : array or CSR, shape [N, D]
        y : array, shape [N]
        coef_init, intercept_init : float arrays, shape as `coef_` and `intercept_`, optional
            Where to start from, e.g. the weights of a smaller C. The optimum does not depend on it.
        design : Design, optional
            That of this X and `fit_intercept`, when it was made before: it holds for any y and C.
        """
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=[np.float64, np.float32])
        check_classification_targets(y)
        for name in ("C", "tol"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: found {getattr(self, name)!r}; wanted a positive number")
        self.classes_, codes = np.unique(y, return_inverse=True)
        n_classes = len(self.classes_)
        if n_classes < 2:
            raise ValueError(f"y: found one class only, {self.classes_[0]}; wanted two or more")
        if n_classes == 2:  # one problem, of which the second class is the positive one
            codes, n_classes = 1 - codes, 1
        start = None if coef_init is None else np.vstack([np.transpose(coef_init), intercept_init])
        if start is not None and start.shape != (X.shape[1] + 1, n_classes):
            raise ValueError(f"coef_init: found {np.shape(coef_init)}; wanted {(n_classes, X.shape[1])}")
        design = design or Design(X, self.fit_intercept)
        before = design.columns
        with _ClassBar(n_classes, self.C, self.verbose) as bar:
            W, self.n_iter_ = fit_one_vs_rest(
                design, codes, n_classes, self.C, start, self.tol, self.max_iter, bar.show
            )
        self.n_columns_ = design.columns - before
        self.coef_, self.intercept_ = W[:-1].T.astype(X.dtype), W[-1].astype(X.dtype)
        return self

    def decision_function(self, X):
        """Return X w + b: [N, K], or [N] for two classes."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False)
        Z = X @ self.coef_.T + self.intercept_
        return Z.ravel() if Z.shape[1] == 1 else Z

    def predict_log_proba(self, X):
        """Return the log of `predict_proba`, [N, K]."""
        Z = self.decision_function(X)
        return log_probabilities(np.column_stack([-Z, Z]) if Z.ndim == 1 else Z)

    def predict_proba(self, X):
        """Return class probabilities, [N, K]: sigmoids renormalised to sum 1.

        Parameters
        ----------
        X : array or CSR [N, D]
        """
        return np.exp(self.predict_log_proba(X))

    def predict(self, X):
        """Return the most likely class of each row, [N]."""
        Z = self.decision_function(X)
        best = (Z > 0).astype(int) if Z.ndim == 1 else Z.argmax(axis=1)
        return self.classes_[best]


class _ClassBar:
    """A progress bar over solved classes; on a terminal, and when `verbose`."""

    def __init__(self, n_classes, C, verbose):
        silent = None if verbose else True
        self.bar = bar_of(total=n_classes, desc=f"C={C:g}", unit="class", disable=silent, leave=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bar.close()

    def show(self, n_open, gap):
        self.bar.set_postfix_str(f"largest gap {min(gap, 1):.1g}", refresh=False)
        self.bar.update(self.bar.total - n_open - self.bar.n)
        self.bar.refresh()


def fit_watched(classifier, X, y, **start):
    """Fit a classifier; return the first line of its ConvergenceWarning, "" when it has converged.

    Parameters
    ----------
    classifier : estimator
    X : array or CSR, shape [N, D]
    y : array, shape [N]
    **start
        More arguments of its `fit`.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        classifier.fit(X, y, **start)
    complaints = [str(each.message) for each in caught if issubclass(each.category, ConvergenceWarning)]
    for each in caught:
        if not issubclass(each.category, ConvergenceWarning):
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    return complaints[0].splitlines()[0] if complaints else ""


def make_classifier(kind="joint", C=1.0, tol=1e-3, verbose=0):
    """Return an unfitted classifier: "joint" (ours), "liblinear" or "multinomial" (scikit-learn's).

    scikit-learn dropped `multi_class`; OneVsRestClassifier around liblinear is what it was.

    Parameters
    ----------
    kind : {"joint", "liblinear", "multinomial"}
    C : float
    tol, verbose
        Of "joint" alone, see `JointLogisticRegression`.

    Raises
    ------
    ValueError
        For another kind.
    """
    if kind == "joint":
        return JointLogisticRegression(C=C, tol=tol, verbose=verbose)
    if kind == "liblinear":
        return OneVsRestClassifier(LogisticRegression(solver="liblinear", C=C))
    if kind == "multinomial":
        return LogisticRegression(solver="lbfgs", C=C, max_iter=1000)
    raise ValueError(f"classifier: found {kind!r}; wanted one of {', '.join(CLASSIFIERS)}")
