"""Pictures decoded in a child: as in the parent, and whatever becomes of the child."""

import os

import numpy as np
import pytest
from pebble import ProcessExpired

from mindpics.inference.uploads import Decoder
from mindpics.posts import crops
from mindpics.posts.picture_files import packed_reader

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)


@pytest.fixture(scope="module")
def decoder():
    decoder = Decoder(max_pixels=2000)
    yield decoder
    decoder.close()


def test_a_picture_is_decoded_and_warped_as_for_an_lmdb(decoder):
    np.testing.assert_array_equal(decoder(crops.pack(PIXELS, "png"), (3, 20, 20)), crops.warp(PIXELS, 20))


def test_a_picture_may_be_cut_in_place_of_warped(decoder):
    found = decoder(crops.pack(PIXELS, "png"), (3, 20, 20), "crop")
    np.testing.assert_array_equal(found, crops.centre_square(PIXELS, 20))


@pytest.mark.parametrize("fit", crops.FITS)
def test_a_picture_of_another_form_is_read_as_files_are(decoder, tmp_path, fit):
    (tmp_path / "a.png").write_bytes(crops.pack(PIXELS, "png"))
    for shape in ((1, 20, 31), (3, 31, 20)):
        wanted = np.frombuffer(packed_reader(shape, 2000, fit)(tmp_path / "a.png"), np.uint8).reshape(shape)
        pixels = decoder(crops.pack(PIXELS, "png"), shape, fit)
        np.testing.assert_array_equal(pixels.transpose(2, 0, 1), wanted)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"text", "The picture cannot be read: no picture of a known format"),
        (crops.pack(np.zeros((50, 50, 3), np.uint8), "png"), "50x50 is 2500 pixels; at most 2000 are decoded"),
    ],
)
def test_what_cannot_be_read_has_a_reason(decoder, data, message):
    with pytest.raises(ValueError, match=message):
        decoder(data, (3, 20, 20))


def test_a_child_that_crashes_is_replaced(decoder):
    with pytest.raises(ProcessExpired):
        decoder.pool.schedule(os.abort).result()
    assert decoder(crops.pack(PIXELS, "png"), (3, 9, 9)).shape == (9, 9, 3)
