"""Picture files, read in child processes. Imports no Caffe: that would take each child seconds."""

import hashlib
import json
import os
from functools import partial

from mindpics.posts import crops

MAX_BYTES = 256 << 20  # a larger file holds no picture of `crops.MAX_PIXELS`


def read_picture(path, max_pixels=crops.MAX_PIXELS, reduced_to=None, gray=False):
    """Return the pixels of a picture file.

    Parameters
    ----------
    path : Path
    max_pixels : int
        Width times height that is still decoded.
    reduced_to : int, optional
        Side that the picture will be warped to; see `mindpics.posts.crops.decode`.
    gray : bool
        One channel, see `mindpics.posts.crops.decode`.

    Returns
    -------
    ndarray, uint8, [H, W, 3], BGR; or [H, W, 1]

    Raises
    ------
    ValueError
        Says why it cannot be read.
    """
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
    return crops.decode(data, max_pixels, reduced_to, gray)


def picture_state(path):
    """Return [path, size in bytes, time of change], by which a file is told from what it was; None where absent."""
    status = path.stat() if os.path.isfile(path) else None
    return [str(path), status and status.st_size, status and status.st_mtime_ns]


def pictures_state(paths):
    """Return a SHA-256 by which files are told from what they were: restored or replaced ones have another."""
    return hashlib.sha256(json.dumps([picture_state(path) for path in paths]).encode()).hexdigest()


def read_packed(path, size, encoding, max_pixels, reduced_to=None, fit="warp", gray=False):
    """Return a file's picture of a size as the bytes that a Datum holds.

    Parameters
    ----------
    path : Path
    size : int or (int, int)
        Side in pixels, or height and width.
    encoding : {None, "png", "jpg"}
        None: raw uint8, BGR, channel first.
    max_pixels, reduced_to, gray
        As `read_picture` takes them.
    fit : {"warp", "crop"}
        A key of `mindpics.posts.crops.FITS`.

    Raises
    ------
    ValueError
        As `read_picture`; of "crop", when a side is over 100 times the other.
    """
    return crops.pack(crops.FITS[fit](read_picture(path, max_pixels, reduced_to, gray), size), encoding)


def packed_reader(shape, max_pixels, fit="warp"):
    """Return `read_packed` for the raw pictures that a net takes, as a function of a path.

    Parameters
    ----------
    shape : (int, int, int)
        Channels, height and width, as those of a mean.
    max_pixels, fit
        As `read_packed` takes them.
    """
    channels, *size = shape
    return partial(read_packed, size=tuple(size), encoding=None, max_pixels=max_pixels, fit=fit, gray=channels == 1)
