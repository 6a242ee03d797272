"""Picture files, read in child processes. Imports no Caffe: that would take each child seconds."""

from functools import partial

import numpy as np
from tqdm import tqdm

from mindpics import crops
from mindpics.near_copies import fingerprint
from mindpics.parallel import run_each
from mindpics.posts import picture_path

MAX_BYTES = 256 << 20  # a larger file holds no picture of `crops.MAX_PIXELS`


def read_picture(path, max_pixels=crops.MAX_PIXELS, reduced_to=None):
    """Return the pixels of a file (see `crops.decode`): uint8 [H, W, 3], BGR. ValueError says why it cannot be read."""
    try:
        if not path.exists():  # a link to nowhere has no other sign
            raise ValueError("no such file")
        if not path.is_file():  # a pipe would be waited for
            raise ValueError("a folder" if path.is_dir() else "no file: a pipe, a socket or a device")
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path.stat().st_size} bytes; at most {MAX_BYTES} are read")
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from None
    return crops.decode(data, max_pixels, reduced_to)


def read_packed(path, size, encoding, max_pixels, reduced_to=None):
    """Return a file's picture warped to ``size x size``, as the bytes a Datum holds."""
    return crops.pack(crops.warp(read_picture(path, max_pixels, reduced_to), size), encoding)


def read_fingerprint(path, max_pixels=crops.MAX_PIXELS):
    """Return the perceptual hash of a file's picture: uint8 [32]."""
    return fingerprint(read_picture(path, max_pixels))


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
    fingerprints : ndarray, uint8, [N, 32]
        One a readable picture.
    rejected : list of dict
        The posts of the others, each with its "reason".
    """
    paths = [picture_path(root, pic.post["image"], pic.post["id"]) for pic in mindpics]
    read = partial(read_fingerprint, max_pixels=max_pixels)
    looks = tqdm(run_each(read, paths, workers), total=len(paths), desc="near copies", unit="picture")
    readable, fingerprints, rejected = [], [], []
    for pic, (_, print_, reason) in zip(mindpics, looks, strict=True):
        if reason is None:
            readable.append(pic)
            fingerprints.append(print_)
        else:
            rejected.append({**pic.post, "reason": reason})
    return readable, np.array(fingerprints, np.uint8).reshape(len(readable), -1), rejected
