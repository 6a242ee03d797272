"""Caffe's own commands, installed beside the environment's python."""

import os
import re
import subprocess
import sys
from pathlib import Path

import caffe
import cv2
import lmdb
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from caffe_nets import data_layer, make_net, write_lmdb, write_solver

FOLDER = Path(sys.executable).parent


def run(command, *args, **options):
    return subprocess.run(
        [FOLDER / command, *map(str, args)], check=True, capture_output=True, text=True, timeout=60, **options
    )


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("caffe", "usage: caffe <command> <args>"),
        ("compute_image_mean", "Compute the mean_image of a set of images"),
        ("convert_imageset", "Convert a set of images to the leveldb/lmdb"),
        ("extract_features", "This program takes in a trained network"),
        ("upgrade_net_proto_text", "Usage: upgrade_net_proto_text v0_net_proto_file_in net_proto_file_out"),
        ("upgrade_net_proto_binary", "Usage: upgrade_net_proto_binary v0_net_proto_file_in net_proto_file_out"),
        ("upgrade_solver_proto_text", "Usage: upgrade_solver_proto_text old_solver_proto_file_in"),
        ("extract_seconds.py", "Usage: ./extract_seconds input_file output_file"),
        ("parse_log.py", "usage: parse_log.py"),
        ("summarize.py", "usage: summarize.py"),
        ("classify.py", "usage: classify.py"),
        ("draw_net.py", "usage: draw_net.py"),
        ("train.py", "usage: train.py"),
    ],
)
def test_command_starts_without_environment(command, answer, tmp_path):
    done = subprocess.run([FOLDER / command], capture_output=True, text=True, env={}, cwd=tmp_path, timeout=60)
    assert answer in done.stdout + done.stderr


def test_train_finds_python_layers_of_this_environment(tmp_path):
    """No activated environment, no PYTHONPATH but the layer's own; mindpics comes from site-packages."""
    (tmp_path / "own_layer.py").write_text(
        "import sys\nimport caffe\nimport mindpics\n"
        "class Loss(caffe.Layer):\n"
        "    def setup(self, bottom, top): print('prefix', sys.prefix, flush=True)\n"
        "    def reshape(self, bottom, top): top[0].reshape(1)\n"
        "    def forward(self, bottom, top): top[0].data[...] = 42\n"
        "    def backward(self, top, propagate_down, bottom): pass\n"
    )
    path = write_solver(
        tmp_path,
        """
        layer { name: "data" type: "DummyData" top: "data" dummy_data_param { shape { dim: 1 } } }
        layer { name: "loss" type: "Python" bottom: "data" top: "loss" loss_weight: 1
          python_param { module: "own_layer" layer: "Loss" } }""",
        max_iter=2,
        display=1,
    )
    done = run("caffe", "train", f"-solver={path}", env={"PYTHONPATH": str(tmp_path)}, cwd="/")
    assert f"prefix {sys.prefix}\n" in done.stdout
    assert "loss = 42" in done.stderr


def test_pictures_to_features(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 3), dtype=np.uint8)
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
    (tmp_path / "list.txt").write_text("".join(f"{n}.png {n}\n" for n in range(4)))
    run("convert_imageset", f"{tmp_path}/", tmp_path / "list.txt", tmp_path / "lmdb")
    run("compute_image_mean", tmp_path / "lmdb", tmp_path / "mean.binaryproto")
    mean = caffe.io.blobproto_to_array(caffe_pb2.BlobProto.FromString((tmp_path / "mean.binaryproto").read_bytes()))
    np.testing.assert_allclose(mean[0], pictures.mean(0).transpose(2, 0, 1), rtol=1e-6)

    net = make_net(tmp_path, data_layer(tmp_path / "lmdb", 4))
    net.save(str(tmp_path / "net.caffemodel"))
    run(
        "extract_features",
        tmp_path / "net.caffemodel",
        tmp_path / "net.prototxt",
        "data",
        tmp_path / "features",
        1,
        "lmdb",
    )
    with lmdb.open(str(tmp_path / "features"), readonly=True) as env, env.begin() as txn:
        found = [caffe_pb2.Datum.FromString(value).float_data for _, value in txn.cursor()]
    np.testing.assert_array_equal(found, pictures.transpose(0, 3, 1, 2).reshape(4, -1))


def test_convert_imageset_takes_what_atoi_makes_of_a_label(tmp_path):
    """BVLC's, as tools/README.md says; tools/create_lmdb names the line."""
    names = ("cat", "3.7", "7cats", "-1")
    for name in (*names, "lone"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((2, 2, 3), np.uint8))
    lines = [*(f"{name}.png {name}" for name in names), "lone.png", "gone.png 5"]
    (tmp_path / "list.txt").write_text("\n".join(lines) + "\n")
    done = run("convert_imageset", f"{tmp_path}/", tmp_path / "list.txt", tmp_path / "lmdb")
    with lmdb.open(str(tmp_path / "lmdb"), readonly=True) as env, env.begin() as txn:
        assert [caffe_pb2.Datum.FromString(value).label for _, value in txn.cursor()] == [0, 3, 7, -1, 0]
    assert "Could not open or find file" in done.stderr and "gone.png" in done.stderr


def test_classify_command_averages_ten_crops(tmp_path):
    """With its default mean, BVLC's own of ILSVRC 2012; the net is a mean of the crop it sees."""
    net = make_net(
        tmp_path,
        """
        layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 10 dim: 3 dim: 227 dim: 227 } } }
        layer { name: "pool" type: "Pooling" bottom: "data" top: "pool"
          pooling_param { pool: AVE global_pooling: true } }
        layer { name: "flat" type: "Flatten" bottom: "pool" top: "flat" }""",
    )
    net.save(tmp_path / "net.caffemodel")
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((300, 280, 3), 120, np.uint8))
    run(
        "classify.py",
        tmp_path / "grey.png",
        tmp_path / "scores.npy",
        "--model_def",
        tmp_path / "net.prototxt",
        "--pretrained_model",
        tmp_path / "net.caffemodel",
    )
    mean = np.load(Path(caffe.__file__).parent / "imagenet/ilsvrc_2012_mean.npy")
    assert mean.shape == (3, 256, 256)
    np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), [120 - mean.mean((1, 2))], atol=2)


def test_summarize_command_tells_layers_and_multipliers():
    published = Path(caffe.__file__).parent / "models/bvlc_alexnet/train_val.prototxt"
    lines = [line.split() for line in run("summarize.py", published).stdout.splitlines()]
    found = next(line for line in lines if line[0] == "conv2")
    assert found[:5] == ["conv2", "Convolution", "(,", "x2.0", "Dx0.0)"]


def test_draw_net_command_writes_a_graph(tmp_path):
    published = Path(caffe.__file__).parent / "models/bvlc_alexnet/train_val.prototxt"
    run("draw_net.py", published, tmp_path / "net.raw")
    graph = (tmp_path / "net.raw").read_text()
    assert graph.startswith("digraph") and "conv5" in graph


def test_test_command_scores(tmp_path):
    source = write_lmdb(tmp_path / "lmdb", np.ones((2, 1, 1, 1), np.uint8), [0, 1])
    net = make_net(tmp_path, data_layer(source, 2))
    net.save(str(tmp_path / "net.caffemodel"))
    done = run(
        "caffe", "test", f"-model={tmp_path}/net.prototxt", f"-weights={tmp_path}/net.caffemodel", "-iterations=1"
    )
    assert "Batch 0, label = 1" in done.stderr


PICTURES = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 16 dim: 9 dim: 9 } } }\n'
FIRST = """layer { name: "first" type: "Convolution" bottom: "data" top: "x"
  convolution_param { num_output: 16 kernel_size: 3 weight_filler { type: "xavier" } } }
"""
LAST = 'layer { name: "last" type: "Softmax" bottom: "y" top: "prob" }\n'
MIDDLES = {
    "blocks of channels": 'type: "Convolution" convolution_param { num_output: 16 kernel_size: 3 pad: 1 }',
    "few channels": 'type: "Convolution" convolution_param { num_output: 3 kernel_size: 2 stride: 2 }',
    "groups": 'type: "Convolution" convolution_param { num_output: 8 kernel_size: 3 group: 4 bias_term: false }',
    "groups of one": 'type: "Convolution" convolution_param { num_output: 16 kernel_size: 3 group: 16 }',
    "dilation": 'type: "Convolution" convolution_param { num_output: 8 kernel_size: 3 dilation: 2 }',
    "frozen": 'type: "Convolution" param { lr_mult: 0 } convolution_param { num_output: 8 kernel_size: 1 }',
    "Deconvolution": 'type: "Deconvolution" convolution_param { num_output: 8 kernel_size: 3 stride: 2 }',
    "InnerProduct": 'type: "InnerProduct" inner_product_param { num_output: 5 }',
    "maximum": 'type: "Pooling" pooling_param { kernel_size: 3 stride: 2 }',
    "average": 'type: "Pooling" pooling_param { pool: AVE global_pooling: true }',
    "LRN": 'type: "LRN"',
    "LRN within a channel": 'type: "LRN" lrn_param { norm_region: WITHIN_CHANNEL local_size: 3 }',
    "ReLU": 'type: "ReLU"',
    "BatchNorm": 'type: "BatchNorm"',
    "saved statistics": 'type: "BatchNorm" batch_norm_param { use_global_stats: true }',
    "Scale": 'type: "Scale" scale_param { bias_term: true }',
    "a sum": 'type: "Eltwise" bottom: "x"',
}
IN_PLACE = ("LRN", "ReLU", "BatchNorm", "saved statistics", "Scale")


def timed_layers(model, engine):
    """Return the layers whose passes `caffe time` has timed, both ways, in a net that nobody needs a gradient of."""
    environment = {**os.environ, "MINDPICS_ENGINE": engine}
    done = run("caffe", "time", f"-model={model}", "-iterations=2", env=environment)
    assert "*** Benchmark ends ***" in done.stderr
    return re.findall(r"\] +(\S+)\t(forward|backward):", done.stderr)


def test_time_goes_backward_through_each_layer_of_a_deploy_net(tmp_path):
    """`caffe time` calls Backward of every layer, whether anything needs it or not."""
    model, layers = tmp_path / "deploy.prototxt", []
    for number, middle in enumerate(MIDDLES.values()):
        layers.append(f'layer {{ name: "{number}" bottom: "x" top: "y{number}" {middle} }}\n')
        layers.append(
            LAST.replace("last", f"last{number}").replace('"y"', f'"y{number}"').replace("prob", f"p{number}")
        )
    for number, middle in enumerate(map(MIDDLES.get, IN_PLACE)):
        layers.append(FIRST.replace("first", f"c{number}").replace('"x"', f'"z{number}"'))
        layers.append(f'layer {{ name: "in{number}" bottom: "z{number}" top: "z{number}" {middle} }}\n')
    model.write_text(PICTURES + FIRST + "".join(layers))
    found = timed_layers(model, "fast")
    assert {("0", "backward"), ("in4", "backward")} <= set(found)
    assert found == timed_layers(model, "caffe")


@pytest.mark.parametrize("name", ["bvlc_alexnet", "bvlc_googlenet", "bvlc_reference_caffenet"])
def test_time_runs_a_published_deploy_net(tmp_path, name):
    published = (Path(caffe.__file__).parent / f"models/{name}/deploy.prototxt").read_text()
    (tmp_path / "deploy.prototxt").write_text(published.replace("dim: 10 ", "dim: 1 "))
    layers = {layer for layer, _ in timed_layers(tmp_path / "deploy.prototxt", "fast")}
    assert {"conv1", "prob"} <= layers or {"conv1/7x7_s2", "prob"} <= layers
