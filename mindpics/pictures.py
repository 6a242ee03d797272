"""What a child process does with one picture file. Imports no Caffe: that takes a child seconds."""

from mindpics import crops
from mindpics.near_copies import fingerprint


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
