"""First reading of the picked pictures: which can be read, and their perceptual hashes."""

from functools import partial

import numpy as np

from mindpics.jobs.bars import bar_of
from mindpics.jobs.parallel import AT_ONCE, run_each
from mindpics.posts import crops
from mindpics.posts.near_copies import HASH_SIDE, perceptual_hash
from mindpics.posts.picture_files import read_picture
from mindpics.posts.posts import picture_path


def read_hash(path, max_pixels=crops.MAX_PIXELS):
    """Return the perceptual hash of a file's picture: uint8 [32]."""
    return perceptual_hash(read_picture(path, max_pixels))


def look(mindpics, root, workers=None, max_pixels=crops.MAX_PIXELS):
    """Read the picture of each MindPic once, before anything is built on it.

    Parameters
    ----------
    mindpics : list of MindPic
    root : Path
        Folder of the manifest.
    workers : int, optional
        Processes; one a core by default.
    max_pixels : int
        Larger pictures are rejected.

    Returns
    -------
    readable : list of MindPic
    hashes : ndarray, uint8, [N, 32]
        One a readable picture.
    rejected : list of dict
        The posts of the others, each with its "reason".
    """
    paths = [picture_path(root, pic.post["image"], pic.post["id"]) for pic in mindpics]
    read = partial(read_hash, max_pixels=max_pixels)
    looks = bar_of(
        run_each(read, paths, workers, at_once=AT_ONCE), total=len(paths), desc="near copies", unit="picture"
    )
    readable, hashes, rejected = [], [], []
    for pic, (_, picture_hash, reason) in zip(mindpics, looks, strict=True):
        if reason is None:
            readable.append(pic)
            hashes.append(picture_hash)
        else:
            rejected.append({**pic.post, "reason": reason})
    return readable, np.array(hashes, np.uint8).reshape(len(readable), HASH_SIDE**2 // 8), rejected
