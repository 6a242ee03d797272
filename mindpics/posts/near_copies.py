"""Near copies: pictures that differ only by size, compression or a touch of colour."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise

import imagehash
import numpy as np
import scipy  # whose parts are loaded when they are first asked for
from PIL import Image

HASH_SIDE = 16  # 256 bits; with the usual 64, drawings of different faces collide
DISTANCE = 20  # bits of 256 in which near copies may differ
BITS = HASH_SIDE * HASH_SIDE
BANDS = 4  # at least, so that a band of a hash is a number of 64 bits
CHUNK = 1 << 18  # pairs that are compared at once


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


def group_copies(hashes, distance=DISTANCE, run=None):
    """Group near copies, and copies of copies.

    Parameters
    ----------
    hashes : ndarray, uint8, [N, 32]
    distance : int
        Bits in which two near copies may differ.
    run : callable, optional
        Of a function and a list of its argument tuples: yields the results, in any order, from where the bands are
        to be searched (`mindpics.jobs.cluster.Cluster.run_tasks`). Default: a thread a core, here.

    Returns
    -------
    ndarray, int, [N]
        The group of each picture; pictures of one group share a number.
    """
    hashes = np.asarray(hashes, np.uint8).reshape(-1, BITS // 8)
    distinct, place = np.unique(hashes, axis=0, return_inverse=True)
    groups = np.arange(len(distinct))
    for groups_of_band in (run or _in_threads)(partial(_group_by_band, distinct, distance), bands(distance)):
        groups = _join(groups, np.stack([np.arange(len(distinct)), groups_of_band], axis=1))
    return groups[place.ravel()]


def near_pairs(hashes, distance=DISTANCE):
    """Return [M, 2] index pairs (i < j) whose hashes differ in at most `distance` bits, in order.

    Parameters
    ----------
    hashes : ndarray, uint8, [N, 32]
    distance : int
    """
    pairs = [np.empty((0, 2), np.int64)]
    for band in bands(distance):
        pairs += _pairs_by_band(hashes, distance, *band)
    return np.unique(np.concatenate(pairs), axis=0)


def bands(distance):
    """Return (first, end) bits of the bands of a hash: near copies differ in one bit at most in at least one of them.

    That makes the search exact without comparing all: each of distance // 2 + 1 bands with two or more
    differing bits would make more than `distance`.
    """
    edges = np.linspace(0, BITS, max(BANDS, distance // 2 + 1) + 1).round().astype(int).tolist()
    return list(pairwise(edges))


def _in_threads(function, tasks):
    with ThreadPoolExecutor() as threads:  # NumPy sorts and compares outside the interpreter's lock
        yield from threads.map(lambda task: function(*task), tasks)


def _group_by_band(hashes, distance, first, end):
    """Return the groups, [N], that one band shows; pairs are joined as they come, so memory stays flat."""
    groups, waiting, count = np.arange(len(hashes)), [], 0
    for pairs in _pairs_by_band(hashes, distance, first, end):
        waiting.append(pairs)
        count += len(pairs)
        if count > len(hashes):
            groups, waiting, count = _join(groups, np.concatenate(waiting)), [], 0
    return _join(groups, np.concatenate(waiting)) if waiting else groups


def _join(groups, pairs):
    """Return groups, [N], of which those of each pair have become one; a group's number is a member's place."""
    n = len(groups)
    links = scipy.sparse.coo_array((np.ones(len(pairs), bool), tuple(groups[pairs].T)), shape=(n, n))
    components = scipy.sparse.csgraph.connected_components(links, directed=False)[1]
    members = np.unique(components, return_index=True)[1]
    return members[components[groups]]


def _pairs_by_band(hashes, distance, first, end):
    """Yield [M, 2] near pairs that differ in one bit at most of a band: equal in it but for a bit, tried in turn."""
    words = np.ascontiguousarray(hashes).view(np.uint64)
    keys = _numbers(_bits(hashes, first, end))
    for bit in _numbers(np.eye(end - first, dtype=np.uint8)):
        yield from _pairs_of_equal(keys & ~bit, words, distance)


def _bits(hashes, first, end):
    """Return bits of hashes, [N, end - first], without unpacking all."""
    start = first // 8
    return np.unpackbits(hashes[:, start : -(-end // 8)], axis=1)[:, first - 8 * start : end - 8 * start]


def _numbers(bits):
    """Return rows of up to 64 bits as uint64, [N]."""
    padded = np.zeros((len(bits), 8), np.uint8)
    packed = np.packbits(bits, axis=1)
    padded[:, : packed.shape[1]] = packed
    return padded.view(np.uint64).ravel()


def _pairs_of_equal(keys, words, distance):
    """Yield [M, 2] near pairs among hashes of equal keys: each is compared with the next in order, the one after ..."""
    order = np.argsort(keys)
    ordered = keys[order]
    places, step = np.arange(len(keys)), 1
    while len(places):
        places = places[: np.searchsorted(places, len(keys) - step)]
        places = places[ordered[places + step] == ordered[places]]
        for start in range(0, len(places), CHUNK):
            part = places[start : start + CHUNK]
            pairs = np.stack([order[part], order[part + step]], axis=1)
            differing = np.bitwise_count(words[pairs[:, 0]] ^ words[pairs[:, 1]]).sum(axis=1)
            yield np.sort(pairs[differing <= distance], axis=1)
        step += 1
