"""tools/caffe/fast/data_layer.cpp: several threads feed what one did, in the same order, with the same draws."""

import os
import subprocess
import sys

import caffe
import cv2
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from caffe_nets import data_layer, make_net, write_lmdb


@pytest.fixture(scope="module")
def databases(tmp_path_factory):
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (37, 6, 7, 3), dtype=np.uint8)
    pictures = [cv2.resize(one, (35, 30)).transpose(2, 0, 1) for one in coarse]
    folder = tmp_path_factory.mktemp("databases")
    mean = caffe_pb2.BlobProto(num=1, channels=3, height=30, width=35, data=rng.uniform(0, 255, 3 * 30 * 35))
    (folder / "mean.binaryproto").write_bytes(mean.SerializeToString())
    for encoded in (False, True):
        write_lmdb(folder / f"{encoded}", pictures, np.arange(37) % 5, encoded)
    write_lmdb(folder / "grey", [one[:1] for one in pictures], np.arange(37) % 5)
    write_lmdb(folder / "alpha", [np.concatenate([one, one[:1]]) for one in pictures], np.arange(37) % 5, encoded=True)
    return folder


def feed(tmp_path, monkeypatch, engine, text, phase, batches=9):
    monkeypatch.setenv("MINDPICS_ENGINE", engine)
    caffe.set_random_seed(1701)
    net = make_net(tmp_path, text, phase)
    assert net.layers[0].engine == engine
    return [{name: top.copy() for name, top in net.forward().items()} for _ in range(batches)]


TRANSFORMS = {
    "crop and mirror": {"crop_size": 24, "mirror": True, "mean_file": "mean.binaryproto"},
    "crop": {"crop_size": 24, "mean_value": [104, 117, 123], "scale": 0.01},
    "mirror": {"mirror": True, "mean_value": [100]},
    "whole": {"scale": 0.5},
}


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("source", ["False", "True", "grey", "alpha"], ids=["raw", "encoded", "grey", "alpha"])
@pytest.mark.parametrize("phase", [caffe.TRAIN, caffe.TEST], ids=["train", "test"])
def test_it_feeds_what_stock_feeds(tmp_path, monkeypatch, databases, transform, source, phase):
    """Nine batches of 8 go round 37 pictures twice: each value, label and place is the same, to the bit."""
    fields = dict(TRANSFORMS[transform])
    if source in ("grey", "alpha"):
        fields = {"crop_size": 24, "mirror": True, "mean_value": [9]}
    if "mean_file" in fields:
        fields["mean_file"] = str(databases / fields["mean_file"])
    text = data_layer(databases / source, batch_size=8, **fields)
    wanted = feed(tmp_path, monkeypatch, "caffe", text, phase)
    found = feed(tmp_path, monkeypatch, "fast", text, phase)
    for batch, other in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(other["label"], batch["label"])
        np.testing.assert_array_equal(other["data"], batch["data"])


def test_the_number_of_threads_changes_nothing(tmp_path, databases):
    text = data_layer(databases / "True", batch_size=8, crop_size=24, mirror=True)
    (tmp_path / "net.prototxt").write_text(text)
    script = f"""
import caffe, hashlib
caffe.set_random_seed(3)
net = caffe.Net({str(tmp_path / "net.prototxt")!r}, caffe.TRAIN)
print(hashlib.sha256(b"".join(net.forward()["data"].tobytes() for _ in range(6))).hexdigest())
"""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            check=True,
            capture_output=True,
            timeout=60,
            env=os.environ | {"OMP_NUM_THREADS": threads},
        ).stdout
        for threads in "13"
    }
    assert len(outputs) == 1


@pytest.mark.parametrize("engine", ["caffe", "fast"])
def test_solvers_of_one_net_take_turns_with_the_records(tmp_path, monkeypatch, engine):
    """Of 3, the second has every third record of 7 from the second on; a test net has all. (On GPUs, --gpu=0,1.)"""
    write_lmdb(tmp_path / "lmdb", [np.zeros((3, 8, 8), np.uint8)] * 7, range(7))
    text = data_layer(tmp_path / "lmdb", batch_size=7)
    try:
        caffe.set_solver_count(3)
        caffe.set_solver_rank(1)
        train = feed(tmp_path, monkeypatch, engine, text, caffe.TRAIN, batches=2)
        test = feed(tmp_path, monkeypatch, engine, text, caffe.TEST, batches=1)
    finally:
        caffe.set_solver_count(1)
        caffe.set_solver_rank(0)
    assert [batch["label"].astype(int).tolist() for batch in train] == [[1, 4, 0, 3, 6, 2, 5]] * 2
    assert test[0]["label"].tolist() == list(range(7))
