"""A training step's memory: diffs hand theirs on once they are read, Scale keeps the values that BatchNorm keeps."""

import subprocess
import sys

import caffe
import numpy as np
import pytest
from caffe_nets import make_net, write_solver

CONV = """layer {{ name: "conv{0}" type: "Convolution" bottom: "{1}" top: "conv{0}"
  convolution_param {{ num_output: {2} kernel_size: 3 pad: 1 weight_filler {{ type: "msra" }} }} }}
layer {{ name: "bn{0}" type: "BatchNorm" bottom: "conv{0}" top: "conv{0}" }}
layer {{ name: "scale{0}" type: "Scale" bottom: "conv{0}" top: "conv{0}" scale_param {{ bias_term: true }} }}
layer {{ name: "relu{0}" type: "ReLU" bottom: "conv{0}" top: "conv{0}" }}
"""
DATA = """layer { name: "data" type: "DummyData" top: "data" top: "label" dummy_data_param {
  shape { dim: 6 dim: 3 dim: 20 dim: 20 } shape { dim: 6 }
  data_filler { type: "gaussian" } data_filler { type: "constant" value: 1 } } }
"""
LAST = """layer { name: "sum" type: "Eltwise" bottom: "conv1" bottom: "conv3" top: "sum" }
layer { name: "pool" type: "Pooling" bottom: "sum" top: "pool" pooling_param { kernel_size: 3 stride: 2 } }
layer { name: "flat" type: "Flatten" bottom: "pool" top: "flat" }
layer { name: "fc" type: "InnerProduct" bottom: "flat" top: "fc" loss_weight: 1e-4
  inner_product_param { num_output: 8 weight_filler { type: "xavier" } } }
layer { name: "drop" type: "Dropout" bottom: "fc" top: "drop" }
layer { name: "score" type: "InnerProduct" bottom: "drop" top: "score"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "accuracy" type: "Accuracy" bottom: "score" bottom: "label" top: "accuracy" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }
"""
NET = DATA + CONV.format(1, "data", 16) + CONV.format(2, "conv1", 32) + CONV.format(3, "conv2", 16) + LAST


def make_solver(folder, **fields):
    return caffe.SGDSolver(write_solver(folder, NET, base_lr=0.01, momentum=0.9, weight_decay=0.01, **fields))


def values_of(net):
    return {f"{name}[{i}]": blob.data.copy() for name, blobs in net.params.items() for i, blob in enumerate(blobs)}


@pytest.mark.parametrize("fields", [{}, {"iter_size": 2}, {"debug_info": True}], ids=str)
@pytest.mark.parametrize("engine", ["fast", "caffe"])
def test_weights_are_the_same_to_the_bit(tmp_path, monkeypatch, engine, fields):
    monkeypatch.setenv("MINDPICS_ENGINE", engine)
    learned = []
    for release in (False, True):
        solver = make_solver(tmp_path, **fields)
        solver.net.release_diffs(release)
        solver.step(6)
        learned.append(values_of(solver.net))
    for name, values in learned[0].items():
        np.testing.assert_array_equal(learned[1][name], values, err_msg=name)


def test_a_diff_that_was_read_is_zero_unless_somebody_had_looked(tmp_path):
    solver = make_solver(tmp_path)
    looked_at = solver.net.blobs["conv2"].diff
    solver.net.release_diffs(True)
    solver.step(2)
    assert looked_at.any() and solver.net.blobs["conv2"].diff is not None
    np.testing.assert_array_equal(solver.net.blobs["conv2"].diff, looked_at)
    assert not solver.net.blobs["conv3"].diff.any() and not solver.net.blobs["sum"].diff.any()
    assert all(blob.diff.any() for name in ("conv2", "fc") for blob in solver.net.params[name])
    solver.net.release_diffs(False)
    solver.step(1)
    assert solver.net.blobs["conv3"].diff.any() and solver.net.blobs["sum"].diff.any()


def test_weights_of_losses_stay(tmp_path):
    solver = make_solver(tmp_path)
    solver.net.release_diffs(True)
    solver.step(2)
    assert solver.net.blobs["loss"].diff == 1
    np.testing.assert_array_equal(solver.net.blobs["fc_fc_0_split_0"].diff, np.float32(1e-4))


def test_stock_layers_leave_diffs_where_bvlc_does(tmp_path, monkeypatch):
    monkeypatch.setenv("MINDPICS_ENGINE", "caffe")
    solver = make_solver(tmp_path)
    solver.net.release_diffs(True)
    solver.step(1)
    assert all(solver.net.blobs[name].diff.any() for name in ("conv1", "conv2", "conv3", "sum", "pool"))


@pytest.mark.parametrize("end", ["conv2", "bn2", "scale2", "relu2"])
def test_a_pass_that_ends_between_layers_in_place_shows_their_values(tmp_path, monkeypatch, end):
    """What BatchNorm hands on is copied when somebody looks, whatever he looks with, and Scale goes on from it."""
    shown = {}
    for engine in ("caffe", "fast"):
        monkeypatch.setenv("MINDPICS_ENGINE", engine)
        caffe.set_random_seed(1)
        net = make_net(tmp_path, NET, caffe.TRAIN)
        net.forward(end=end)
        middle = net.blobs["conv2"].data.copy()
        layers = list(net._layer_names)
        net.forward(start=layers[layers.index(end) + 1])
        net.backward()
        shown[engine] = [middle, net.blobs["conv2"].data, net.blobs["conv2"].diff, net.params["scale2"][0].diff]
    for wanted, found in zip(shown["caffe"], shown["fast"], strict=True):
        np.testing.assert_allclose(found, wanted, atol=2e-5 * max(1, abs(wanted).max()))


def test_scale_on_another_top_than_batch_norm(tmp_path, monkeypatch):
    """BatchNorm's values are copied for whoever is not Scale in place: here for Scale itself, and for a convolution."""
    net = NET.replace(
        'name: "scale2" type: "Scale" bottom: "conv2" top: "conv2"',
        'name: "scale2" type: "Scale" bottom: "conv2" top: "scaled"',
    )
    net = net.replace('type: "ReLU" bottom: "conv2" top: "conv2"', 'type: "ReLU" bottom: "scaled" top: "scaled"')
    net = net.replace('bottom: "conv2" top: "conv3"', 'bottom: "scaled" top: "conv3"')
    shown = []
    for engine in ("caffe", "fast"):
        monkeypatch.setenv("MINDPICS_ENGINE", engine)
        caffe.set_random_seed(1)
        made = make_net(tmp_path, net, caffe.TRAIN)
        made.forward()
        made.backward()
        shown.append([made.blobs[name].data for name in ("conv2", "scaled", "score")] + [made.params["conv1"][0].diff])
    for wanted, found in zip(*shown, strict=True):
        np.testing.assert_allclose(found, wanted, atol=2e-5 * max(1, abs(wanted).max()))


PEAK = """
import sys, caffe
from mindpics.benchmarks.machine import peak_memory_gb
solver = caffe.SGDSolver(sys.argv[1])
solver.net.release_diffs(sys.argv[2] == "release")
solver.step(2)
print(peak_memory_gb())
"""


def test_a_step_holds_one_diff_at_a_time(tmp_path):
    """Nine convolutions of 26 MB a blob: data, what BatchNorm keeps, and diffs: two are enough."""
    chain = "".join(CONV.format(i, f"conv{i - 1}" if i > 1 else "data", 16) for i in range(1, 10))
    last = LAST.replace("conv3", "conv9")
    net = (DATA + chain + last).replace("dim: 6 dim: 3 dim: 20 dim: 20", "dim: 6 dim: 3 dim: 260 dim: 260")
    path = write_solver(tmp_path, net)
    run = [sys.executable, "-c", PEAK, path]
    peaks = [
        float(subprocess.run([*run, word], capture_output=True, text=True, check=True).stdout)
        for word in ("keep", "release")
    ]
    blob = 6 * 16 * 260 * 260 * 4 / 1e9
    assert peaks[0] - peaks[1] > 7 * blob


GROWING = """
import sys, caffe
from mindpics.benchmarks.machine import peak_memory_gb
net = caffe.Net(sys.argv[1], caffe.TRAIN)
net.release_diffs(sys.argv[2] == "release")
for side in range(100, 300, 4):
    net.blobs["0"].reshape(1, 8, side, side)
    net.forward()
    net.backward()
print(peak_memory_gb())
"""


def test_what_pictures_of_another_size_left_is_given_back(tmp_path):
    """FCN's pictures have each its own size: what is handed on is taken by none of another."""
    net = """force_backward: true
layer { name: "data" type: "Input" top: "0" input_param { shape { dim: 1 dim: 8 dim: 100 dim: 100 } } }
"""
    for number in range(8):
        net += f'layer {{ name: "relu{number}" type: "ReLU" bottom: "{number}" top: "{number + 1}" }}\n'
    (tmp_path / "net.prototxt").write_text(net)
    run = [sys.executable, "-c", GROWING, tmp_path / "net.prototxt"]
    keep, release = (
        float(subprocess.run([*run, word], capture_output=True, text=True, check=True).stdout)
        for word in ("keep", "release")
    )
    assert release < keep


def test_a_blob_without_values_is_passed_over(tmp_path, monkeypatch):
    """A top of no boxes yet, as detectors have; Silence takes it."""
    (tmp_path / "no_boxes.py").write_text(
        "import caffe\n"
        "class NoBoxes(caffe.Layer):\n"
        "    def setup(self, bottom, top): pass\n"
        "    def reshape(self, bottom, top):\n"
        "        top[0].reshape(*bottom[0].shape)\n"
        "        top[1].reshape(0, 5)\n"
        "    def forward(self, bottom, top): top[0].data[...] = bottom[0].data\n"
        "    def backward(self, top, down, bottom): bottom[0].diff[...] = top[0].diff\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    boxes = """layer { name: "boxes" type: "Python" bottom: "conv2" top: "same" top: "boxes"
      python_param { module: "no_boxes" layer: "NoBoxes" } }
    layer { name: "silence" type: "Silence" bottom: "boxes" }
    """
    text = NET.replace('bottom: "conv2" top: "conv3"', 'bottom: "same" top: "conv3"')
    at = text.index('layer { name: "conv3"')
    for engine in ("fast", "caffe"):
        monkeypatch.setenv("MINDPICS_ENGINE", engine)
        net = make_net(tmp_path, text[:at] + boxes + text[at:], caffe.TRAIN)
        net.release_diffs(True)
        net.forward()
        net.backward()
        assert net.params["conv1"][0].diff.any()
