"""Principal components of pins, by text and by image (paper, section 4, figure 3)."""

import numpy as np
from scipy import sparse
from sklearn.decomposition import PCA

from mindpics.files.atomic import atomic_write

COMPONENTS = 10  # the paper gives the variance that ten explain


def project(matrix, seed=0):
    """Return the pins on two principal components, and the share of variance of each of ten.

    Parameters
    ----------
    matrix : float32 array or CSR, shape [N, D]

    Returns
    -------
    points : float32 array [N, 2]
    variance : float array [10], or fewer when the data have fewer dimensions
    """
    count = min(COMPONENTS, min(matrix.shape) - 1)
    # Sparse data are centred implicitly by arpack only; the randomised solver needs the fewest passes over dense ones.
    solver = "arpack" if sparse.issparse(matrix) else "randomized"
    pca = PCA(n_components=count, svd_solver=solver, random_state=seed)
    points = pca.fit_transform(matrix)[:, :2]
    return points.astype(np.float32), pca.explained_variance_ratio_


def save_projection(path, ids, matrices, seed=0):
    """Write the projections of several matrices of the same pins: NAME [N, 2] and NAME_variance.

    Parameters
    ----------
    path : path
    ids : sequence of str [N]
    matrices : dict
        NAME -> CSR or array [N, D].
    seed : int
    """
    arrays = {"ids": np.array(ids)}
    for name, matrix in matrices.items():
        arrays[name], arrays[f"{name}_variance"] = project(matrix, seed)
    with atomic_write(path, "wb") as stream:
        np.savez(stream, **arrays)
