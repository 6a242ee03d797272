"""Perceptual hashes and the groups they make."""

import cv2
import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

from mindpics.posts.near_copies import DISTANCE, bands, group_copies, near_pairs, perceptual_hash


def scene(seed):
    rng = np.random.default_rng(seed)
    picture = np.full((256, 256, 3), 255, np.uint8)
    for _ in range(12):
        (x, y), r = rng.integers(20, 236, 2), int(rng.integers(10, 50))
        cv2.circle(picture, (int(x), int(y)), r, tuple(int(c) for c in rng.integers(0, 255, 3)), -1)
    return picture


def bits(a, b):
    return int(np.bitwise_count(perceptual_hash(a) ^ perceptual_hash(b)).sum())


def test_resized_and_recompressed_pictures_are_near_copies_others_are_not():
    picture = scene(0)
    jpeg = cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)
    assert bits(picture, jpeg) <= DISTANCE
    assert bits(picture, cv2.resize(picture, (120, 120), interpolation=cv2.INTER_AREA)) <= DISTANCE
    assert min(bits(picture, scene(s)) for s in range(1, 10)) > 2 * DISTANCE


@pytest.mark.parametrize("distance", [0, 3, 20])
def test_pairs_equal_those_of_comparing_all(distance):
    rng = np.random.default_rng(distance)
    prints = rng.integers(0, 256, (120, 32), np.uint8)
    for i in range(60, 120):  # copies with 0..29 bits turned
        turned = rng.choice(256, int(rng.integers(0, 30)), replace=False)
        row = np.unpackbits(prints[i - 60])
        row[turned] ^= 1
        prints[i] = np.packbits(row)
    differing = np.bitwise_count(prints[:, None] ^ prints[None]).sum(axis=2)
    wanted = np.argwhere(np.triu(differing <= distance, 1))
    assert len(wanted) and np.array_equal(near_pairs(prints, distance), wanted)


def test_copies_of_copies_share_a_group():
    prints = np.zeros((4, 32), np.uint8)
    prints[1, :2] = 255  # 16 bits from the first
    prints[2, :4] = 255  # 32 from the first, 16 from the second
    prints[3] = 255
    groups = group_copies(prints, 20)
    assert groups[0] == groups[1] == groups[2] != groups[3]


@pytest.mark.parametrize("distance", [0, 1, 7, 20])
def test_groups_equal_those_of_all_pairs_whatever_their_sizes(distance):
    """Chains, a picture posted a hundred times, and pictures that differ in the low bits of each band."""
    rng = np.random.default_rng(distance)
    rows = rng.integers(0, 2, (300, 256), np.uint8)
    rows[50:150] = rows[0]
    for i in range(150, 300):
        rows[i] = rows[rng.integers(0, i)]
        rows[i, rng.choice(256, int(rng.integers(0, 2 * distance + 3)), replace=False)] ^= 1
    prints = np.packbits(rows, axis=1)
    near = np.bitwise_count(prints[:, None] ^ prints[None]).sum(axis=2) <= distance
    wanted = connected_components(near, directed=False)[1]
    groups = group_copies(prints, distance)
    assert len(set(zip(groups, wanted, strict=True))) == len(set(groups)) == len(set(wanted)) < 300


def test_a_cluster_finds_the_same_groups():
    from mindpics.jobs import cluster

    rows = np.random.default_rng(0).integers(0, 256, (500, 32), np.uint8)
    rows[400:] = rows[:100] ^ np.uint8(1)  # 32 bits of each byte's lowest
    rows[450:, :28] = rows[50:100, :28]
    with cluster.connect("local", workers=2) as dask:
        groups = group_copies(rows, DISTANCE, dask.run_tasks)
    assert np.array_equal(groups, group_copies(rows)) and len(set(groups)) == 450


def test_bands_cover_every_bit_once():
    for distance in (0, 1, 3, 20, 40, 255):
        assert [bit for first, end in bands(distance) for bit in range(first, end)] == list(range(256))
        assert all(end - first <= 64 for first, end in bands(distance))


def test_no_pictures_no_groups():
    assert len(group_copies(np.empty((0, 32), np.uint8))) == 0
