"""Datum of Caffe, raw or encoded, from pixels and back."""

import math

import numpy as np
from caffe.proto import caffe_pb2
from google.protobuf.message import DecodeError


def wrap(data, shape, label, encoding=None):
    """Return the Datum of packed pixels.

    Parameters
    ----------
    data : bytes
        Of `mindpics.posts.crops.pack`.
    shape : (int, int, int)
        Height, width and channels.
    label : int
    encoding : {None, "png", "jpg"}
        What `data` was packed with; None: raw uint8, BGR, channel first.
    """
    if encoding:
        return caffe_pb2.Datum(data=data, label=label, encoded=True)
    height, width, channels = shape
    return caffe_pb2.Datum(channels=channels, height=height, width=width, data=data, label=label, encoded=False)


def parse_datum(data):
    """Return the Datum of a record's bytes; ValueError when they are none."""
    try:
        return caffe_pb2.Datum.FromString(data)
    except DecodeError as error:
        raise ValueError(f"found what cannot be read ({error}); wanted a Datum") from None


def key_text(key):
    """Return the key of a record as text; bytes that are no UTF-8 are written ``\\xff``."""
    return key.decode(errors="backslashreplace")


def to_pixels(datum, channels=None):
    """Return the picture of a Datum, as Caffe has it.

    Parameters
    ----------
    datum : Datum
    channels : {None, 1, 3}
        Of an encoded one: as force_gray and force_color ask for; by default those that the picture has.

    Returns
    -------
    ndarray, uint8, or float32 of a Datum of floats, [C, H, W], BGR, channel first

    Raises
    ------
    ValueError
        The bytes do not decode, or the values are fewer than channels x height x width; of more, Caffe reads the first.
    """
    if datum.encoded:
        pixels = _decoded(datum.data, channels) if datum.data else None
        if pixels is None:
            raise ValueError(
                f"found an encoded Datum of {len(datum.data)} bytes that does not decode; wanted a picture"
            )
        return np.ascontiguousarray(np.atleast_3d(pixels).transpose(2, 0, 1))
    shape = (datum.channels, datum.height, datum.width)
    is_float = bool(datum.float_data) and not datum.data  # Caffe looks at the bytes first
    values = datum.float_data if is_float else datum.data
    count = math.prod(shape)
    if min(shape) < 0 or len(values) < count:
        raise ValueError(
            f"found a Datum of {len(datum.data)} bytes and {len(datum.float_data)} floats; "
            f"wanted {'x'.join(map(str, shape))} = {count} values"
        )
    if is_float:
        return np.array(values[:count], np.float32).reshape(shape)
    return np.frombuffer(values, np.uint8, count).reshape(shape)


def _decoded(data, channels):
    """Return what Caffe's util/io.cpp decodes; None where OpenCV cannot."""
    import cv2  # who reads no picture starts without it

    flags = {None: cv2.IMREAD_UNCHANGED, 1: cv2.IMREAD_GRAYSCALE, 3: cv2.IMREAD_COLOR}
    return cv2.imdecode(np.frombuffer(data, np.uint8), flags[channels])
