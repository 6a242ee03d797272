"""Picture files, read in child processes. Imports no Caffe: that would take each child seconds."""

import numpy as np
from tqdm import tqdm

from mindpics import crops
from mindpics.near_copies import fingerprint
from mindpics.parallel import run_each
from mindpics.posts import picture_path


def read_picture(path, max_pixels=crops.MAX_PIXELS):
    """Return the pixels of a file: uint8 [H, W, 3], BGR. ValueError says why it cannot be read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from None
    return crops.decode(data, max_pixels)


def read_packed(path, size, encoding, max_pixels):
    """Return a file's picture warped to ``size x size``, as the bytes a Datum holds."""
    return crops.pack(crops.warp(read_picture(path, max_pixels), size), encoding)


def read_fingerprint(path):
    """Return the perceptual hash of a file's picture: uint8 [32]."""
    return fingerprint(read_picture(path))


def look(mindpics, root, workers=None):
    """Read the picture of each MindPic once, before anything is built on it.

    Parameters
    ----------
    mindpics : list of MindPic
    root : Path
        Folder of the manifest.

    Returns
    -------
    readable : list of MindPic
    fingerprints : ndarray, uint8, [N, 32]
        One a readable picture.
    rejected : list of dict
        The posts of the others, each with its "reason".
    """
    paths = [picture_path(root, pic.post["image"], pic.post["id"]) for pic in mindpics]
    looks = tqdm(run_each(read_fingerprint, paths, workers), total=len(paths), desc="near copies", unit="picture")
    readable, fingerprints, rejected = [], [], []
    for pic, (_, print_, reason) in zip(mindpics, looks, strict=True):
        if reason is None:
            readable.append(pic)
            fingerprints.append(print_)
        else:
            rejected.append({**pic.post, "reason": reason})
    return readable, np.array(fingerprints, np.uint8).reshape(len(readable), -1), rejected
