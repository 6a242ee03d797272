"""All one-vs-rest L2 logistic regressions of a problem at once, as matrix products.

Minimises for each class k what liblinear does (the intercept is penalised too):

    1/2 (|w_k|^2 + b_k^2) + C sum_i log(1 + exp(-y_ik (w_k . x_i + b_k))),   y_ik = +1 or -1

The classes are separate problems over one X, so their Newton-CG runs go side by
side: a product with X, the only dear step, serves every class still open. The
state is float64, the products are in X's own precision, the last look in float64.

The quadratic penalty gives a certificate: its curvature is at least 1, so the
distance from w_k to the optimum is at most the norm of the gradient at w_k.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning

from pinterest_id.design import Design
from pinterest_id.preconditioner import Preconditioner

COARSE = 30  # times tol: from there on gradients are float64's, as float32 sums come only so close
MAX_CG = 1000
FORCING = 0.3  # part of its residual that a Newton step leaves at most
MAX_LINE_SEARCH = 20
PATIENCE = 3
LONG = 40  # conjugate gradients that pay for a block in the next preconditioner
TINY = 1e-150  # keeps the gap of zero weights finite


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
        A class is done when its weights are proved to lie within ``tol * |w|`` of the optimum, by a
        gradient in float64 over X as given.
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
    W = np.zeros((design.n_axes, n_classes)) if start is None else design.inner(start)
    problem = _Problem(design, codes, C, tol, progress)
    n_iter, _ = problem.descend(W, max_iter // 2, exact=False)  # float32's noise may hide that it gets no further
    n_exact, n_open = problem.descend(W, max_iter - n_iter, exact=True)
    if n_open:
        text = f"{n_open} of {n_classes} classes not within tol={tol:g} after {n_iter + n_exact} Newton steps (C={C:g})"
        warnings.warn(text, ConvergenceWarning, stacklevel=2)
    return design.outer(W), n_iter + n_exact


@dataclass(frozen=True)
class _Problem:
    design: Design
    codes: np.ndarray
    C: float
    tol: float
    progress: object

    def descend(self, W, max_iter, exact):
        """Take Newton steps from W, in place, till all classes are done or get no further; return steps, classes open.

        `exact` gradients are float64's, over X as given, and only they prove anything.

        Parameters
        ----------
        W : float64 array [P, K]
        max_iter : int
        exact : bool
        """
        tol = self.tol if exact else COARSE * self.tol
        open_, stall, cg = np.arange(W.shape[1]), _Stall(W.shape[1]), 0
        for n_iter in range(max_iter + 1):
            Z, G = self._gradient(W[:, open_], open_, exact)
            gap = _norms(G) / np.maximum(_norms(W[:, open_]), TINY)
            stalled = stall.seen(open_, gap)
            keep = gap > tol
            open_, Z, G, gap = open_[keep], Z[:, keep], G[:, keep], gap[keep]
            if self.progress:
                self.progress(open_.size, gap.max(initial=0))
            if not open_.size or stalled or n_iter == max_iter:
                break
            S, cg = self._newton_step(Z, G, gap, cg > LONG)
            W[:, open_] += S * self._step_length(W[:, open_], S, Z, open_, exact)
        return n_iter, open_.size

    def _gradient(self, W, open_, exact):
        Z = self.design.margins(W, exact)
        return Z, W + self.C * self.design.adjoint(self._residuals(Z, open_), exact)

    def _residuals(self, Z, open_):
        """Return sigmoids of the margins less [y = k], over the open classes."""
        R = expit(Z)
        column = np.searchsorted(open_, self.codes)
        mine = np.flatnonzero(open_[np.minimum(column, open_.size - 1)] == self.codes)
        R[mine, column[mine]] -= 1
        return R

    def _newton_step(self, Z, G, gap, block):
        """Solve (I + C A' D_k A) s_k = -g_k by preconditioned conjugate gradients; return S and their number.

        Each class ends when its residual has fallen by a part of its gap, or below what closes it.
        """
        P = expit(Z).astype(self.design.A.dtype, copy=False)
        D = P * (1 - P)
        precondition = Preconditioner(self.design, D, self.C, block)
        S, R, live, n_cg = np.zeros_like(G), -G, np.arange(G.shape[1]), 0
        V = precondition(R)
        rho = _dots(R, V)
        goal, enough = np.clip(gap, 1e-4, FORCING) ** 2 * rho, 0.3 * self.tol / gap * _norms(G)
        while n_cg < MAX_CG:
            n_cg += 1
            HV = V + self.C * self.design.adjoint(D * self.design.margins(V))
            alpha = rho / _dots(V, HV)
            S[:, live] += alpha * V
            R -= alpha * HV
            Q = precondition(R)
            last, rho = rho, _dots(R, Q)
            V = Q + (rho / last) * V
            keep = (rho > goal[live]) & (_norms(R) > enough[live])
            if not keep.any():
                break
            if not keep.all():
                live, R, V, rho, D = live[keep], R[:, keep], V[:, keep], rho[keep], D[:, keep]
                precondition.keep(keep)
        return S, n_cg

    def _step_length(self, W, S, Z, open_, exact):
        """Return for each class a step in 0..1 along S: 1 where the slope is not steeply up there, else near its zero.

        Slopes rather than values decide: near the optimum the objective changes by less than
        float32 resolves, its slope does not. The slope grows with the step, so a bracket closes in.
        """
        ZS = self.design.margins(S, exact)
        ws, ss = _dots(W, S), _dots(S, S)

        def slope(step):
            R = self._residuals(Z + step.astype(Z.dtype) * ZS, open_)
            return ws + step * ss + self.C * _dots(ZS, R)

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


class _Stall:
    """Tells when no open class has less than half the largest of its last PATIENCE gaps."""

    def __init__(self, n_classes):
        self.last = np.full((PATIENCE, n_classes), np.inf)

    def seen(self, open_, gap):
        better = np.any(gap < self.last[:, open_].max(axis=0) / 2)
        self.last = np.roll(self.last, 1, axis=0)
        self.last[0, open_] = gap
        return not better


def _dots(A, B):
    return np.einsum("ij,ij->j", A, B, dtype=np.float64)


def _norms(A):
    return np.sqrt(_dots(A, A))
