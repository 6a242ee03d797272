"""Damaged files: each reader returns or raises a ValueError that names the file; the process never ends.

A few hundred of each here, ten thousand of each with --long.
"""

import pickle
import zlib

import caffe
import lmdb
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from damage import damaged
from readers import READERS, caffemodel, prototxt, solverstate

from mindpics.caffe_files.lmdb_check import check_records
from mindpics.caffe_files.lmdbs import read_lmdb
from mindpics.caffe_files.messages import read_message, write_message
from mindpics.caffe_files.prototxt import read_prototxt
from mindpics.caffe_files.snapshots import Snapshots
from mindpics.files.arrays import load_npy
from mindpics.inference import open_net
from mindpics.jobs.fork_first import in_fork
from mindpics.nets.whole import deploy

RNG = np.random.default_rng(0)
COUNT = {"short": 300, "long": 10_000}
LENGTHS = ["short", pytest.param("long", marks=pytest.mark.long)]


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
    assert list(check_records(tmp_path / "db").shapes) == [(3, 12, 12)]
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
    with pytest.raises(ValueError, match="objects.npy: found what cannot be read .*; wanted an array in .npy form"):
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
    assert len(passed_over) == 1 and "found iteration 7; wanted 8" in passed_over[0]
    assert caffe_pb2.SolverState.FromString(state.read_bytes()).learned_net == str(model)  # Caffe opens this path


def test_caffe_itself_would_have_ended_the_process(tmp_path):
    """Why any of this is needed: the same file, given to Caffe's own reader in a child."""
    path = tmp_path / "net.prototxt"
    path.write_text(
        'layer { name: "relu" type: "ReLU" bottom: "data" top: "relu" }'
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 6 } } }'
    )
    with pytest.raises(ValueError, match="Unknown bottom blob"):
        in_fork(lambda: caffe.Net(str(path), caffe.TEST) and None)
    with pytest.raises(ValueError, match=r"net.prototxt: found what Caffe refuses ..*Unknown bottom blob"):
        open_net.open_net(path)
