"""The Python layers in real nets: against numpy, against Caffe's own loss, bad parameters."""

import subprocess
import sys

import caffe
import numpy as np
import pytest

from mindpics.layers import parse_param_str
from mindpics.nets.trait_loss import trait_accuracy, trait_loss
from mindpics.traits import TRAITS

N = 12
RNG = np.random.default_rng(0)


def input_layer(name, *dims):
    shape = " ".join(f"dim: {d}" for d in dims)
    return f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ {shape} }} }} }}\n'


def python_layer(layer, param_str, extra=""):
    return (
        f'layer {{ name: "out" type: "Python" bottom: "score" bottom: "label" top: "out" {extra} '
        f'python_param {{ module: "mindpics.layers" layer: "{layer}" param_str: \'{param_str}\' }} }}\n'
    )


def load(tmp_path, *layers):
    path = tmp_path / "net.prototxt"
    path.write_text("force_backward: true\n" + input_layer("score", N, 2) + input_layer("label", N) + "".join(layers))
    return caffe.Net(str(path), caffe.TRAIN)


def run(net, scores, labels):
    net.blobs["score"].data[...] = scores
    net.blobs["label"].data[...] = labels
    out = net.forward()
    net.backward()
    return float(next(iter(out.values()))), net.blobs["score"].diff.copy()


@pytest.mark.parametrize("weight", [1, 0.25])
@pytest.mark.parametrize("normalization", ["VALID", "BATCH_SIZE"])
def test_loss_layer_is_the_numpy_loss_times_its_weight(tmp_path, normalization, weight):
    param = f'{{"trait": "E", "normalization": "{normalization}"}}'
    net = load(tmp_path, python_layer("TraitLoss", param, f"loss_weight: {weight}"))
    scores, labels = RNG.normal(size=(N, 2)).astype(np.float32), RNG.integers(0, 10, N)
    loss, gradient = run(net, scores, labels)
    expected, expected_gradient = trait_loss(scores, labels, 2, normalization)
    assert loss == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(gradient, weight * expected_gradient, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("normalization", ["VALID", "BATCH_SIZE"])
@pytest.mark.parametrize("trait", range(5))
def test_equal_to_caffes_softmax_with_loss_and_ignore_label(tmp_path, trait, normalization):
    param = f'{{"trait": "{TRAITS[trait]}", "normalization": "{normalization}"}}'
    ours = load(tmp_path, python_layer("TraitLoss", param, "loss_weight: 1"))
    theirs = load(
        tmp_path,
        'layer { name: "out" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "out" '
        f"loss_param {{ ignore_label: 255 normalization: {normalization} }} }}",
    )
    batches = [RNG.integers(0, 10, N) for _ in range(20)]
    batches += [np.full(N, 2 * ((trait + 1) % 5)), np.full(N, 2 * trait + 1)]  # none, and all, of the trait
    for labels in batches:
        scores = (5 * RNG.normal(size=(N, 2))).astype(np.float32)
        poles = np.where(labels // 2 == trait, labels % 2, 255)
        for found, expected in zip(run(ours, scores, labels), run(theirs, scores, poles), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_an_ignored_head_sends_nothing_down(tmp_path):
    net = load(tmp_path, python_layer("TraitLoss", '{"trait": "O"}', "loss_weight: 1"))
    loss, gradient = run(net, RNG.normal(size=(N, 2)), np.full(N, 9))
    assert loss == 0
    assert not gradient.any()


def test_accuracy_layer(tmp_path):
    net = load(tmp_path, python_layer("TraitAccuracy", '{"trait": "C"}'))
    scores, labels = RNG.normal(size=(N, 2)), RNG.integers(0, 10, N)
    net.blobs["score"].data[...] = scores
    net.blobs["label"].data[...] = labels
    assert float(net.forward()["out"]) == pytest.approx(trait_accuracy(scores, labels, 1))


@pytest.mark.parametrize(
    ("param_str", "message"),
    [
        ("{'trait': 'O'}", "wanted JSON"),
        ("", "wanted JSON"),
        ('["O"]', "wanted a JSON object"),
        ('{"trait": "X"}', "found trait 'X'; wanted one of O C E A N"),
        ("{}", "found trait None"),
        ('{"trait": "O", "normalisation": "VALID"}', "unknown keys .'normalisation'."),
    ],
)
def test_bad_param_str_is_refused(param_str, message):
    with pytest.raises(ValueError, match=message):
        parse_param_str(param_str, normalization="VALID")


@pytest.mark.parametrize(
    ("labels", "message"),
    [(np.full(N, 10), "wanted 2 . trait . pole"), (np.full(N, -1), "found labels -1")],
)
def test_labels_of_another_lmdb_are_refused(tmp_path, labels, message):
    net = load(tmp_path, python_layer("TraitLoss", '{"trait": "O"}', "loss_weight: 1"))
    with pytest.raises(ValueError, match=message):
        run(net, np.zeros((N, 2)), labels)


def test_unknown_normalization_is_refused(tmp_path):
    with pytest.raises(ValueError, match="found normalization .*; wanted one of"):
        load(tmp_path, python_layer("TraitLoss", '{"trait": "O", "normalization": "FULL"}', "loss_weight: 1"))


def test_layer_is_found_from_any_working_directory(tmp_path):
    loss = python_layer("TraitLoss", '{"trait": "O"}', "loss_weight: 1")
    (tmp_path / "net.prototxt").write_text(input_layer("score", N, 2) + input_layer("label", N) + loss)
    code = "import caffe; print(float(caffe.Net('net.prototxt', caffe.TRAIN).forward()['out']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert float(done.stdout) == pytest.approx(np.log(2), abs=1e-5)  # zeros: label 0, both poles alike
