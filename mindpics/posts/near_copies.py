"""Near copies: pictures that differ only by size, compression or a touch of colour."""

import imagehash
import numpy as np
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

HASH_SIDE = 16  # 256 bits; with the usual 64, drawings of different faces collide
DISTANCE = 20  # bits of 256 in which near copies may differ


def perceptual_hash(pixels):
    """Return the perceptual hash of a picture.

    Parameters
    ----------
    pixels : ndarray, uint8, [H, W, 3], BGR

    Returns
    -------
    ndarray, uint8, [32]
        256 bits, from the low frequencies of the grey picture (imagehash.phash).
    """
    picture = Image.fromarray(np.ascontiguousarray(pixels[:, :, ::-1]))
    return np.packbits(imagehash.phash(picture, hash_size=HASH_SIDE).hash)


def group_copies(hashes, distance=DISTANCE):
    """Group near copies, and copies of copies.

    Parameters
    ----------
    hashes : ndarray, uint8, [N, 32]
    distance : int
        Bits in which two near copies may differ.

    Returns
    -------
    ndarray, int, [N]
        The group of each picture; pictures of one group share a number.
    """
    hashes = np.asarray(hashes, np.uint8).reshape(-1, HASH_SIDE * HASH_SIDE // 8)
    pairs = near_pairs(hashes, distance)
    n = len(hashes)
    links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return connected_components(links, directed=False)[1]


def near_pairs(hashes, distance=DISTANCE):
    """Return [M, 2] index pairs (i < j) whose hashes differ in at most `distance` bits.

    Exact, without comparing all: of distance + 1 bands at least one is equal
    in both when no more than `distance` bits differ.
    """
    pairs = [np.empty((0, 2), np.int64)]
    bits = np.unpackbits(hashes, axis=1)
    for band in np.array_split(bits, distance + 1, axis=1):
        for members in _equal_rows(np.packbits(band, axis=1)):
            pairs += _near_within(hashes, members, distance)
    return np.unique(np.concatenate(pairs), axis=0)


def _equal_rows(rows):
    """Yield the indices of rows that occur more than once, a set at a time."""
    order = np.lexsort(rows.T)
    ordered = rows[order]
    starts = np.flatnonzero(np.any(ordered[1:] != ordered[:-1], axis=1)) + 1
    return (members for members in np.split(order, starts) if len(members) > 1)


def _near_within(hashes, members, distance):
    members = np.sort(members)
    for i, first in enumerate(members[:-1]):
        later = members[i + 1 :]
        differing = np.bitwise_count(hashes[later] ^ hashes[first]).sum(axis=1)
        near = later[differing <= distance]
        if len(near):
            yield np.stack([np.full_like(near, first), near], axis=1)
