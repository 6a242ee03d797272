"""Lint: a good net and solver are clean, and each planted fault is named, with its line."""

import json
import subprocess
import sys
from pathlib import Path

import lmdb
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from finding_codes import codes_of, planted_in

from mindpics.caffe_files.lmdbs import write_mean
from mindpics.caffe_files.messages import read_message
from mindpics.caffe_files.prototxt import Prototxt
from mindpics.files.findings import errors
from mindpics.lint.data import check_fed
from mindpics.lint.layers import check_all_layers
from mindpics.lint.net import lint_file, refuse_errors
from mindpics.lint.phases import NetPhase, builds_of
from mindpics.training.train import solve

ROOT = Path(__file__).resolve().parents[2]
LINT_NET = ROOT / "tools" / "lint_net"

NET = """name: "small"
layer {
  name: "data" type: "Data" top: "data" top: "label"
  include { phase: TRAIN }
  transform_param { mirror: true crop_size: 32 mean_file: "mean.binaryproto" }
  data_param { source: "train_lmdb" batch_size: 20 backend: LMDB }
}
layer {
  name: "data" type: "Data" top: "data" top: "label"
  include { phase: TEST }
  transform_param { mirror: false crop_size: 32 mean_file: "mean.binaryproto" }
  data_param { source: "test_lmdb" batch_size: 40 backend: LMDB }
}
layer {
  name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  param { lr_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
  convolution_param {
    num_output: 4
    kernel_size: 5
    stride: 2
    weight_filler { type: "msra" }
  }
}
layer {
  name: "bn1" type: "BatchNorm" bottom: "conv1" top: "conv1"
  param { lr_mult: 0 } param { lr_mult: 0 } param { lr_mult: 0 }
}
layer { name: "scale1" type: "Scale" bottom: "conv1" top: "conv1" scale_param { bias_term: true } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer {
  name: "norm1" type: "LRN" bottom: "conv1" top: "norm1"
  lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }
}
layer {
  name: "pool1" type: "Pooling" bottom: "norm1" top: "pool1"
  pooling_param { pool: MAX kernel_size: 3 stride: 2 }
}
layer {
  name: "fc2" type: "InnerProduct" bottom: "pool1" top: "fc2"
  inner_product_param { num_output: 8 weight_filler { type: "gaussian" std: 0.01 } }
}
layer { name: "drop2" type: "Dropout" bottom: "fc2" top: "fc2" dropout_param { dropout_ratio: 0.5 } }
layer {
  name: "score_O" type: "InnerProduct" bottom: "fc2" top: "score_O"
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } }
}
layer {
  name: "loss_O" type: "Python" bottom: "score_O" bottom: "label" top: "loss_O"
  loss_weight: 1
  python_param { module: "mindpics.layers" layer: "TraitLoss" param_str: "{\\"trait\\": \\"O\\"}" }
}
layer {
  name: "score_10" type: "InnerProduct" bottom: "fc2" top: "score_10"
  inner_product_param { num_output: 10 weight_filler { type: "xavier" } }
}
layer { name: "loss_10" type: "SoftmaxWithLoss" bottom: "score_10" bottom: "label" top: "loss_10" }
"""

SOLVER = """net: "net.prototxt"
test_iter: 5
test_interval: 50
test_initialization: false
base_lr: 0.01
lr_policy: "step"
gamma: 0.1
stepsize: 100
max_iter: 200
momentum: 0.9
weight_decay: 0.0005
snapshot: 100
snapshot_prefix: "snapshots/small"
"""

MORE = 'layer { name: "more" type: "Split" bottom: "score_10" top: "more" }'
READER = 'layer { name: "more" type: "InnerProduct" bottom: "fc2" top: "more" }'
SHARP = 'layer { name: "sharp" type: "Threshold" bottom: "fc2" top: "fc2" }'
RELU = 'layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }'
OUTSIDE = (
    'layer { name: "out" type: "HDF5Output" bottom: "fc2" bottom: "label" hdf5_output_param { file_name: "x.h5" } }'
)
TANH = 'layer { name: "tanh" type: "TanH" bottom: "norm1" top: "norm1" }'
# what is written in place of what; then severity, check, and words that the message must hold
NET_FAULTS = [
    ("num_output: 4", "num_ouput: 4", "error", "unknown-field", "no field 'num_ouput'; did you mean 'num_output'?"),
    ("batch_size: 20", "batch_size: 20 prefetch: 0", "error", "prefetch", "Caffe waits for ever"),
    ("  loss_weight: 1", "  stride: 1", "error", "unknown-field", "it belongs inside convolution_param"),
    ("pool: MAX", "pool: MOST", "error", "syntax", "MOST"),
    ("num_output: 8", 'num_output: "8"', "error", "syntax", "8"),
    ("    num_output: 4\n", "    num_output: 4 num_output: 5\n", "error", "syntax", "num_output"),
    ('type: "LRN"', 'type: "LNR"', "error", "unknown-type", "'LNR'; did you mean 'LRN'?"),
    ('bottom: "pool1"', 'bottom: "pol1"', "error", "missing-bottom", "'pol1' that no layer of phase TRAIN has made"),
    ("include { phase: TEST }", "", "error", "duplicate-top", "'data' is made by layer data as well in phase TRAIN"),
    ('name: "fc2"', 'name: "conv1"', "error", "duplicate-name", "a second layer of this name"),
    (
        "{ lr_mult: 0 } param { lr_mult: 0 }\n",
        "{ lr_mult: 0 } param { lr_mult: 1 }\n",
        "note",
        "batchnorm-upgraded",
        "which Caffe's upgrade sets to 0",
    ),
    (
        "  param { lr_mult: 0 } param { lr_mult: 0 } param { lr_mult: 0 }\n",
        "",
        "warning",
        "batchnorm-lr-mult",
        "0 of three",
    ),
    (
        "{ lr_mult: 0 }\n}",
        "{ lr_mult: 0 }\n batch_norm_param { use_global_stats: true }\n}",
        "warning",
        "batchnorm-stats",
        "true in phase TRAIN",
    ),
    (
        "{ lr_mult: 0 }\n}",
        "{ lr_mult: 0 }\n batch_norm_param { use_global_stats: false }\n}",
        "warning",
        "batchnorm-stats",
        "false in phase TEST",
    ),
    (
        'layer { name: "scale1" type: "Scale" bottom: "conv1" top: "conv1" scale_param { bias_term: true } }',
        "",
        "warning",
        "batchnorm-alone",
        "no Scale",
    ),
    (
        '"scale1" type: "Scale" bottom: "conv1" top: "conv1"',
        '"scale1" type: "Scale" bottom: "data" top: "conv1"',
        "error",
        "duplicate-top",
        "'conv1'",
    ),
    (
        'layer { name: "drop2" type: "Dropout" bottom: "fc2" top: "fc2" dropout_param { dropout_ratio: 0.5 } }',
        'layer { name: "scale2" type: "Scale" bottom: "fc2" top: "fc2" }',
        "warning",
        "scale-alone",
        "behind fc2",
    ),
    ("dropout_ratio: 0.5", "dropout_ratio: 1.5", "error", "dropout-ratio", "1.5"),
    ('bottom: "norm1" top: "pool1"', 'bottom: "norm1" top: "norm1"', "warning", "in-place", "Pooling in place"),
    (
        'layer {\n  name: "pool1"',
        TANH + '\nlayer {\n  name: "pool1"',
        "warning",
        "in-place",
        "from which norm1 (LRN) computes its gradient",
    ),
    (
        'layer { name: "drop2"',
        READER + '\nlayer { name: "drop2"',
        "error",
        "in-place-shared",
        "which more (InnerProduct) reads as well: Caffe aborts",
    ),
    ("  loss_weight: 1\n", "", "error", "python-loss-weight", "no loss_weight"),
    ('module: "mindpics.layers"', 'module: "os"', "error", "python-module", "would import the Python module 'os'"),
    ('layer: "TraitLoss"', 'layer: "TraitLos"', "error", "python-layer", "did you mean 'TraitLoss'?"),
    ('\\"trait\\": \\"O\\"', '\\"trait\\": \\"X\\"', "error", "param-str", "found trait 'X'"),
    ("num_output: 2 ", "num_output: 3 ", "error", "head-outputs", "2 (low, high) is wanted"),
    ("num_output: 10", "num_output: 9", "error", "label-range", "takes labels 0..8"),
    ('bottom: "score_10" bottom: "label"', 'bottom: "score_10"', "error", "no-label", "a score and a label"),
    ('    weight_filler { type: "msra" }\n', "", "warning", "no-filler", "starts at constant 0"),
    (" std: 0.01", "", "warning", "gaussian-std", "default is 1"),
    ('"msra"', '"mrsa"', "error", "unknown-filler", "did you mean 'msra'?"),
    ("    num_output: 4\n", "", "error", "no-num-output", "without num_output"),
    ("    stride: 2\n", "    stride: 2 group: 3\n", "error", "group", "num_output 4 is no multiple of group 3"),
    ("decay_mult: 0 }", "decay_mult: 0 } param { lr_mult: 1 }", "error", "too-many-params", "3 param { } for 2 blobs"),
    ("kernel_size: 3 stride: 2", "stride: 2", "error", "no-kernel", "pooling_param without kernel_size"),
    ("mirror: false", "mirror: true", "warning", "test-augmented", "mirrored"),
    (
        "mirror: false crop_size: 32",
        "crop_size: 28",
        "warning",
        "phases-differ",
        "crop_size is 32 in TRAIN and 28 in TEST",
    ),
    (
        "mirror: true crop_size: 32",
        "crop_size: 64",
        "error",
        "data",
        "crop_size 64; wanted at most the Datums' (3, 36, 36)",
    ),
    (
        '"mean.binaryproto" }\n  data_param { source: "train',
        '"small_mean" }\n  data_param { source: "train',
        "error",
        "data",
        "found mean (3, 32, 32); wanted the Datums' shape (3, 36, 36)",
    ),
    ("batch_size: 20 backend: LMDB", "batch_size: 20", "error", "backend", "LEVELDB"),
    ("batch_size: 20 ", "", "error", "no-batch-size", "without batch_size"),
    ('source: "test_lmdb"', 'source: "train_lmdb"', "warning", "same-source", "tests on the training pictures"),
    ('"train_lmdb"', '"trian_lmdb"', "note", "data-absent", "trian_lmdb is not there"),
    ('source: "train_lmdb"', 'source: "only_n"', "error", "no-picture-of-trait", "no picture of its trait"),
    (
        "include { phase: TRAIN }",
        "include { phase: TRAIN } exclude { phase: TEST }",
        "error",
        "include-exclude",
        "one kind",
    ),
    (
        "  loss_weight: 1\n",
        "  loss_weight: 1 loss_weight: 1\n",
        "error",
        "loss-weight-count",
        "2 loss_weight for 1 tops",
    ),
    (
        'bottom: "score_O" bottom: "label" top: "loss_O"',
        'bottom: "score_O" top: "loss_O"',
        "error",
        "no-label",
        "1 bottoms and 1 tops",
    ),
    (
        'mirror: true crop_size: 32 mean_file: "mean.binaryproto"',
        "crop_size: 32 mean_value: 1 mean_value: 2",
        "error",
        "data",
        "found 2 mean_value; wanted one, or one for each of 3 channels",
    ),
    (
        'mirror: false crop_size: 32 mean_file: "mean.binaryproto"',
        "crop_size: 32 mean_value: 9",
        "warning",
        "phases-differ",
        "mean_value differs from TRAIN's",
    ),
    ("mirror: true", "mean_value: 9 mirror: true", "error", "two-means", "Caffe takes one"),
    ('source: "train_lmdb" ', "", "error", "no-source", "without source"),
    (
        "pool: MAX kernel_size: 3",
        "pool: MAX kernel_size: 3 global_pooling: true",
        "error",
        "global-pooling",
        "one of them",
    ),
    ("dropout_ratio: 0.5", "dropout_ratio: 1", "warning", "dropout-ratio", "nothing is let through"),
    (
        'top: "conv1" scale_param',
        'top: "conv1" include { stage: "s" } scale_param',
        "warning",
        "batchnorm-alone",
        "no Scale",
    ),
    (RELU, RELU.replace("ReLU", "AbsVal"), "error", "not-in-place", "AbsVal in place"),
    ("    kernel_size: 5\n", "", "error", "no-kernel", "convolution_param without kernel_size"),
    ("pool: MAX", "pool: MAX pad: 3", "error", "pad", "pad 3 is not below the kernel's 3"),
    (
        'bottom: "pool1" top: "fc2"',
        'bottom: "pool1" top: "fc2" propagate_down: true propagate_down: true',
        "error",
        "propagate-down",
        "2 propagate_down for 1 bottoms",
    ),
    ('layer { name: "drop2"', SHARP + '\nlayer { name: "drop2"', "error", "no-gradient", "Threshold has no gradient"),
    ('layer { name: "drop2"', OUTSIDE + '\nlayer { name: "drop2"', "error", "writes-file", "the file 'x.h5'"),
    (
        'layer { name: "loss_10"',
        MORE + '\nlayer { name: "loss_10"',
        "warning",
        "dead-end",
        "'more' is read by no layer",
    ),
    (
        'layer { name: "loss_10" type: "SoftmaxWithLoss" bottom: "score_10"',
        'layer { name: "prob" type: "Softmax" bottom: "score_10" top: "prob" }\n'
        'layer { name: "loss_10" type: "SoftmaxWithLoss" bottom: "prob"',
        "warning",
        "softmax-twice",
        "applies one itself",
    ),
]
SOLVER_FAULTS = [
    ("stepsize: 100", "step_size: 100", "error", "unknown-field", "did you mean 'stepsize'?"),
    ("stepsize: 100\n", "", "error", "lr-policy", "no stepsize"),
    ("gamma: 0.1\n", "", "warning", "lr-policy", "without gamma"),
    (
        "test_iter: 5",
        'test_iter: 5 test_state { stage: "a" } test_state { }',
        "error",
        "test-state",
        "2 test_state for 1",
    ),
    ("snapshot: 100", 'snapshot: 100 type: "AdaGrad"', "error", "momentum", "AdaGrad takes none"),
    ("momentum: 0.9", 'type: "RMSProp" rms_decay: 1', "error", "rms-decay", "rms_decay 1"),
    ("max_iter: 200", "max_iter: 200 iter_size: 0", "error", "length", "iter_size 0"),
    ('"step"', '"steps"', "error", "lr-policy", "did you mean 'step'?"),
    ('lr_policy: "step"', 'lr_policy: "fixed"', "warning", "lr-policy", "stepsize has no effect"),
    ("gamma: 0.1", "gamma: 10", "warning", "gamma", "would grow"),
    ("gamma: 0.1", "gamma: -0.1", "error", "lr-policy", 'gamma -0.1 with lr_policy: "step": Caffe aborts'),
    ("stepsize: 100", "stepsize: 0", "error", "lr-policy", 'stepsize 0 with lr_policy: "step": Caffe aborts'),
    ("test_iter: 5\n", "", "warning", "test-iter", "will never test"),
    ("test_interval: 50\n", "", "error", "test-interval", "Caffe aborts"),
    ("test_interval: 50", "test_interval: 500", "warning", "test-interval", "over max_iter"),
    ("test_iter: 5", "test_iter: 4", "warning", "test-set", "= 160, but test_lmdb has 200 pictures; test_iter 5 sees"),
    ("test_initialization: false\n", "", "warning", "test-initialization", "NaN"),
    ("net: ", 'train_net: "net.prototxt"\nnet: ', "error", "solver-net", "net and train_net"),
    ('"net.prototxt"', '"nett.prototxt"', "error", "solver-net", "its net nett.prototxt is not there"),
    ("snapshots/small", "nowhere/small", "error", "snapshot-folder", "nowhere, is not there"),
    ("snapshot: 100", "snapshot: -1", "warning", "snapshot", "snapshot -1; 0 (never) or more"),
    ("snapshot: 100\n", "snapshot_after_train: false\n", "warning", "snapshot", "the weights would be lost"),
    (
        'lr_policy: "step"',
        'lr_policy: "multistep" stepvalue: 5 stepvalue: 3',
        "warning",
        "lr-policy",
        "does not ascend",
    ),
    (
        "test_iter: 5",
        'test_net: "a" test_net: "b" test_net: "c" test_iter: 5 test_iter: 5',
        "error",
        "test-iter",
        "2 test_iter for 3 test nets",
    ),
    ("base_lr: 0.01\n", "", "warning", "base-lr", "base_lr 0"),
    ("momentum: 0.9", "momentum: 9", "warning", "momentum", "momentum 9"),
    ("weight_decay: 0.0005", "weight_decay: 5", "warning", "weight-decay", "weight_decay 5"),
    ("max_iter: 200\n", "", "warning", "length", "max_iter 0"),
    ("snapshot: 100", 'snapshot: 100\ntype: "Adaam"', "error", "solver-type", "did you mean 'Adam'?"),
    ("snapshot: 100", 'snapshot: 100\nregularization_type: "L3"', "error", "regularization", "'L3'"),
]


@pytest.fixture
def good(pictures, tmp_path, monkeypatch):
    """Stand in a folder with net.prototxt, solver.prototxt and their data."""
    for name in ("train_lmdb", "test_lmdb", "mean.binaryproto"):
        (tmp_path / name).symlink_to(pictures / name)
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plant(path, old, new):
    """Replace the first `old` of a file; return the line on which `new` then begins."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return text[: text.index(old)].count("\n") + 1


def write_only_n(path):
    """An LMDB with one picture, of high N."""
    datum = caffe_pb2.Datum(channels=3, height=36, width=36, label=9, data=bytes(3 * 36 * 36))
    with lmdb.open(str(path), map_size=1 << 20) as env, env.begin(write=True) as transaction:
        transaction.put(b"00000000_p0", datum.SerializeToString())


def write_labels(path, records):
    with lmdb.open(str(path), map_size=1 << 24) as env, env.begin(write=True) as transaction:
        for key, label in records:
            datum = caffe_pb2.Datum(channels=3, height=36, width=36, label=label, data=bytes(3 * 36 * 36))
            transaction.put(key, datum.SerializeToString())


def write_weights(path, **shapes):
    net = caffe_pb2.NetParameter(name="weights")
    for name, blobs in shapes.items():
        layer = net.layer.add(name=name)
        for shape in blobs:
            layer.blobs.add(data=np.zeros(np.prod(shape))).shape.dim.extend(shape)
    path.write_bytes(net.SerializeToString())
    return path


SMALL_SHAPES = {
    "conv1": [(4, 3, 5, 5), (4,)],
    "bn1": [(4,), (4,), (1,)],
    "scale1": [(4,), (4,)],
    "fc2": [(8, 4 * 7 * 7), (8,)],
}


def assert_named(findings, severity, check, words):
    named = [f for f in findings if (f.severity, f.check) == (severity, check) and words in f.message]
    assert named, "\n".join(map(str, findings))
    return named[0]


def test_the_good_net_and_solver_are_clean(good):
    assert lint_file("solver.prototxt", data=True) == []


def test_the_committed_nets_and_solvers_are_clean(monkeypatch):
    monkeypatch.chdir(ROOT)
    files = [*Path("solvers").glob("*.prototxt"), *Path("prototxt").glob("*/deploy.prototxt")]
    assert len(files) >= 36
    for file in files:
        assert {finding.check for finding in lint_file(file)} <= {"data-absent"}, file


@pytest.mark.parametrize(("old", "new", "severity", "check", "words"), NET_FAULTS)
def test_a_fault_in_the_net_is_named(good, old, new, severity, check, words):
    if "only_n" in new:
        write_only_n(good / "only_n")
    if "small_mean" in new:
        write_mean(good / "small_mean", np.zeros((3, 32, 32), np.float32))
    line = plant(good / "net.prototxt", old, new)
    finding = assert_named(lint_file("solver.prototxt"), severity, check, words)
    assert finding.file == "net.prototxt"
    assert finding.line is not None
    if check in ("unknown-field", "syntax"):
        assert finding.line == line


@pytest.mark.parametrize(("old", "new", "severity", "check", "words"), SOLVER_FAULTS)
def test_a_fault_in_the_solver_is_named(good, old, new, severity, check, words):
    line = plant(good / "solver.prototxt", old, new)
    finding = assert_named(lint_file("solver.prototxt"), severity, check, words)
    assert finding.file == "solver.prototxt"
    if check == "unknown-field":
        assert finding.line == line


def test_scale_over_single_pictures_that_are_to_be_added_up_is_named(good):
    plant(good / "solver.prototxt", "max_iter: 200", "max_iter: 200 iter_size: 4")
    assert not [finding for finding in lint_file("solver.prototxt") if finding.check == "single-pictures"]
    plant(good / "net.prototxt", "batch_size: 20", "batch_size: 1")
    assert_named(lint_file("solver.prototxt"), "warning", "single-pictures", "iter_size 4 over single pictures")


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ('name: "pool1"', 'name: "pool/1"', "'pool/1'"),
        ('name: "pool1" ', "", "''"),
        ('name: "relu1"', 'name: "pool1"', "'pool1'"),
        ('bottom: "fc2" top: "fc2"', 'bottom: "fc2" top: "fc/2"', "'drop2_fc/2_0_split'"),
    ],
)
def test_names_of_which_hdf5_has_no_group_are_named_before_a_training(good, old, new, name):
    text = NET.replace(old, new, 1)
    text = text.replace('bottom: "fc2" top: "score', 'bottom: "fc/2" top: "score') if "fc/2" in new else text
    (good / "net.prototxt").write_text(text)
    assert not [finding for finding in lint_file("solver.prototxt") if finding.check == "snapshot-format"]
    plant(good / "solver.prototxt", "snapshot: 100", "snapshot: 100 snapshot_format: HDF5")
    words = f"Caffe makes no group of layer {name} and aborts when it saves"
    assert_named(lint_file("solver.prototxt"), "error", "snapshot-format", words)
    with pytest.raises(ValueError, match="snapshot_format HDF5"):
        solve("solver.prototxt", "run", progress=False)
    assert not Path("run").exists()
    code = "import caffe; caffe.Net('net.prototxt', caffe.TRAIN).save_hdf5('net.h5')"
    saved = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert saved.returncode and b"Check failed" in saved.stderr


def test_data_that_is_not_there_is_an_error_only_when_asked_for(good):
    (good / "train_lmdb").unlink()
    assert not errors(lint_file("solver.prototxt"))
    assert_named(
        lint_file("solver.prototxt", data=True), "error", "data", "train_lmdb: found no data.mdb; wanted an LMDB"
    )


def test_crop_is_held_against_the_mean_where_only_that_is_there(good):
    (good / "train_lmdb").unlink()
    plant(good / "net.prototxt", "crop_size: 32", "crop_size: 40")
    assert_named(lint_file("net.prototxt"), "error", "data", "crop_size 40 is larger than the mean (3, 36, 36)")


def test_a_test_net_of_its_own_needs_no_loss(good):
    tested = NET.replace("include { phase: TEST }", "").replace("include { phase: TRAIN }", "exclude { phase: TEST }")
    (good / "test.prototxt").write_text(tested[: tested.index('layer {\n  name: "loss_O"')])
    plant(good / "solver.prototxt", 'net: "net', 'test_net: "test.prototxt"\ntrain_net: "net')
    assert not errors(lint_file("solver.prototxt"))


def test_accuracy_without_a_loss_beside_it_is_named(good):
    """It would count scores of NaN as right."""
    tested = NET.replace("include { phase: TEST }", "").replace("include { phase: TRAIN }", "exclude { phase: TEST }")
    accuracy = 'layer { name: "right" type: "Accuracy" bottom: "fc2" bottom: "label" top: "right" }'
    (good / "test.prototxt").write_text(tested[: tested.index('layer {\n  name: "loss_O"')] + accuracy)
    plant(good / "solver.prototxt", 'net: "net', 'test_net: "test.prototxt"\ntrain_net: "net')
    assert_named(lint_file("solver.prototxt"), "warning", "accuracy-alone", "counts scores of NaN as right")


def test_weights_that_fit_leave_only_the_heads_new(good):
    found = lint_file("solver.prototxt", write_weights(good / "w.caffemodel", **SMALL_SHAPES))
    assert [finding.severity for finding in found] == ["note"]
    assert "4 layers take weights; left at their fillers: score_O, score_10;" in found[0].message


def test_weights_that_do_not_reach_are_named(good):
    shapes = {name: blobs for name, blobs in SMALL_SHAPES.items() if name not in ("fc2", "bn1")}
    shapes |= {"fc2_old": SMALL_SHAPES["fc2"], "score_10": [(1000, 8), (1000,)]}
    plant(good / "net.prototxt", ' weight_filler { type: "xavier" }', "")
    found = lint_file("solver.prototxt", write_weights(good / "w.caffemodel", **shapes))
    assert_named(found, "error", "weights-renamed", "layer fc2: the weights do not reach it; fc2_old")
    clash = "score_10 has blobs [(1000, 8), (1000,)], the net wants [(10, 8), (10,)]"
    assert_named(found, "error", "weights-clash", clash)
    assert_named(found, "warning", "no-filler", "layer score_O: the weights do not reach it, and without weight_filler")
    assert_named(found, "warning", "weights-missed", "layer bn1: not in the weights")


def test_a_head_that_starts_at_zero_before_an_upsampling_that_does_not_learn_is_no_error(good):
    """FCN's score_fr over the weights of VGG."""
    upsampled = """
layer { name: "score_fr" type: "Convolution" bottom: "pool1" top: "score_fr"
  convolution_param { num_output: 2 kernel_size: 1 } }
layer { name: "upscore" type: "Deconvolution" bottom: "score_fr" top: "upscore" param { lr_mult: 0 }
  convolution_param { num_output: 2 bias_term: false kernel_size: 4 stride: 2 weight_filler { type: "bilinear" } } }
"""
    (good / "net.prototxt").write_text(NET + upsampled)
    weights = write_weights(good / "w.caffemodel", **SMALL_SHAPES)
    assert not [finding for finding in errors(lint_file("net.prototxt", weights)) if finding.check == "no-filler"]
    assert_named(lint_file("net.prototxt", weights), "warning", "no-filler", "layer score_fr: the weights do not reach")
    plant(good / "net.prototxt", ' weight_filler { type: "bilinear" }', "")
    assert_named(lint_file("net.prototxt", weights), "error", "no-filler", "layer upscore: the weights do not reach it")


def test_weights_in_several_files_are_judged_together_and_clash_alone(good):
    """As `caffe train --weights rgb.caffemodel,flow.caffemodel` copies them."""
    plant(good / "net.prototxt", 'num_output: 8 weight_filler { type: "gaussian" std: 0.01 }', "num_output: 8")
    parts = (
        {name: SMALL_SHAPES[name] for name in ("conv1", "bn1")},
        {name: SMALL_SHAPES[name] for name in ("scale1", "fc2")},
    )
    paths = [str(write_weights(good / f"{number}.caffemodel", **part)) for number, part in enumerate(parts)]
    plant(good / "solver.prototxt", "snapshot: 100", f'snapshot: 100 weights: "{",".join(paths)}"')
    both = ("solver.prototxt", None), ("net.prototxt", ",".join(paths))
    for file, weights in both:
        found = lint_file(file, weights)
        assert [finding.severity for finding in found if "weights" in finding.message] == ["note", "note"], found
    assert_named(lint_file("net.prototxt", paths[0]), "error", "no-filler", "layer fc2: the weights do not reach it")
    write_weights(Path(paths[0]), conv1=[(4, 3, 7, 7), (4,)], bn1=SMALL_SHAPES["bn1"])
    assert_named(lint_file("solver.prototxt"), "error", "weights-clash", paths[0])
    lint = [sys.executable, LINT_NET, "net.prototxt", "--weights"]
    clash = subprocess.run([*lint, ",".join(paths)], capture_output=True, text=True, check=False)
    assert clash.returncode == 1 and "layer conv1 has blobs" in clash.stdout
    none = subprocess.run([*lint, f"{paths[1]},no.caffemodel"], capture_output=True, text=True, check=False)
    assert none.returncode and "no.caffemodel: found no such file" in none.stderr


def test_what_caffe_itself_refuses_is_said_in_its_words(good):
    plant(good / "net.prototxt", "kernel_size: 5", "kernel_size: 50")
    found = lint_file("net.prototxt", write_weights(good / "w.caffemodel", **SMALL_SHAPES))
    assert_named(found, "error", "caffe-refuses", "Check failed")


def test_training_refuses_what_lint_calls_an_error(good):
    solver, net = (caffe_pb2.SolverParameter(), caffe_pb2.NetParameter())
    read_message("solver.prototxt", solver)
    read_message("net.prototxt", net)
    solver.snapshot_prefix = "nowhere/net"  # a run has its own folder
    refuse_errors(solver, [net])
    solver.lr_policy = "multistp"
    net.layer[3].param[0].lr_mult = 1
    both = "did you mean 'multistep'.; layer bn1: blob 0 of a BatchNorm has lr_mult 1"
    with pytest.raises(ValueError, match=both):
        refuse_errors(solver, [net])


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_a_training_refuses_pictures_that_nobody_gives(good, phase):
    solve("solver.prototxt", "run", iterations=1, progress=False)
    text = (good / "net.prototxt").read_text()
    start = text.index("layer {", 0 if phase == "TRAIN" else text.index("phase: TRAIN"))
    fed = f"""layer {{ name: "data" type: "MemoryData" top: "data" top: "label" include {{ phase: {phase} }}
  memory_data_param {{ batch_size: 20 channels: 3 height: 32 width: 32 }} }}
"""
    (good / "net.prototxt").write_text(text[:start] + fed + text[text.index("layer {", start + 1) :])
    assert not errors(lint_file("solver.prototxt"))  # a program of the user's may give some
    prototxt = Prototxt(read_message("net.prototxt", caffe_pb2.NetParameter()), "")
    found = [finding for build in builds_of(prototxt) for finding in check_fed(NetPhase(prototxt, build))]
    assert_named(found, "error", "memory-data", "MemoryData has no data until a program gives it some")
    with pytest.raises(ValueError, match="layer data: MemoryData has no data"):
        solve("solver.prototxt", "run", overwrite=True, progress=False)
    assert list(Path("run/snapshots").glob("*.solverstate"))


def test_a_net_without_layers_without_a_loss_or_without_a_test_phase_is_named(good):
    (good / "empty.prototxt").write_text('name: "empty"\n')
    assert_named(lint_file("empty.prototxt"), "error", "no-layers", "a net without layers")
    (good / "net.prototxt").write_text(NET[: NET.index('layer {\n  name: "loss_O"')])
    assert_named(lint_file("solver.prototxt"), "warning", "no-loss", "nothing would be learned")
    second = NET.index("layer {", NET.index("include { phase: TRAIN }"))
    one = NET[:second] + NET[NET.index("layer {", second + 1) :]
    (good / "net.prototxt").write_text(one.replace("include { phase: TRAIN }", ""))
    assert_named(lint_file("solver.prototxt"), "warning", "no-test-net", "tested on the training pictures")


def test_a_level_that_caffe_train_does_not_ask_for_is_told(good):
    solver = Path("solver.prototxt")
    assert "train-level" not in {finding.check for finding in lint_file(solver)}
    solver.write_text(solver.read_text() + "train_state { level: 2 }\n")
    assert_named(lint_file(solver), "note", "train-level", "level 2 holds here; the command `caffe train` puts its")


def test_weights_of_another_net_or_none_are_named(good):
    other = write_weights(good / "w.caffemodel", conv9=[(4, 3, 5, 5)])
    assert_named(lint_file("net.prototxt", other), "error", "weights", "none of its layers is in the net")
    plant(good / "net.prototxt", "crop_size: 32", "")
    (good / "train_lmdb").unlink()
    assert_named(lint_file("net.prototxt", other), "note", "weights", "weights not compared")
    (good / "net.prototxt").write_text(NET)
    (good / "w.caffemodel").write_text("no weights")
    assert_named(lint_file("net.prototxt", good / "w.caffemodel"), "error", "weights", "w.caffemodel")


def test_an_lmdb_sorted_by_class_is_named_and_a_label_in_its_last_record_is(good):
    """Caffe reads foreign memory for such a label, whenever it comes to it."""
    plant(good / "net.prototxt", "train_lmdb", "sorted")
    records = [(b"%08d" % i, i // 60) for i in range(600)]
    write_labels(good / "sorted", records)
    assert_named(lint_file("solver.prototxt"), "warning", "sorted-by-class", "sorted is sorted by class")
    write_labels(good / "sorted", [(b"z", 10)])
    found = lint_file("solver.prototxt")
    assert_named(found, "error", "label-range", "layer loss_10: takes labels 0..9, but sorted has 10 (key 'z')")


def test_a_mean_alone_that_is_none_is_named(good):
    for name in ("train_lmdb", "test_lmdb", "mean.binaryproto"):
        (good / name).unlink()
    (good / "mean.binaryproto").write_text("no mean")
    assert_named(lint_file("net.prototxt"), "error", "data", "mean.binaryproto")


def test_a_batch_norm_without_a_top_is_caffes_to_refuse(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 4 dim: 4 } } }\n'
        'layer { name: "bn" type: "BatchNorm" bottom: "data" }\nlayer { name: "s" type: "Scale" top: "s" }\n'
    )
    assert "caffe-refuses" in {finding.check for finding in errors(lint_file(path))}


def test_a_loss_weight_of_zero_is_one_and_a_strangers_layer_may_lack_it(good):
    path = good / "net.prototxt"
    plant(path, "  loss_weight: 1\n", "  loss_weight: 0\n")
    assert not errors(lint_file(path))
    plant(path, "  loss_weight: 0\n", "")
    plant(path, 'module: "mindpics.layers"', 'module: "theirs"')
    found = [finding for finding in lint_file(path, allow_python_layers=True) if finding.check == "python-loss-weight"]
    assert [finding.severity for finding in found] == ["warning"]


def test_pictures_that_are_not_there_may_have_other_channels_than_three(tmp_path):
    """A siamese net over pairs of gray pictures: its second slice would have none of three."""
    path = tmp_path / "net.prototxt"
    tops = "".join(
        f'layer {{ name: "{name}" type: "Convolution" bottom: "{name}" top: "conv{name}" param {{ name: "w" }} '
        'convolution_param { num_output: 2 kernel_size: 3 bias_term: false weight_filler { type: "xavier" } } }\n'
        for name in ("a", "b")
    )
    path.write_text(
        'layer { name: "pairs" type: "Data" top: "pair" transform_param { crop_size: 8 } '
        'data_param { source: "nowhere" batch_size: 2 backend: LMDB } }\n'
        'layer { name: "slice" type: "Slice" bottom: "pair" top: "a" top: "b" slice_param { slice_point: 3 } }\n' + tops
    )
    assert not errors(lint_file(path))
    path.write_text(path.read_text().replace("slice_point: 3", "slice_point: 9"))
    assert [finding.check for finding in errors(lint_file(path))] == ["caffe-refuses"]


def test_a_lint_leaves_the_file_of_an_hdf5_output_as_it_is(good):
    kept = good / "scores.h5"
    kept.write_bytes(b"an earlier run's")
    path = good / "net.prototxt"
    path.write_text(
        path.read_text() + f'layer {{ name: "out" type: "HDF5Output" bottom: "label" bottom: "label" '
        f'hdf5_output_param {{ file_name: "{kept}" }} }}\n'
    )
    lint_file(path, allow_python_layers=True)
    assert kept.read_bytes() == b"an earlier run's"


def test_a_frozen_blob_that_would_learn_is_named(good):
    net = caffe_pb2.NetParameter()
    read_message("net.prototxt", net)
    net.layer[3].param[2].lr_mult = 1  # given as a message, which nothing has upgraded
    prototxt = Prototxt(net, "")
    views = [NetPhase(prototxt, build) for build in builds_of(prototxt)]
    found = [f for f in check_all_layers(prototxt, views) if f.check == "batchnorm-learned"]
    assert_named(found, "error", "batchnorm-learned", "blob 2 of a BatchNorm has lr_mult 1")


def test_every_check_has_a_planted_fault():
    planted = planted_in("tests/lint/*.py")
    lacking = codes_of("mindpics/lint/*.py") - planted - {("error", "")}  # refuse_errors says those of others
    assert not lacking


def test_the_tool_prints_places_and_exits_by_errors(good):
    clean = subprocess.run([sys.executable, LINT_NET, "solver.prototxt"], capture_output=True, text=True, check=False)
    assert (clean.returncode, clean.stdout) == (0, "nothing found\n")
    plant(good / "net.prototxt", "num_output: 4", "num_ouput: 4")
    command = [sys.executable, LINT_NET, "solver.prototxt", "--json"]
    wrong = subprocess.run(command, capture_output=True, text=True, check=False)
    assert wrong.returncode == 1
    found = json.loads(wrong.stdout)
    assert found["findings"][0]["file"] == "net.prototxt"
    assert found["findings"][0]["line"] == 18
    assert found["counts"]["error"] == len([f for f in found["findings"] if f["severity"] == "error"])


SSD = """
layer { name: "norm" type: "Normalize" bottom: "conv1" top: "norm" norm_param { across_spatial: false } }
layer { name: "order" type: "Permute" bottom: "norm" top: "order" permute_param { order: 0 } }
layer { name: "prior" type: "PriorBox" bottom: "norm" bottom: "data" top: "prior" prior_box_param { min_size: 30 } }
"""


def test_layers_of_another_caffe_are_named_and_resemble_none(good):
    """Weiliu89's SSD and chuanqi305's MobileNet-SSD: 12 files, every finding a true one, and Caffe is not asked."""
    path = Path("net.prototxt")
    path.write_text(NET + SSD)
    said = [str(finding) for finding in lint_file(path)]
    for kind, field in (("Normalize", "norm_param"), ("Permute", "permute_param"), ("PriorBox", "prior_box_param")):
        assert any(f"no layer type '{kind}'" in text for text in said), said
        assert any(f"no field '{field}'" in text and "did you mean" not in text for text in said), said
