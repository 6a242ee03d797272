"""The native heads against the Python layers: labels, losses, gradients, solver steps, lint, the tool."""

import subprocess
import sys
from pathlib import Path

import caffe
import numpy as np
import pytest
from caffe import layers as L
from caffe.proto import caffe_pb2
from caffe_nets import write_lmdb

from mindpics.caffe_files.messages import read_message, write_message
from mindpics.files.findings import errors
from mindpics.lint.net import lint_file
from mindpics.nets.head_losses import LOSSES, OTHER
from mindpics.nets.whole import Data, train_val
from mindpics.training.train import solve
from mindpics.traits import TRAITS

ROOT = Path(__file__).resolve().parents[2]
NORMALIZATIONS = ("VALID", "BATCH_SIZE")
BATCH, SIZE, CROP = 12, 72, 67  # AlexNet's smallest crop
RNG = np.random.default_rng(0)
# All traits; all but O; C alone.
BATCHES = [RNG.integers(0, 10, BATCH), RNG.integers(2, 10, BATCH), RNG.integers(2, 4, BATCH)]


def heads(folder, loss, normalization="VALID", phase=caffe.TRAIN, batch=BATCH):
    """Return a net of the five heads alone, on ``data`` [N,6] and ``label`` [N]."""
    n = caffe.NetSpec()
    n.data = L.Input(shape={"dim": [batch, 6]})
    n.label = L.Input(shape={"dim": [batch]})
    for trait in TRAITS:
        score = n[f"score_{trait}"] = L.InnerProduct(n.data, num_output=2, weight_filler={"type": "xavier"})
        LOSSES[loss](n, trait, score, normalization)
    path = folder / f"{loss}.prototxt"
    write_message(n.to_proto(), path)
    return caffe.Net(str(path), phase)


def test_each_label_becomes_the_pole_of_its_own_head_alone(tmp_path):
    net = heads(tmp_path, "native", batch=10)
    net.blobs["label"].data[...] = np.arange(10)
    net.forward()
    for trait, name in enumerate(TRAITS):
        expected = np.full(10, OTHER)
        expected[[2 * trait, 2 * trait + 1]] = 0, 1
        np.testing.assert_array_equal(net.blobs[f"pole_{name}"].data, expected)


@pytest.mark.parametrize("labels", BATCHES, ids=["all traits", "no O", "C alone"])
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_losses_accuracies_and_gradients_are_those_of_the_python_layers(tmp_path, normalization, labels):
    found = {}
    data = 3 * RNG.normal(size=(BATCH, 6))
    for loss in LOSSES:
        for phase in (caffe.TRAIN, caffe.TEST):
            caffe.set_random_seed(1)
            net = heads(tmp_path, loss, normalization, phase)
            net.blobs["data"].data[...], net.blobs["label"].data[...] = data, labels
            tops = {name: float(top) for name, top in net.forward().items()}
            net.backward()
            gradients = [net.params[f"score_{trait}"][i].diff.copy() for trait in TRAITS for i in range(2)]
            found[loss, phase] = tops, gradients
    assert len(found["native", caffe.TRAIN][0]) == 5 and len(found["native", caffe.TEST][0]) == 10
    for phase in (caffe.TRAIN, caffe.TEST):
        (tops, gradients), (native_tops, native_gradients) = found["python", phase], found["native", phase]
        assert native_tops == pytest.approx(tops, rel=1e-5, abs=1e-7)
        for gradient, native in zip(gradients, native_gradients, strict=True):
            np.testing.assert_allclose(native, gradient, rtol=1e-5, atol=1e-7)
    if labels.min() >= 2:
        assert found["native", caffe.TRAIN][0]["loss_O"] == 0
        assert not any(gradient.any() for gradient in found["native", caffe.TRAIN][1][:2])


@pytest.fixture
def files(tmp_path):
    """The nets of both losses on LMDBs whose second training batch has no O: {loss: solver message}."""
    labels = np.concatenate(BATCHES)
    pictures = RNG.integers(0, 256, (len(labels), 3, SIZE, SIZE), dtype=np.uint8)
    for split in ("train_lmdb", "test_lmdb"):
        write_lmdb(tmp_path / split, pictures, labels)
    mean = caffe_pb2.BlobProto(data=np.full(3 * SIZE * SIZE, 128.0))
    mean.shape.dim.extend([1, 3, SIZE, SIZE])
    (tmp_path / "mean.binaryproto").write_bytes(mean.SerializeToString())

    def of(loss, normalization="VALID"):
        sources = (str(tmp_path / name) for name in ("train_lmdb", "test_lmdb", "mean.binaryproto"))
        data = Data(*sources, train_batch=BATCH, test_batch=BATCH, crop=CROP)
        net = train_val("alexnet", data, width=0.0625, gain=3, normalization=normalization, loss=loss)
        path = tmp_path / f"{loss}_train_val.prototxt"
        write_message(net, path)
        return caffe_pb2.SolverParameter(
            net=str(path),
            base_lr=0.01,
            lr_policy="fixed",
            momentum=0.9,
            weight_decay=5e-4,
            max_iter=5,
            random_seed=1,
            test_iter=[3],
            test_interval=5,
            test_initialization=False,
        )

    return of


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_five_steps_of_training_are_those_of_the_python_layers(files, tmp_path, normalization):
    of = {}
    for loss in LOSSES:
        history = solve(files(loss, normalization), tmp_path / "run" / loss, progress=False)
        weights = read_blobs(history.caffemodel)
        of[loss] = history, weights
    (python, weights), (native, native_weights) = of["python"], of["native"]
    assert len(native.train) == 5 and native.train[1]["loss_O"] == 0 and native.train[0]["loss_O"] > 0
    for row, native_row in zip(python.train + python.test, native.train + native.test, strict=True):
        assert native_row == pytest.approx(row, rel=1e-4, abs=1e-6)
    assert set(weights) == set(native_weights)
    for name, values in weights.items():
        np.testing.assert_allclose(native_weights[name], values, rtol=1e-3, atol=1e-5, err_msg=str(name))


def read_blobs(path):
    net = caffe_pb2.NetParameter.FromString(Path(path).read_bytes())
    return {(layer.name, i): np.array(blob.data) for layer in net.layer for i, blob in enumerate(layer.blobs)}


def test_lint_knows_the_native_heads(files, tmp_path):
    message = files("native")
    assert not errors(lint_file(message.net, data=True))
    net = read_message(message.net, caffe_pb2.NetParameter())
    next(layer for layer in net.layer if layer.name == "score_C").inner_product_param.num_output = 3
    write_message(net, tmp_path / "three.prototxt")
    assert [finding.check for finding in errors(lint_file(tmp_path / "three.prototxt"))] == ["head-outputs"] * 2
    for labels, checks in (([0, 1, 12], {"label-range", "no-picture-of-trait"}), ([2, 3], {"no-picture-of-trait"})):
        pictures = np.zeros((len(labels), 3, SIZE, SIZE), np.uint8)
        write_lmdb(tmp_path / f"{checks}_lmdb", pictures, labels)
        for layer in net.layer[:2]:
            layer.data_param.source = str(tmp_path / f"{checks}_lmdb")
        write_message(net, tmp_path / "other.prototxt")
        assert checks <= {finding.check for finding in errors(lint_file(tmp_path / "other.prototxt"))}


def test_the_tool_writes_all_nets_without_a_python_layer(tmp_path):
    tool = [sys.executable, ROOT / "tools/make_nets", "--loss", "native", "--out", "native"]
    subprocess.run(tool, check=True, capture_output=True, cwd=tmp_path)
    for path in (tmp_path / "native" / "solvers").iterdir():
        solver = read_message(path, caffe_pb2.SolverParameter())
        net = read_message(tmp_path / solver.net, caffe_pb2.NetParameter())
        assert {layer.type for layer in net.layer} >= {"SoftmaxWithLoss", "Accuracy"}
        assert not any(layer.type == "Python" for layer in net.layer)
    assert len(list((tmp_path / "native" / "solvers").iterdir())) == 18
