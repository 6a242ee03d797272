"""Damaged files: each reader returns or raises a ValueError that names the file; the process never ends.

A few hundred of each here, ten thousand of each with --long.
"""

import json
import pickle
import zlib

import caffe
import lmdb
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from damage import damaged
from scipy.io import savemat

from mindpics.caffe_files import blobs as blob_files
from mindpics.caffe_files.lmdb_check import check_records
from mindpics.caffe_files.lmdbs import read_lmdb, read_mean
from mindpics.caffe_files.messages import read_message, write_message
from mindpics.caffe_files.prototxt import read_prototxt
from mindpics.caffe_files.snapshots import Snapshots
from mindpics.files.arrays import load_npy
from mindpics.inference import open_net
from mindpics.inference.features import read_items
from mindpics.jobs.fork_first import apart
from mindpics.nets.rows import counts_of
from mindpics.nets.whole import Data, deploy, train_val
from mindpics.results import metrics
from pinterest_id import linear_models as models
from pinterest_id import scores as score_files
from pinterest_id.feature_files import FeatureFile
from pinterest_id.matrix_files import load_matrix
from pinterest_id.pins_from_tables import read_pins_json
from pinterest_id.records import read_pins
from pinterest_id.splits import read_split

RNG = np.random.default_rng(0)
COUNT = {"short": 300, "long": 10_000}
LENGTHS = ["short", pytest.param("long", marks=pytest.mark.long)]


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
    return npz(folder, ids=np.array(["a", "b"]), codes=np.zeros(2, np.int32), users=np.array(["u"]),
               logs=np.zeros((2, 1), np.float32))  # fmt: skip


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


PINS = lines({"id": "a", "user": "u", "board": None, "image": "a.jpg", "text": "a cake"},
             {"id": "b", "user": "v", "board": "food", "image": "b.jpg", "text": "käse"})  # fmt: skip

# name -> (file name, its bytes, its reader)
READERS = {
    "caffemodel": ("net.caffemodel", lambda _: caffemodel(), blob_files.read_weights),
    "solverstate": ("net.solverstate", lambda _: solverstate(), blob_files.read_state),
    "mean": ("mean.binaryproto", lambda _: mean(), read_mean),
    "prototxt": ("net.prototxt", prototxt, lambda path: read_message(path, caffe_pb2.NetParameter())),
    "scores": ("scores.npz", scores, metrics.load_scores),
    "pin scores": ("cf.npz", pin_scores, score_files.load_scores),
    "model": ("model.npz", model, lambda path: models.load_model(path.with_suffix(""))),
    "features": ("f.npy", features, lambda path: FeatureFile(path).matrix(["a", "b"])),
    "ids of features": ("f.ids.txt", lambda folder: features(folder) and b"a\nb\n",
                        lambda path: FeatureFile(path.parent / "f.npy")),
    "npy": ("f.npy", features, load_npy),
    "mat": ("f.mat", mat, load_matrix),
    "csv of numbers": ("f.csv", lambda _: b"1,2.5,3\n4,5,-6\n", load_matrix),
    "svmlight": ("f.svmlight", lambda _: b"1 1:2 3:0.5\n2 2:1\n", load_matrix),
    "pins": ("pins.jsonl", lambda _: PINS, read_pins),
    "pins in JSON": ("crawl.json", lambda _: b"[" + PINS.strip().replace(b"\n", b",") + b"]", read_pins_json),
    "split": ("split.csv", lambda _: b"id,user,split\na,u,train\nb,u,test\n", read_split),
    "mindpics.csv": ("mindpics.csv", lambda _: b"id,split,trait\na,train,O\nb,test,C\n", counts_of),
    "list of pictures": ("list.csv", lambda _: b"id,image\na,a.jpg\nb,b.jpg\n", read_items),
}  # fmt: skip


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_read_or_named(tmp_path, name, length):
    file, make, read = READERS[name]
    whole = make(tmp_path)
    path = tmp_path / file
    path.write_bytes(whole)
    read(path)  # undamaged, it is taken
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    refused = 0
    for _ in range(COUNT[length]):
        path.write_bytes(damaged(whole, rng))
        try:
            read(path)
        except ValueError as error:
            refused += 1
            assert str(path.parent) in str(error), f"{error} does not name the file"
    assert refused > COUNT[length] // 10  # the damage is worth the name


@pytest.mark.parametrize("length", LENGTHS)
def test_a_damaged_prototxt_gives_findings(tmp_path, length):
    whole = prototxt(tmp_path)
    rng = np.random.default_rng(1)
    for _ in range(COUNT[length] // 3):
        (tmp_path / "net.prototxt").write_bytes(damaged(whole, rng))
        found, findings = read_prototxt(tmp_path / "net.prototxt")
        assert found is not None or findings


@pytest.mark.parametrize("depth", [100, 100_000])
def test_a_prototxt_that_is_nested_deep_is_refused(tmp_path, depth):
    path = tmp_path / "net.prototxt"
    path.write_text("layer { " * depth + "}" * depth)
    for read in (open_net.open_net, lambda path: read_message(path, caffe_pb2.NetParameter())):
        with pytest.raises(ValueError, match="net.prototxt"):
            read(path)


@pytest.mark.parametrize("length", LENGTHS)
def test_a_damaged_net_does_not_end_the_process(tmp_path, length):
    """What still parses is built by Caffe itself, in a child."""
    path = tmp_path / "deploy.prototxt"
    write_message(deploy("alexnet", width=0.05, crop=67), path)
    whole = path.read_bytes()
    rng = np.random.default_rng(2)
    built = refused = 0
    for _ in range(20 if length == "short" else 1000):
        text = bytearray(whole)
        digits = [i for i, byte in enumerate(text) if chr(byte).isdigit()]
        for at in rng.choice(digits, 3):
            text[at] = ord(str(rng.integers(10)))
        path.write_bytes(damaged(bytes(text), rng) if rng.random() < 0.2 else bytes(text))
        try:
            open_net.open_net(path)
            built += 1
        except ValueError as error:
            refused += 1
            assert str(path) in str(error)
    assert refused


def small_lmdb(folder):
    with lmdb.open(str(folder), map_size=1 << 20) as environment, environment.begin(write=True) as transaction:
        for i in range(30):
            datum = caffe_pb2.Datum(channels=3, height=12, width=12, data=RNG.bytes(432), label=i % 10)
            transaction.put(f"{i:08d}_p{i}".encode(), datum.SerializeToString())
    return (folder / "data.mdb").read_bytes()


@pytest.mark.parametrize("length", LENGTHS)
def test_a_damaged_lmdb_does_not_end_the_process(tmp_path, length):
    """LMDB's own library trusts its pages: it is a child that ends."""
    whole = small_lmdb(tmp_path / "db")
    assert check_records(tmp_path / "db") == ((3, 12, 12), (3, 12, 12))
    rng = np.random.default_rng(3)
    refused = crashed = 0
    for _ in range(40 if length == "short" else 10_000):
        (tmp_path / "db/data.mdb").write_bytes(damaged(whole, rng))
        try:
            check_records(tmp_path / "db")
            list(read_lmdb(tmp_path / "db"))
        except ValueError as error:
            refused += 1
            crashed += "SIG" in str(error)
            assert str(tmp_path / "db") in str(error)
    assert refused
    print(f"{refused} refused, {crashed} of them ended the child")


def test_a_pickle_is_refused_with_words(tmp_path):
    """Offered as each of our files; it would make a file if it were loaded."""

    class Payload:
        def __reduce__(self):
            return open, (str(tmp_path / "loaded"), "w")

    data = pickle.dumps(Payload())
    for name, (file, make, read) in READERS.items():
        make(tmp_path)
        (tmp_path / file).write_bytes(data)
        with pytest.raises(ValueError):
            read(tmp_path / file)
        assert not (tmp_path / "loaded").exists(), name
    np.save(tmp_path / "objects.npy", np.array([Payload()]), allow_pickle=True)
    with pytest.raises(ValueError, match="objects.npy: not an array in .npy form"):
        load_npy(tmp_path / "objects.npy")
    (tmp_path / "p.npy").write_bytes(data)
    with pytest.raises(ValueError, match="a pickle, which could run anything and is never loaded"):
        load_npy(tmp_path / "p.npy")
    assert not (tmp_path / "loaded").exists()


def test_a_state_of_other_weights_or_of_another_iteration_is_no_snapshot(tmp_path):
    for name, data in (("caffemodel", caffemodel()), ("solverstate", solverstate())):
        (tmp_path / f"net_iter_8.{name}").write_bytes(data)
        (tmp_path / f"net_iter_7.{name}").write_bytes(data)
    state, model, passed_over = Snapshots(tmp_path).newest()
    assert (state.name, model.name) == ("net_iter_7.solverstate", "net_iter_7.caffemodel")
    assert len(passed_over) == 1 and "iteration 7; 8 is wanted" in passed_over[0]
    assert caffe_pb2.SolverState.FromString(state.read_bytes()).learned_net == str(model)  # Caffe opens this path


def test_caffe_itself_would_have_ended_the_process(tmp_path):
    """Why any of this is needed: the same file, given to Caffe's own reader in a child."""
    path = tmp_path / "net.prototxt"
    path.write_text(
        'layer { name: "relu" type: "ReLU" bottom: "data" top: "relu" }'
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 6 } } }'
    )
    with pytest.raises(ValueError, match="Unknown bottom blob"):
        apart(lambda: caffe.Net(str(path), caffe.TEST) and None)
    with pytest.raises(ValueError, match=r"net.prototxt: Caffe refuses this net: .*Unknown bottom blob"):
        open_net.open_net(path)
