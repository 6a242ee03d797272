"""Caffe's own commands, installed beside the environment's python."""

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
