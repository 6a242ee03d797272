"""Datum of Caffe, raw or encoded, from pixels and back."""

import base64
import math
import tempfile
from pathlib import Path

import caffe
import lmdb
import numpy as np
from caffe.proto import caffe_pb2
from google.protobuf.message import DecodeError

from mindpics.jobs.fork_first import in_fork

EVERYWHERE = b"\xff\xd8", b"\x89P", b"BM", b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"  # JPEG, PNG, BMP, PNM
MAP = 1 << 20  # bytes of an LMDB beside its picture

_decoded = set()  # (layer, format) of which Caffe has decoded a picture


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
        pixels = decode(datum.data, channels)
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


def decode(data, channels, layer="Data"):
    """Return [H, W] or [H, W, C], BGR, of an encoded picture as Caffe's util/io.cpp decodes it; None where it does not.

    The OpenCV of this Python decodes what any does. Caffe's own, which has neither GIF nor AVIF nor a moving WebP, but
    more of TIFF, is asked in a child: for each further format once, and for each picture that does not decode here, or
    is turned here alone.

    Parameters
    ----------
    data : bytes
    channels : {None, 1, 3}
        As of `to_pixels`.
    layer : {"Data", "ImageData"}
        Which decodes it: OpenCV 4.6 has WebP in files alone, not in memory.
    """
    import cv2  # who reads no picture starts without it

    flags = {None: cv2.IMREAD_UNCHANGED, 1: cv2.IMREAD_GRAYSCALE, 3: cv2.IMREAD_COLOR}[channels]
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error:
        pixels = None
    key = layer, _format(data)
    if pixels is not None and (pixels.dtype != np.uint8 or key[1] in EVERYWHERE):
        return pixels
    if key in _decoded and pixels is not None and not _is_turned(pixels, data, flags):
        return pixels
    asked = _asked(data, channels, layer)  # which takes a tenth of a second, or two
    if pixels is not None and asked is not None and sorted(np.atleast_3d(pixels).shape) == sorted(asked.shape):
        _decoded.add(key)
    return asked


def _is_turned(pixels, data, flags):
    """Tell whether pixels are turned by EXIF, as later OpenCVs do with WebP."""
    import cv2

    if flags == cv2.IMREAD_UNCHANGED or not data.startswith(b"RIFF") or b"EXIF" not in data:
        return False
    return not np.array_equal(
        pixels, cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    )


def _format(data):
    """Return what tells a picture's format: its first bytes, or those behind its size; and what a WebP has more of."""
    if data.startswith(b"RIFF"):
        return data[8:12] + data[20:21] * (data[12:16] == b"VP8X")
    return data[4:12] if data.startswith(b"\0") else data[:2]


def _asked(data, channels, layer):
    """Return the pixels that a layer of Caffe's makes of an encoded picture; None where it aborts."""
    with tempfile.TemporaryDirectory() as folder:
        if layer == "Data":
            datum, path = caffe_pb2.Datum(data=data, encoded=True), f"{folder}/source"
            with lmdb.open(path, map_size=len(data) + MAP) as environment, environment.begin(write=True) as transaction:
                transaction.put(b"0", datum.SerializeToString())
            force = {None: "", 1: "force_gray: true", 3: "force_color: true"}[channels]
            options = f"transform_param {{ {force} }} data_param {{ backend: LMDB"
        else:
            Path(folder, "picture").write_bytes(data)
            Path(folder, "source").write_text(f"{folder}/picture 0", encoding="utf-8")
            options = f"image_data_param {{ is_color: {str(channels == 3).lower()}"
        text = f'layer {{ name: "data" type: "{layer}" top: "data" top: "label" {options}'
        Path(folder, "net").write_text(f'{text} source: "{folder}/source" batch_size: 1 }} }}', encoding="utf-8")
        try:
            shape, values = in_fork(_pixels_of_data, f"{folder}/net")
        except ValueError:
            return None
    return np.frombuffer(base64.b64decode(values), np.uint8).reshape(shape)


def _pixels_of_data(path):
    caffe.set_mode_cpu()
    net = caffe.Net(path, caffe.TEST)  # whose memory the blob is
    pixels = net.forward()["data"][0].transpose(1, 2, 0)
    return pixels.shape, base64.b64encode(pixels.astype(np.uint8).tobytes()).decode()
