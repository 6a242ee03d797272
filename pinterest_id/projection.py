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
        The second is 0 where the data have one dimension.
    variance : float array [10], or fewer when the data have fewer dimensions
    """
    # Sparse data are centred implicitly by arpack only; the randomised solver needs the fewest passes over dense ones.
    count, solver = COMPONENTS, "arpack" if sparse.issparse(matrix) else "randomized"
    if min(matrix.shape) <= COMPONENTS:  # too few for arpack, and quickly done
        count, solver = min(matrix.shape), "full"
        matrix = matrix.toarray() if sparse.issparse(matrix) else matrix
    pca = PCA(n_components=count, svd_solver=solver, random_state=seed)
    points = np.zeros((matrix.shape[0], 2), dtype=np.float32)
    with np.errstate(invalid="ignore"):  # rows that are all alike have no variance to explain
        points[:, :count] = pca.fit_transform(matrix)[:, :2]
    return points, pca.explained_variance_ratio_


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
