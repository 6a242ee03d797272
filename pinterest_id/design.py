"""Design matrix with a column of ones, rotated into its principal axes, and the products with it.

All classes share one X, so the spectrum that slows conjugate gradients down is paid for
once: in the principal axes of [X 1] each class's Hessian is close to diagonal.
"""

import numpy as np
from scipy import linalg, sparse

ROWS = 4096  # rows of X that are summed in its own precision, before float64 takes over


class Design:
    """[X 1] in inner coordinates: its principal axes if X is dense, its own columns if X is CSR.

    Parameters
    ----------
    X : array or sparse matrix, float32 or float64, shape [N, D]
    fit_intercept : bool
        Zeros take the place of the ones without.
    axes : float64 array, optional
        Those of another dense X with the same columns, when they are known: any will do, the optimum
        does not depend on them.

    Attributes
    ----------
    A : array or CSR, shape [N, P]
        [X 1] in inner coordinates, in X's precision; P is at most N or D + 1 if X is dense.
    axes : float64 array, shape [D + 1, P], or None
        Orthonormal columns, heaviest first; None if X is sparse.
    columns : int
        Columns multiplied with X, A or their transposes so far, the measure of work.
    """

    def __init__(self, X, fit_intercept=True, axes=None):
        self.X, self.ones = X, np.full((X.shape[0], 1), float(fit_intercept), X.dtype)
        self.columns = 0
        if sparse.issparse(X):
            self.A, self.axes = sparse.hstack([X, self.ones], "csr"), None
            self._squares = self.A.multiply(self.A).T.tocsr()
        else:
            self.axes = self._principal_axes() if axes is None else axes
            self.A = self._rotated(self.axes.astype(X.dtype))

    @property
    def n_axes(self):
        """P, the number of inner coordinates."""
        return self.A.shape[1]

    def inner(self, W):
        """Return [D + 1, K] weights (intercepts last) in inner coordinates, float64 [P, K]."""
        return np.asarray(W, np.float64) if self.axes is None else self.axes.T @ W

    def outer(self, W):
        """Return inner weights as [D + 1, K], intercepts last."""
        return W if self.axes is None else self.axes @ W

    def margins(self, W, exact=False):
        """Return [X 1] W for inner W, [N, K]: by A in its own precision, or by X as given in float64."""
        self.columns += W.shape[1]
        if self.axes is None:
            return (self.A.astype(np.float64) if exact else self.A) @ W.astype(np.float64 if exact else self.A.dtype)
        if not exact:
            return self.A @ W.astype(self.A.dtype)
        W = self.outer(W)
        Z = np.empty((len(self.X), W.shape[1]))
        for rows in self._blocks():
            Z[rows] = self._float64(rows) @ W
        return Z

    def adjoint(self, R, exact=False):
        """Return [X 1]' R in inner coordinates, float64 [P, K]; blocks of rows are summed in float64."""
        self.columns += R.shape[1]
        if self.axes is None:
            return ((self.A.astype(np.float64) if exact else self.A).T @ R).astype(np.float64)
        out = np.zeros((self.X.shape[1] + 1 if exact else self.n_axes, R.shape[1]))
        for rows in self._blocks():
            out += (self._float64(rows) if exact else self.A[rows]).T @ R[rows]
        return self.inner(out) if exact else out

    def squares(self, D):
        """Return sum_i D_ik A_ij^2, float64 [P, K]."""
        self.columns += D.shape[1]
        if self.axes is None:
            return (self._squares @ D).astype(np.float64)
        out = np.zeros((self.n_axes, D.shape[1]))
        for rows in self._blocks():
            out += np.square(self.A[rows]).T @ D[rows]
        return out

    def _blocks(self):
        return [slice(start, start + ROWS) for start in range(0, len(self.X), ROWS)]

    def _float64(self, rows):
        return np.hstack([self.X[rows], self.ones[rows]], dtype=np.float64)

    def _rotated(self, axes):
        A = np.empty((len(self.X), axes.shape[1]), self.X.dtype)
        for rows in self._blocks():
            A[rows] = self.X[rows] @ axes[:-1] + self.ones[rows] * axes[-1]
        return A

    def _principal_axes(self):
        """Return eigenvectors of [X 1]'[X 1]; if there are fewer rows than columns, a basis of the rows' span."""
        if len(self.X) > self.X.shape[1]:
            return linalg.eigh(self._gram(), overwrite_a=True, check_finite=False, driver="evd")[1][:, ::-1]
        rows = self._float64(slice(None))
        _, U = linalg.eigh(rows @ rows.T, driver="evd")
        return linalg.qr(rows.T @ U[:, ::-1], mode="economic")[0]

    def _gram(self):
        gram = np.zeros((self.X.shape[1] + 1,) * 2)
        for rows in self._blocks():
            block = np.hstack([self.X[rows], self.ones[rows]])
            gram += block.T @ block
        return gram


class LastDesign:
    """The design of the dense or CSR matrix that was last asked for: one serves every C, and its axes other rows."""

    def __init__(self):
        self.design = None

    def of(self, X):
        """Return the `Design` of X: the last one if it is that, else a new one, in its axes if they fit."""
        if self.design is None or self.design.X is not X:
            known = None if self.design is None else self.design.axes
            axes = known if known is not None and known.shape == (X.shape[1] + 1,) * 2 else None
            self.design = None  # two rotated matrices at once would be a gigabyte more
            self.design = Design(X, axes=axes)
        return self.design
