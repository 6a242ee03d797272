"""Records and mean image of an LMDB of Datum."""

import os

import lmdb
import numpy as np
from caffe.proto import caffe_pb2

from mindpics.caffe_files.blobs import read_mean as read_mean  # the one that goes with write_mean
from mindpics.caffe_files.datum import key_text, parse_datum, to_pixels
from mindpics.caffe_files.lmdb_check import check_lmdb
from mindpics.files.atomic import atomic_write
from mindpics.jobs.bars import bar_of


def is_lmdb(path):
    """Tell whether an LMDB is there."""
    return os.path.isfile(os.path.join(path, "data.mdb"))


def read_lmdb(path):
    """Yield ``(key, datum)`` of an LMDB in key order: str and caffe_pb2.Datum.

    Parameters
    ----------
    path : path
        Folder of data.mdb.

    Raises
    ------
    ValueError
        There is no LMDB, none that opens, or a record that is no Datum, named by its key.
    """
    check_lmdb(path)
    try:
        with lmdb.open(str(path), readonly=True, lock=False, readahead=True) as env, env.begin() as transaction:
            for key, value in transaction.cursor():
                yield _record(path, key, value)
    except lmdb.Error as error:
        raise ValueError(f"{path}: found what cannot be read ({error}); wanted an LMDB") from None


def count_lmdb(path):
    """Return how many records an LMDB holds; ValueError as in `read_lmdb`."""
    check_lmdb(path)
    with lmdb.open(str(path), readonly=True, lock=False) as environment:
        return environment.stat()["entries"]


def mean_image(path):
    """Return the mean picture of an LMDB, as Caffe's compute_image_mean does.

    Sums are whole numbers here (float64 of a Datum of floats) and float32 there: equal up to 65,000 pictures.

    Returns
    -------
    ndarray, float32, [C, H, W], BGR where C is 3

    Raises
    ------
    ValueError
        No picture, one of another size than the first, or a record that is none; named by its key.
    """
    total, count = None, 0
    for key, datum in bar_of(read_lmdb(path), total=count_lmdb(path), desc="mean", unit="picture"):
        try:
            pixels = to_pixels(datum)
        except ValueError as error:
            raise ValueError(f"{path}, key {key!r}: {error}") from None
        if total is None:
            total = np.zeros(pixels.shape, np.float64 if pixels.dtype == np.float32 else np.int64)
        if pixels.shape != total.shape:
            raise ValueError(f"{path}, key {key!r}: found {pixels.shape}; wanted {total.shape} as the first")
        total += pixels
        count += 1
    if total is None:
        raise ValueError(f"{path}: found an empty LMDB; wanted pictures")
    return (total / count).astype(np.float32)


def write_mean(path, mean):
    """Write a mean [C, H, W] as a BlobProto of 1xCxHxW (binaryproto), the form Caffe's mean_file takes."""
    channels, height, width = mean.shape
    blob = caffe_pb2.BlobProto(num=1, channels=channels, height=height, width=width, data=mean.ravel().tolist())
    with atomic_write(path, "wb") as stream:
        stream.write(blob.SerializeToString())


def _record(path, key, value):
    try:
        return key_text(key), parse_datum(value)
    except ValueError as error:
        raise ValueError(f"{path}, key {key_text(key)!r}: {error}") from None
