"""The nets run without Caffe: OpenCV opens deploy prototxt and caffemodel and gives Caffe's own scores."""

from pathlib import Path

import caffe
import cv2
import numpy as np
import pytest
from random_weights import save_random_weights
from small_run import BEST

from mindpics.caffe_files.datum import to_pixels
from mindpics.caffe_files.lmdbs import read_lmdb, read_mean
from mindpics.caffe_files.messages import write_message
from mindpics.inference.picture_net import centre_crop
from mindpics.nets.solvers import Schedule, solver
from mindpics.nets.whole import Data, deploy, train_val
from mindpics.training.train import solve
from mindpics.traits import TRAITS

PROTOTXT = Path(__file__).resolve().parents[2] / "prototxt"
OUTPUTS = [f"prob_{trait}" for trait in TRAITS]


def caffes_scores(prototxt, caffemodel, pictures):
    net = caffe.Net(str(prototxt), caffe.TEST)
    net.copy_from(str(caffemodel))
    net.blobs["data"].reshape(*pictures.shape)
    net.blobs["data"].data[...] = pictures
    return {name: blob.copy() for name, blob in net.forward().items()}


def opencvs_scores(prototxt, caffemodel, pictures, names):
    """Scores by OpenCV; the caller has subtracted the mean and cut the crop, blobFromImages lays it out."""
    net = cv2.dnn.readNetFromCaffe(str(prototxt), str(caffemodel))
    net.setInput(cv2.dnn.blobFromImages(list(pictures.transpose(0, 2, 3, 1))))
    return dict(zip(names, net.forward(names), strict=True))


def assert_equal_scores(prototxt, caffemodel, pictures):
    theirs = caffes_scores(prototxt, caffemodel, pictures)
    ours = opencvs_scores(prototxt, caffemodel, pictures, OUTPUTS)
    assert sorted(theirs) == sorted(OUTPUTS)
    for name in OUTPUTS:
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-4, rtol=0)
        assert np.ptp(theirs[name][:, 1]) > 0.01, f"{name} says the same of every picture: nothing was compared"


def crops(small_run, crop):
    mindpics = small_run / "mindpics"
    records = [to_pixels(datum) for _, datum in read_lmdb(mindpics / "test_lmdb")]
    return centre_crop(np.stack(records), read_mean(mindpics / "mean.binaryproto"), crop)


def test_a_trained_resnet50(small_run):
    prototxt = small_run / "mindpics/nets/prototxt" / BEST / "deploy.prototxt"
    assert_equal_scores(prototxt, small_run / "mindpics" / BEST / BEST / "final.caffemodel", crops(small_run, 32))


def test_a_trained_alexnet(small_run, tmp_path):
    paths = [str(small_run / "mindpics" / name) for name in ("train_lmdb", "test_lmdb", "mean.binaryproto")]
    size = {"width": 0.0625, "gain": 6.0}  # wider fillers: at the published ones so narrow a net hardly starts
    write_message(
        train_val("alexnet", Data(*paths, 20, 20, 67), normalization="VALID", **size), tmp_path / "train_val.prototxt"
    )
    write_message(deploy("alexnet", crop=67, **size), tmp_path / "deploy.prototxt")
    message = solver(
        str(tmp_path / "train_val.prototxt"),
        Schedule(5, 4, 0.01),
        train=160,
        batch=20,
        test=40,
        test_batch=20,
        prefix="",
        seed=1,
    )
    caffemodel = solve(message, tmp_path / "run", progress=False).caffemodel
    assert_equal_scores(tmp_path / "deploy.prototxt", caffemodel, crops(small_run, 67))


@pytest.mark.parametrize(("name", "gain"), [("alexnet_all-in-one_finetune", 10), ("resnet50_all-in-one_finetune", 1)])
def test_the_committed_nets_at_the_papers_size(tmp_path, name, gain):
    prototxt, caffemodel = PROTOTXT / name / "deploy.prototxt", tmp_path / "net.caffemodel"
    pictures = save_random_weights(prototxt, caffemodel, gain)
    assert_equal_scores(prototxt, caffemodel, pictures)
