"""Readers of files from anyone, each with a small file that it takes."""

import json

import numpy as np
from caffe.proto import caffe_pb2
from scipy.io import savemat

from mindpics.caffe_files import blobs as blob_files
from mindpics.caffe_files.lmdbs import read_mean
from mindpics.caffe_files.messages import read_message
from mindpics.files.arrays import load_npy
from mindpics.inference.features import read_items
from mindpics.nets.rows import counts_of
from mindpics.nets.whole import Data, train_val
from mindpics.results import metrics
from pinterest_id import linear_models
from pinterest_id import scores as score_files
from pinterest_id.feature_files import FeatureFile
from pinterest_id.matrix_files import load_matrix
from pinterest_id.pins_from_tables import read_pins_json
from pinterest_id.records import read_pins
from pinterest_id.splits import read_split

RNG = np.random.default_rng(0)


def caffemodel():
    net = caffe_pb2.NetParameter(name="net")
    for name in ("conv1", "fc6"):
        layer = net.layer.add(name=name, type="InnerProduct")
        for dims in ((4, 6), (4,)):
            layer.blobs.add(shape=caffe_pb2.BlobShape(dim=dims), data=RNG.normal(size=int(np.prod(dims))))
    return net.SerializeToString()


def solverstate():
    state = caffe_pb2.SolverState(iter=7, learned_net="net_iter_7.caffemodel", current_step=1)
    state.history.add(shape=caffe_pb2.BlobShape(dim=[4, 6]), data=RNG.normal(size=24))
    return state.SerializeToString()


def mean():
    return caffe_pb2.BlobProto(num=1, channels=3, height=4, width=4, data=RNG.normal(size=48)).SerializeToString()


def npz(folder, **arrays):
    np.savez(folder / "made.npz", **arrays)
    return (folder / "made.npz").read_bytes()


def lines(*objects):
    return "".join(json.dumps(item) + "\n" for item in objects).encode()


def scores(folder):
    return npz(folder, ids=np.array(["a", "b"]), labels=np.array([1, 2]), scores=np.zeros((2, 5, 2), np.float32))


def pin_scores(folder):
    return npz(
        folder,
        ids=np.array(["a", "b"]),
        codes=np.zeros(2, np.int32),
        users=np.array(["u"]),
        logs=np.zeros((2, 1), np.float32),
    )


def model(folder):
    (folder / "model.json").write_text('{"kind": "one-vs-rest"}')
    weights = np.zeros((2, 4), np.float32)
    return npz(folder, classes=np.array(["u", "v"]), coef=weights[:, 1:], intercept=weights[:, 0])


def features(folder):
    (folder / "f.ids.txt").write_text("a\nb\n")
    np.save(folder / "f.npy", np.ones((2, 3), np.float32))
    return (folder / "f.npy").read_bytes()


def mat(folder):
    savemat(folder / "made.mat", {"G": np.ones((2, 3), np.float32)}, do_compression=True)
    return (folder / "made.mat").read_bytes()


def prototxt(_folder):
    data = Data("train_lmdb", "test_lmdb", "mean.binaryproto", 4, 4, 32)
    return str(train_val("alexnet", data, width=0.0625)).encode()


PINS = lines(
    {"id": "a", "user": "u", "board": None, "image": "a.jpg", "text": "a cake"},
    {"id": "b", "user": "v", "board": "food", "image": "b.jpg", "text": "käse"},
)

# name -> (file name, its bytes, its reader)
READERS = {
    "caffemodel": ("net.caffemodel", lambda _: caffemodel(), blob_files.read_weights),
    "solverstate": ("net.solverstate", lambda _: solverstate(), blob_files.read_state),
    "mean": ("mean.binaryproto", lambda _: mean(), read_mean),
    "prototxt": ("net.prototxt", prototxt, lambda path: read_message(path, caffe_pb2.NetParameter())),
    "scores": ("scores.npz", scores, metrics.load_scores),
    "pin scores": ("cf.npz", pin_scores, score_files.load_scores),
    "model": ("model.npz", model, lambda path: linear_models.load_model(path.with_suffix(""))),
    "features": ("f.npy", features, lambda path: FeatureFile(path).matrix(["a", "b"])),
    "ids of features": (
        "f.ids.txt",
        lambda folder: features(folder) and b"a\nb\n",
        lambda path: FeatureFile(path.parent / "f.npy"),
    ),
    "npy": ("f.npy", features, load_npy),
    "mat": ("f.mat", mat, load_matrix),
    "csv of numbers": ("f.csv", lambda _: b"1,2.5,3\n4,5,-6\n", load_matrix),
    "svmlight": ("f.svmlight", lambda _: b"1 1:2 3:0.5\n2 2:1\n", load_matrix),
    "pins": ("pins.jsonl", lambda _: PINS, read_pins),
    "pins in JSON": ("crawl.json", lambda _: b"[" + PINS.strip().replace(b"\n", b",") + b"]", read_pins_json),
    "split": ("split.csv", lambda _: b"id,user,split\na,u,train\nb,u,test\n", read_split),
    "mindpics.csv": ("mindpics.csv", lambda _: b"id,split,trait\na,train,O\nb,test,C\n", counts_of),
    "list of pictures": ("list.csv", lambda _: b"id,image\na,a.jpg\nb,b.jpg\n", read_items),
}
