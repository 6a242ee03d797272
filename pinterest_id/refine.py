"""Phase two: the ten likeliest users, re-weighted by their most similar training pin.

Paper, section 3.1: for each of the top ten users the largest cosine between the
test pin and that user's training pins multiplies the user's cascade output. The
modality of the cosine is not stated; the mean of text and image is the default.
"""

import numpy as np
import scipy  # whose parts are loaded when they are first asked for

from mindpics.jobs.bars import bar_of

TOP = 10  # section 3.1
MODALITIES = ("mean", "text", "image", "concat")
# A cosine of 0 for all ten would leave no order; so small a factor leaves the cascade's.
SMALLEST = 1e-12
ROWS = 2048  # test pins that one product takes


def refine(logs, test, train, train_users, modality="mean", top=TOP, progress=False):
    """Re-weight cascade outputs by similarity.

    Parameters
    ----------
    logs : float array, shape [N, K]
        Log of the cascade, columns in the order of user codes.
    test, train : (text, image)
        Text CSR [N, D] and image array [N, E] of the test and of the training pins, float32.
    train_users : int array
        User code 0..K-1 of each training pin.
    modality : {"mean", "text", "image", "concat"}
        Mean of the two cosines, one of them, or the cosine of text and image features side by side.
        A pin without text has text cosine 0.
    top : int
    progress : bool

    Returns
    -------
    float32 array, shape [N, K]
        ``log r + log similarity`` for the top users, -inf for all others.

    Raises
    ------
    ValueError
        On sizes that do not belong together, an unknown modality, or a user without training pins.
    """
    _check(logs, test, train, train_users, modality)
    top = min(top, logs.shape[1])
    chosen = np.argsort(-logs, axis=1, kind="stable")[:, :top]
    is_top = np.zeros(logs.shape, dtype=bool)
    np.put_along_axis(is_top, chosen, True, axis=1)
    views, test_views = _views(train, modality), _views(test, modality)
    refined = np.full(logs.shape, -np.inf, dtype=np.float32)
    for user in bar_of(range(logs.shape[1]), desc="refine", unit="user", disable=not progress, leave=False):
        pins = np.flatnonzero(is_top[:, user])
        of_user = [view[np.flatnonzero(train_users == user)] for view in views]
        for start in range(0, len(pins), ROWS):
            rows = pins[start : start + ROWS]
            nearest = _products([view[rows] for view in test_views], of_user).max(axis=1)
            refined[rows, user] = logs[rows, user] + np.log(np.maximum(nearest, SMALLEST))
    return refined


def cosines(test, train, modality="mean"):
    """Return the cosine of every test pin with every training pin, float32 [N, M]; parameters as of `refine`.

    Parameters
    ----------
    test, train : (text, image)
        Text CSR [N, D] and image array [N, E], float32.
    modality : {"mean", "text", "image", "concat"}
        As `refine` has it.
    """
    test_views, views = _views(test, modality), _views(train, modality)
    return _products([view[slice(None)] for view in test_views], [view[slice(None)] for view in views])


def _check(logs, test, train, train_users, modality):
    if modality not in MODALITIES:
        raise ValueError(f"modality: found {modality!r}; wanted one of {', '.join(MODALITIES)}")
    for name, parts, rows in (("test", test, len(logs)), ("train", train, len(train_users))):
        sizes = [part.shape[0] for part in parts]
        if set(sizes) != {rows}:
            raise ValueError(f"{name}: found {sizes[0]} text rows, {sizes[1]} image rows; wanted {rows}")
    absent = np.setdiff1d(np.arange(logs.shape[1]), train_users)
    if absent.size:
        raise ValueError(
            f"train_users: found no training pin of {absent.size} users, code {absent[0]} the first; wanted one of each"
        )


def _views(parts, modality):
    """Return the matrices, with the weight of each in its rows' lengths, whose products add up to the cosine."""
    text, image = parts
    if modality == "text":
        return [_Scaled(text, _inverse(_squares(text)))]
    if modality == "image":
        return [_Scaled(image, _inverse(_squares(image)))]
    if modality == "mean":  # each modality's part of the product is half of its cosine
        half = np.float32(np.sqrt(0.5))
        return [_Scaled(part, half * _inverse(_squares(part))) for part in parts]
    together = _inverse(_squares(text) + _squares(image))
    return [_Scaled(part, together) for part in parts]


class _Scaled:
    """Rows of a matrix times a factor each, made on demand: the features themselves are not copied."""

    def __init__(self, matrix, factors):
        self.matrix, self.factors = matrix, factors

    def __getitem__(self, rows):
        if scipy.sparse.issparse(self.matrix):
            return scipy.sparse.diags_array(self.factors[rows]).tocsr() @ self.matrix[rows]
        return self.matrix[rows] * self.factors[rows, None]


def _products(test, train):
    total = np.zeros((test[0].shape[0], train[0].shape[0]), dtype=np.float32)
    for a, b in zip(test, train, strict=True):
        product = a @ b.T
        total += product.toarray() if scipy.sparse.issparse(product) else product
    return total


def _squares(matrix):
    if scipy.sparse.issparse(matrix):
        return np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel()
    return np.einsum("ij,ij->i", matrix, matrix)


def _inverse(squares):
    """Return one over the length; a row of zeros gets 0, and so cosine 0."""
    lengths = np.sqrt(squares).astype(np.float32)
    return np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
