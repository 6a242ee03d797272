"""Preconditioner of the Newton systems: Jacobi, and the leading axes' block of each class inverted."""

import numpy as np
from scipy import linalg

SHARE = 8  # one axis in so many belongs to the block
ROWS_AN_AXIS = 8  # heaviest rows that the block is made of; the diagonal holds the others


class Preconditioner:
    """An approximation to (I + C A' D_k A)^-1 for each class k.

    Parameters
    ----------
    design : Design
    D : array, shape [N, K]
        Weights of the rows, a column a class.
    C : float
    block : bool
        Whether the leading axes get a block; a sparse X has no axes, hence none.

    Notes
    -----
    A few rows hold nearly all of D_k, since most are told with certainty. The block has their products
    of pairs of axes; what the other rows add to its diagonal is there as well.
    """

    def __init__(self, design, D, C, block=True):
        self.scale = 1 / np.sqrt(1 + C * design.squares(D))
        self.size = design.n_axes // SHARE if block and design.axes is not None else 0
        if self.size:
            pairs = zip(C * D.T, self.scale.T, strict=True)
            self.inverses = np.stack([self._inverse(design.A, weights, scale) for weights, scale in pairs])

    def _inverse(self, A, weights, scale):
        n = min(len(A), ROWS_AN_AXIS * self.size)
        heavy = np.sort(np.argpartition(-weights, n - 1)[:n])
        B = A[heavy, : self.size] * np.sqrt(weights[heavy])[:, None] * scale[: self.size].astype(A.dtype)
        block = (B.T @ B).astype(np.float64)
        np.fill_diagonal(block, 1 + 1e-5)  # all rows' sum, scaled; a little more where float32 sums fall short
        return linalg.inv(block, overwrite_a=True, check_finite=False).astype(A.dtype)

    def keep(self, open_classes):
        """Go on with the classes of a boolean array."""
        self.scale = self.scale[:, open_classes]
        if self.size:
            self.inverses = self.inverses[open_classes]

    def __call__(self, R):
        """Return the approximate solutions of residuals R, float64 [P, K]."""
        Q = R * self.scale
        if self.size:
            lead = Q[: self.size].T[:, :, None].astype(self.inverses.dtype)
            Q[: self.size] = (self.inverses @ lead)[:, :, 0].T
        return Q * self.scale
