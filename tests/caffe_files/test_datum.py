"""Pixels <-> Datum, with the real caffe_pb2."""

import numpy as np
import pytest
from caffe.proto import caffe_pb2

from mindpics.caffe_files.datum import parse_datum, to_pixels
from mindpics.datasets.picture_lmdb import to_datum

PIXELS = np.random.default_rng(0).integers(0, 255, (6, 4, 3), np.uint8)


@pytest.mark.parametrize("encoding", [None, "png"])
def test_round_trip(encoding):
    datum = parse_datum(to_datum(PIXELS, 7, encoding).SerializeToString())
    assert datum.label == 7 and datum.encoded == bool(encoding)
    assert np.array_equal(to_pixels(datum), PIXELS.transpose(2, 0, 1))


def test_raw_bytes_are_channel_first():
    datum = to_datum(PIXELS, 3)
    assert (datum.channels, datum.height, datum.width) == (3, 6, 4)
    assert datum.data == PIXELS.transpose(2, 0, 1).tobytes()


def test_jpeg_is_close_and_smaller():
    flat = np.full((64, 64, 3), (30, 90, 200), np.uint8)
    datum = to_datum(flat, 0, "jpg")
    assert len(datum.data) < flat.size // 4
    assert np.abs(to_pixels(datum).astype(int) - flat.transpose(2, 0, 1)).max() <= 3


@pytest.mark.parametrize(
    ("datum", "message"),
    [
        (caffe_pb2.Datum(channels=3, height=2, width=2, data=b"123"), "3 bytes and 0 floats; wanted 3x2x2 = 12"),
        (caffe_pb2.Datum(channels=1, height=1, width=2, float_data=[1]), "1 floats"),
        (caffe_pb2.Datum(encoded=True, data=b"no picture"), "does not decode"),
        (caffe_pb2.Datum(encoded=True), "does not decode"),
    ],
)
def test_a_bad_datum_is_named(datum, message):
    with pytest.raises(ValueError, match=message):
        to_pixels(datum)


def test_bytes_that_are_no_datum():
    with pytest.raises(ValueError, match="found what cannot be read .*; wanted a Datum"):
        parse_datum(b"\xff\xff\xff")
