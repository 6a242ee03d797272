"""Generated LMDBs that a net can learn: a colour a trait, a direction of stripes a pole."""

from pathlib import Path

import cv2
import lmdb
import numpy as np

from mindpics.caffe_files.lmdbs import write_mean
from mindpics.datasets.picture_lmdb import to_datum
from mindpics.files.layout import DataFiles
from mindpics.traits import N_LABELS, unpack

COLOURS = np.array([[255, 60, 60], [60, 255, 60], [60, 60, 255], [255, 255, 60], [60, 255, 255]], np.float32)
GREY = 110.0  # about what the pictures average to
MEAN = DataFiles.mean


def picture(label, side, rng):
    """Return a picture of stripes in coarse noise, across for low and down for high.

    Parameters
    ----------
    label : int
        2 * trait + pole; the trait gives the colour.
    side : int
        Pixels, 8 or more.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, uint8, [side, side, 3], BGR
    """
    trait, pole = unpack(label)
    stripes = (np.arange(side) + rng.integers(side)) // (side // 8) % 2
    stripes = stripes[:, None, None] if pole else stripes[None, :, None]
    # Coarse: noise pixel by pixel would be no picture to a JPEG decoder.
    coarse = rng.normal(60, 40, (side // 8, side // 8, 3)).astype(np.float32)
    noise = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_LINEAR)
    return (0.5 * stripes * COLOURS[trait] + noise).clip(0, 255).astype(np.uint8)


def write_generated(path, count, side, *, encoded=False, seed=0):
    """Write an LMDB of `count` pictures, raw or as JPEG, and mean.binaryproto beside it: flat grey.

    Parameters
    ----------
    path : path
        Folder of the LMDB, which must not be there.
    count : int
    side : int
        Of the pictures, in pixels.
    encoded : bool
        As JPEG; else raw uint8, BGR, channel first.
    seed : int
    """
    path = Path(path)
    rng = np.random.default_rng(seed)
    path.mkdir(parents=True)
    map_size = count * (4 * side * side + 4096) + (1 << 24)
    with lmdb.open(str(path), map_size=map_size) as env, env.begin(write=True) as transaction:
        for number, label in enumerate(rng.permutation(np.arange(count) % N_LABELS)):
            datum = to_datum(picture(label, side, rng), int(label), "jpg" if encoded else None)
            transaction.put(b"%08d" % number, datum.SerializeToString())
    write_mean(path.parent / MEAN, np.full((3, side, side), GREY, np.float32))
