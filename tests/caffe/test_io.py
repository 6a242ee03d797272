"""caffe.io runs with today's numpy and scikit-image; OpenCV's readers of pictures are loaded when one is read."""

import subprocess
import sys

import caffe
import numpy as np
import pytest
import skimage.io


def test_transformer_resizes():
    transformer = caffe.io.Transformer({"data": (1, 3, 4, 5)})
    transformer.set_transpose("data", (2, 0, 1))
    ramp = np.repeat(np.linspace(0, 1, 10)[None, :, None], 8, axis=0).repeat(3, axis=2)
    found = transformer.preprocess("data", ramp)
    assert found.shape == (3, 4, 5)
    np.testing.assert_allclose(found[0, 0], [0.5 / 9, 2.5 / 9, 4.5 / 9, 6.5 / 9, 8.5 / 9], rtol=1e-5)


def test_mean_of_another_size_is_resized():
    transformer = caffe.io.Transformer({"data": (1, 3, 4, 5)})
    transformer.set_mean("data", np.arange(3 * 8 * 10, dtype=float).reshape(3, 8, 10))
    assert transformer.mean["data"].shape == (3, 4, 5)


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_datum_and_back(dtype):
    picture = np.arange(24, dtype=dtype).reshape(2, 3, 4)
    found = caffe.io.datum_to_array(caffe.io.array_to_datum(picture, 7))
    np.testing.assert_array_equal(found, picture)
    found[0] = 1  # an array of its own, not a view of the message


def test_an_encoded_datum_says_that_it_is_one():
    datum = caffe.io.caffe_pb2.Datum(channels=3, height=2, width=2, data=b"\x89PNG", encoded=True)
    with pytest.raises(ValueError, match="the Datum is encoded, 4 bytes of a JPEG or PNG: cv2.imdecode reads them"):
        caffe.io.datum_to_array(datum)


@pytest.mark.parametrize(("shape", "dtype"), [((5, 6), np.uint8), ((5, 6), np.uint16), ((5, 6, 4), np.uint8)])
@pytest.mark.parametrize(("color", "channels"), [(True, 3), (False, 1)])
def test_load_image_of_grey_or_with_alpha(tmp_path, shape, dtype, color, channels):
    skimage.io.imsave(tmp_path / "x.png", np.full(shape, np.iinfo(dtype).max, dtype), check_contrast=False)
    found = caffe.io.load_image(tmp_path / "x.png", color)
    assert (found.shape, found.dtype) == ((5, 6, channels), np.float32)
    np.testing.assert_allclose(found, 1, rtol=1e-6)


def test_load_image_names_file_and_shape_of_what_no_net_takes(tmp_path):
    skimage.io.imsave(tmp_path / "x.tif", np.zeros((7, 5, 6), np.uint8), check_contrast=False)
    with pytest.raises(ValueError, match=r"x\.tif: found an image of shape \(7, 5, 6\); wanted H x W, "):
        caffe.io.load_image(tmp_path / "x.tif")


@pytest.mark.parametrize(("color", "channels"), [(True, 3), (False, 1)])
def test_load_image(tmp_path, color, channels):
    picture = np.full((5, 6, 3), 255, np.uint8)
    skimage.io.imsave(tmp_path / "white.png", picture, check_contrast=False)
    found = caffe.io.load_image(str(tmp_path / "white.png"), color)
    assert found.shape == (5, 6, channels)
    np.testing.assert_allclose(found, 1, rtol=1e-6)


READS = """
import sys
from pathlib import Path
import caffe

def loaded():
    return [name for name in ("libcaffe.so", "imgcodecs") if name in Path("/proc/self/maps").read_text()]

print(*loaded())
net = caffe.Net("net.prototxt", caffe.TEST)
net.forward()
print(*loaded())
print(net.blobs["data"].data[0, :, 1, 2].tolist())
"""


def test_opencvs_readers_of_pictures_are_loaded_with_the_first_picture(tmp_path):
    picture = np.zeros((3, 4, 3), np.uint8)
    picture[1, 2] = 10, 20, 30
    skimage.io.imsave(tmp_path / "x.png", picture, check_contrast=False)
    (tmp_path / "list").write_text("x.png 0\n")
    (tmp_path / "net.prototxt").write_text(
        'layer { name: "x" type: "ImageData" top: "data" top: "label" image_data_param { source: "list" } }'
    )
    done = subprocess.run([sys.executable, "-c", READS], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["libcaffe.so", "libcaffe.so imgcodecs", "[30.0, 20.0, 10.0]"]
