"""Python layers, the log, and how a pycaffe process ends."""

import subprocess
import sys
import time

import caffe
import numpy as np
import pytest
from caffe_nets import make_net

NET = """
layer {{ name: "data" type: "Input" top: "a" top: "b"
  input_param {{ shape {{ dim: 2 dim: 3 }} shape {{ dim: 2 dim: 3 }} }} }}
layer {{ name: "scale" type: "Scale" bottom: "a" top: "scaled" }}
layer {{ name: "layer" type: "Python" bottom: "scaled" bottom: "b" top: "sum" loss_weight: 1
  python_param {{ module: "{module}" layer: "{layer}" param_str: "7" }} }}
"""


class Sum(caffe.Layer):
    """Adds its bottoms, each taken by iteration."""

    def setup(self, bottom, top):
        self.shapes = [tuple(blob.shape) for blob in bottom]
        self.addend = int(self.param_str)

    def reshape(self, bottom, top):
        for blob in top:
            blob.reshape(*bottom[0].shape)

    def forward(self, bottom, top):
        top[0].data[...] = sum(blob.data for blob in bottom) + self.addend

    def backward(self, top, propagate_down, bottom):
        for propagate, blob in zip(propagate_down, bottom, strict=True):
            blob.diff[...] = top[0].diff if propagate else -1


class Fails(Sum):
    """Fails where its param_str says nothing of it: in forward."""

    def forward(self, bottom, top):
        raise ValueError("no such trait")


def test_blobs_by_iteration(tmp_path):
    net = make_net(tmp_path, NET.format(module=__name__, layer="Sum"), caffe.TRAIN)
    net.blobs["a"].data[...] = [[1, 2, 3], [4, 5, 6]]
    net.blobs["b"].data[...] = 10
    assert net.forward()["sum"].tolist() == [[18, 19, 20], [21, 22, 23]]
    net.backward()
    np.testing.assert_array_equal(net.blobs["scaled"].diff, 1)
    np.testing.assert_array_equal(net.blobs["b"].diff, -1)


def test_blobs_outlive_the_iteration(tmp_path):
    net = make_net(tmp_path, NET.format(module=__name__, layer="Sum"))
    kept = list(net._blobs)
    net.blobs["a"].data[...] = 4
    assert kept[0].data.sum() == 24


@pytest.mark.parametrize(
    ("module", "layer", "error"),
    [("no_such_module", "Sum", ModuleNotFoundError), (__name__, "NoSuchLayer", AttributeError)],
)
def test_missing_layer_is_named(tmp_path, module, layer, error):
    with pytest.raises(error, match="no_such_module|NoSuchLayer"):
        make_net(tmp_path, NET.format(module=module, layer=layer))


def test_error_in_forward_reaches_the_caller(tmp_path):
    net = make_net(tmp_path, NET.format(module=__name__, layer="Fails"))
    with pytest.raises(ValueError, match="no such trait"):
        net.forward()


def run(script, **options):
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, **options)


def test_process_ends_well(tmp_path):
    """Nets with Python layers, solver callbacks and log alive at the end, and not one "double free"."""
    (tmp_path / "net.prototxt").write_text(NET.format(module="layers", layer="Sum"))
    (tmp_path / "layers.py").write_text(
        "import caffe\nclass Sum(caffe.Layer):\n"
        "    def setup(self, bottom, top): pass\n"
        "    def reshape(self, bottom, top): top[0].reshape(2, 3)\n"
        "    def forward(self, bottom, top): top[0].data[...] = [blob.data for blob in bottom][0]\n"
    )
    done = run(
        "import caffe; caffe.init_log(1); net = caffe.Net('net.prototxt', caffe.TEST); net.forward()\n"
        "net.after_forward(lambda layer: None); layer = net.layers[2]; blob = net.blobs['sum'].data",
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


class Sizes(Sum):
    """Reshapes its top by NumPy's integers."""

    def reshape(self, bottom, top):
        top[0].reshape(*np.array(bottom[0].data.shape))


def test_whatever_is_an_index_is_a_size(tmp_path):
    net = make_net(tmp_path, NET.format(module=__name__, layer="Sizes"), np.int64(caffe.TEST))
    assert net.forward()["sum"].shape == (2, 3)
    net.blobs["a"].reshape(np.int64(4), np.uint8(3))
    net.blobs["b"].reshape(*np.array([4, 3], np.int32))
    net.reshape()
    assert net.forward()["sum"].shape == (4, 3)
    net.params["scale"].add_blob(np.int16(2))
    assert net.params["scale"][1].data.shape == (2,)
    caffe.set_random_seed(np.uint32(7))
    for wrong in (1.5, "2", None):
        with pytest.raises(TypeError):
            net.blobs["a"].reshape(wrong)
    for large in (2**31, np.int64(2**31)):
        with pytest.raises(OverflowError):
            net.blobs["a"].reshape(large)


def test_files_may_be_paths(tmp_path):
    net = make_net(tmp_path, NET.format(module=__name__, layer="Sum"))
    net.params["scale"][0].data[...] = 3
    net.save(tmp_path / "net.caffemodel")
    net.save_hdf5(tmp_path / "net.h5")
    for name in ("net.caffemodel", "net.h5"):
        other = caffe.Net(tmp_path / "net.prototxt", caffe.TEST, weights=tmp_path / name)
        assert other.params["scale"][0].data.tolist() == [3, 3, 3]
    other.load_hdf5(tmp_path / "net.h5")
    other.copy_from(tmp_path / "net.caffemodel")
    assert caffe.Net(tmp_path / "net.prototxt", tmp_path / "net.caffemodel", caffe.TEST).params["scale"][0].data[0] == 3
    with pytest.raises(RuntimeError, match="Could not open file .*no such"):
        caffe.Net(tmp_path / "no such", caffe.TEST)


def test_init_log_sets_the_level():
    done = run("import caffe; caffe.init_log(0, True); caffe.log('one'); caffe.init_log(1); caffe.log('two')")
    assert done.stderr.startswith("I")
    assert done.stderr.endswith("] one\n")


def test_timer():
    timer = caffe.Timer()
    timer.start()
    time.sleep(0.02)  # Caffe counts whole milliseconds
    timer.stop()
    assert 19 <= timer.ms < 10_000
    assert caffe.has_nccl() is False


def test_files_over_half_a_gigabyte(tmp_path):
    """With a net whose name is 600 MB of zeros (a hole in the file)."""
    size = 600_000_000
    varint = bytes([size >> shift & 127 | 128 for shift in (0, 7, 14, 21)] + [size >> 28])
    with (tmp_path / "large.caffemodel").open("wb") as stream:
        stream.write(b"\x0a" + varint)
        stream.truncate(size + 6)
    net = make_net(tmp_path, NET.format(module=__name__, layer="Sum"))
    net.copy_from(str(tmp_path / "large.caffemodel"))
