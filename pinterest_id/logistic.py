"""All one-vs-rest L2 logistic regressions of a problem at once, as matrix products.

Minimises for each class k what liblinear does (the intercept is penalised too):

    1/2 (|w_k|^2 + b_k^2) + C sum_i log(1 + exp(-y_ik (w_k . x_i + b_k))),   y_ik = +1 or -1

The classes are separate problems over one X, so their Newton-CG runs go side by
side: a product with X, the only dear step, serves every class still open. The
state is float64, the products are in X's own precision.

The quadratic penalty gives a certificate: its curvature is at least 1, so the
distance from w_k to the optimum is at most the norm of the gradient at w_k.
"""

import warnings

import numpy as np
from scipy import sparse
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning

ROWS = 4096  # rows of X that are summed in its own precision, before float64 takes over
MAX_CG = 1000
MAX_LINE_SEARCH = 20
PATIENCE = 3
TINY = 1e-150  # keeps the gap of zero weights finite


class Design:
    """X (CSR or dense, float32 or float64) with a column of ones, and the products with it.

    Attributes
    ----------
    columns : int
        Columns multiplied with X or its transpose so far, the measure of work.
    """

    def __init__(self, X, fit_intercept=True):
        self.X = X.tocsr() if sparse.issparse(X) else X
        self.fit_intercept = fit_intercept
        self.columns = 0

    def _blocks(self):
        if sparse.issparse(self.X):
            return [slice(None)]
        return [slice(start, start + ROWS) for start in range(0, self.X.shape[0], ROWS)]

    def margins(self, W, dtype=None):
        """Return [X 1] W, [N, K], computed in `dtype` (X's own by default); W is [D+1, K], intercepts last."""
        self.columns += W.shape[1]
        dtype = dtype or self.X.dtype
        W = W.astype(dtype)
        Z = np.empty((self.X.shape[0], W.shape[1]), dtype)
        for rows in self._blocks():
            Z[rows] = self.X[rows].astype(dtype, copy=False) @ W[:-1]
        return Z + W[-1] if self.fit_intercept else Z

    def adjoint(self, R):
        """Return [X 1]' R, float64 [D+1, K], computed in R's precision and summed over blocks in float64."""
        self.columns += R.shape[1]
        out = np.zeros((self.X.shape[1] + 1, R.shape[1]))
        for rows in self._blocks():
            out[:-1] += self.X[rows].astype(R.dtype, copy=False).T @ R[rows]
        if self.fit_intercept:
            out[-1] = R.sum(axis=0, dtype=np.float64)
        return out


def fit_one_vs_rest(design, codes, n_classes, C, start=None, tol=1e-3, max_iter=100, progress=None):
    """Minimise the objective above for every class.

    Parameters
    ----------
    design : Design
    codes : int array, shape [N]
        Class of each row; a code outside 0..n_classes-1 is negative for all.
    n_classes : int
    C : float
    start : float array, shape [D+1, n_classes], optional
        Weights to start from, e.g. those of a smaller C.
    tol : float
        A class is done when its weights are proved to lie within ``tol * |w|`` of the optimum.
    max_iter : int
        Newton steps at most.
    progress : callable, optional
        Called before each Newton step with the number of classes still open and their largest gap,
        which ends at `tol`.

    Returns
    -------
    W : float64 array, shape [D+1, n_classes]
        The last row holds the intercepts.
    n_iter : int
        Newton steps taken.

    Warns
    -----
    ConvergenceWarning
        When a class is still open after `max_iter` steps, or float64 itself gets no further.
    """
    shape = (design.X.shape[1] + 1, n_classes)
    W = np.zeros(shape) if start is None else np.array(start, dtype=np.float64)
    open_, dtype, stall = np.arange(n_classes), design.X.dtype, _Stall(n_classes)
    for n_iter in range(max_iter + 1):
        P, G = _gradient(design, W[:, open_], codes, open_, C, dtype)
        gap = _norms(G) / np.maximum(_norms(W[:, open_]), TINY)
        stalled = stall.seen(open_, gap)
        keep = gap > tol
        open_, P, G, gap = open_[keep], P[:, keep], G[:, keep], gap[keep]
        if progress:
            progress(open_.size, gap.max(initial=0))
        if not open_.size or n_iter == max_iter or (stalled and dtype == np.float64):
            break
        if stalled:  # float32 sums get no closer: from here on the gradient is float64's
            dtype, stall = np.dtype(np.float64), _Stall(n_classes)
        S = _newton_step(design, P * (1 - P), G, C, np.clip(np.minimum(gap, 0.1), 0.3 * tol / gap, 0.3))
        W[:, open_] += S * _step_length(design, W[:, open_], S, codes, open_, C, dtype)
    if open_.size:
        text = f"{open_.size} of {n_classes} classes not within tol={tol:g} after {n_iter} Newton steps (C={C:g})"
        warnings.warn(text, ConvergenceWarning, stacklevel=2)
    return W, n_iter


class _Stall:
    """Tells when no open class has halved its smallest gap in PATIENCE steps."""

    def __init__(self, n_classes):
        self.best, self.steps = np.full(n_classes, np.inf), 0

    def seen(self, open_, gap):
        better = bool(np.any(gap < self.best[open_] / 2))
        self.steps = 0 if better else self.steps + 1
        self.best[open_] = np.minimum(gap, self.best[open_])
        return self.steps >= PATIENCE


def _gradient(design, W, codes, open_, C, dtype):
    P = expit(design.margins(W, dtype))
    G = W + C * design.adjoint(_residuals(P, codes, open_))
    return P.astype(design.X.dtype, copy=False), G


def _residuals(P, codes, open_):
    """Return P - [y = k] over the open classes."""
    R = P.copy()
    column = np.searchsorted(open_, codes)
    mine = np.flatnonzero(open_[np.minimum(column, open_.size - 1)] == codes)
    R[mine, column[mine]] -= 1
    return R


def _newton_step(design, D, G, C, forcing):
    """Solve (I + C [X 1]' D_k [X 1]) s_k = -g_k by conjugate gradients, each class to ``forcing_k * |g_k|``."""
    S, R = np.zeros_like(G), -G
    V, live, goal = R.copy(), np.arange(G.shape[1]), forcing * _norms(G)
    rho = _dots(R, R)
    for _ in range(MAX_CG):
        HV = V + C * design.adjoint(D * design.margins(V))
        alpha = rho / _dots(V, HV)
        S[:, live] += alpha * V
        R -= alpha * HV
        last, rho = rho, _dots(R, R)
        V = R + (rho / last) * V
        keep = np.sqrt(rho) > goal[live]
        if not keep.any():
            break
        if not keep.all():
            live, R, V, rho, D = live[keep], R[:, keep], V[:, keep], rho[keep], D[:, keep]
    return S


def _step_length(design, W, S, codes, open_, C, dtype):
    """Return for each class a step in 0..1 along S: 1 where the slope is not steeply up there, else near its zero.

    Slopes rather than values decide: near the optimum the objective changes by less than
    float32 resolves, its slope does not. The slope grows with the step, so a bracket closes in.
    """
    Z, ZS = design.margins(W, dtype), design.margins(S, dtype)
    ws, ss = _dots(W, S), _dots(S, S)

    def slope(step):
        R = _residuals(expit(Z + step.astype(Z.dtype) * ZS), codes, open_)
        return ws + step * ss + C * _dots(ZS, R)

    low, high = np.zeros(len(ss)), np.ones(len(ss))
    first = at_low = slope(low)
    step, now = high, slope(high)
    at_high, steep = now, now > 0.5 * np.abs(first)
    for _ in range(MAX_LINE_SEARCH):
        if not steep.any():
            break
        up = now > 0
        low, at_low = np.where(up, low, step), np.where(up, at_low, now)
        high, at_high = np.where(up, step, high), np.where(up, now, at_high)
        secant = at_low / np.minimum(at_low - at_high, -TINY)
        step = np.where(steep, low + np.clip(secant, 0.1, 0.9) * (high - low), step)
        now = slope(step)
        steep &= np.abs(now) > 0.5 * np.abs(first)
    return step


def _dots(A, B):
    return np.einsum("ij,ij->j", A, B, dtype=np.float64)


def _norms(A):
    return np.sqrt(_dots(A, A))
