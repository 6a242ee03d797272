"""Files without end, of gigabytes, or that unpack to gigabytes: one line from each reader, in little memory."""

import os

import lmdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from caffe.proto import caffe_pb2
from readers import READERS

from mindpics.caffe_files import weights
from mindpics.caffe_files.blobs import read_mean, read_weights
from mindpics.caffe_files.lmdbs import mean_image
from mindpics.caffe_files.prototxt import read_prototxt
from mindpics.files.arrays import load_npz
from mindpics.files.bounded import digest, read_text
from mindpics.files.json_files import read_document, read_json
from mindpics.inference.feature_net import load_mean
from mindpics.inference.open_net import open_net
from mindpics.jobs.fork_first import NO_MEMORY, in_fork
from mindpics.layers import parse_param_str
from mindpics.posts.candidates import find_candidates
from mindpics.posts.crawl_files import open_crawl
from mindpics.posts.picture_files import read_picture
from mindpics.training.solver_files import read_solver
from pinterest_id.pins_from_folders import read_pins_folder
from pinterest_id.pins_from_tables import read_pins_csv

MEMORY = 3 << 30  # Arrow reserves one for itself
SECONDS = 60


def linted(path):
    found, findings = read_prototxt(path)
    if found is None:
        raise ValueError(str(findings[0]))


# name -> (file name, reader); those of test_damaged_files read the file that they are given, or its neighbour
MORE = {
    "lint": ("net.prototxt", linted),
    "net to open": ("deploy.prototxt", open_net),
    "solver": ("solver.prototxt", read_solver),
    "weights' SHA-1": ("w.caffemodel", weights.describe),
    "npy mean": ("mean.npy", lambda path: load_mean([path], 8)),
    "crawl": ("posts.jsonl", find_candidates),
    "parquet": ("posts.parquet", open_crawl),
    "table of pins": ("pins.csv", read_pins_csv),
    "pin's text": ("pin.txt", lambda path: read_pins_folder(path.parent.parent)),
    "run.json": ("run.json", read_document),
    "picture": ("a.png", read_picture),
    "hash": ("any", lambda path: digest(path, "sha256")),
}
ALL = {name: (file, read) for name, (file, _, read) in READERS.items()} | MORE


def device(path):
    path.symlink_to("/dev/zero")


def sparse(path):
    with open(path, "wb") as stream:
        stream.truncate(10 << 30)


SHAPES = {"device": device, "pipe": os.mkfifo, "folder": os.mkdir, "10 GB": sparse}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ALL)
def test_what_has_no_end_is_one_line(tmp_path, name, shape):
    file, read = ALL[name]
    folder = tmp_path / "user"
    folder.mkdir()
    if name in READERS:
        READERS[name][1](folder)  # its neighbours
    (folder / file).unlink(missing_ok=True)
    SHAPES[shape](folder / file)
    if name == "pin's text" and shape in ("device", "pipe", "folder"):
        return  # no file of the user's: passed over
    if name == "hash" and shape == "10 GB":
        return  # hashed in pieces, and a large file may be
    with pytest.raises(ValueError) as error:
        in_fork(lambda: read(folder / file) and None, timeout=SECONDS, memory=MEMORY)
    said = str(error.value)
    assert "\n" not in said and len(said) < 600
    assert said != NO_MEMORY and not said.startswith("took more than")


def test_a_text_that_is_read_has_a_limit(tmp_path):
    (tmp_path / "text").write_text("abc")
    assert read_text(tmp_path / "text", "a text", 3) == "abc"
    with pytest.raises(ValueError, match="text: found 3 bytes; wanted a text, at most 2 bytes"):
        read_text(tmp_path / "text", "a text", 2)
    with pytest.raises(ValueError, match="self/maps: found more bytes; wanted a map, at most 9 bytes"):
        read_text("/proc/self/maps", "a map", 9)  # whose size is said to be 0
    (tmp_path / "deep").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="deep: "):
        read_json(tmp_path / "deep")


def bomb(path, rows, text, **columns):
    """Write a Parquet that holds one text in every row."""
    repeated = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), [text])
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32))
    table = {
        "id": [f"p{i}" for i in range(rows)],
        "image": ["a.png"] * rows,
        "author": ["a"] * rows,
        "text": repeated,
        "tags": pa.ListArray.from_arrays(offsets, repeated),
        "source": ["s"] * rows,
        "license": ["l"] * rows,
    }
    pyarrow.parquet.write_table(pa.table(table | columns), path, compression="zstd")
    return path


def test_a_parquet_that_would_unpack_to_gigabytes_is_read_in_little_memory(tmp_path):
    path = bomb(tmp_path / "posts.parquet", 1000, "x" * 1_000_000)
    assert path.stat().st_size < 64 << 10  # and 2 GB unpacked

    def look():
        crawl = open_crawl(path)
        assert sum(len(table) for _, table in crawl.read(0).tables) == 1000
        assert [len(post["text"]) for post in crawl.posts([999, 3])] == [1_000_000] * 2
        return pa.default_memory_pool().max_memory()

    assert in_fork(look, timeout=300, memory=MEMORY) < 256 << 20
    assert find_candidates(bomb(path, 20, "x" * 1_000_000), workers=1).n_read == 20


def test_the_pieces_of_a_parquet_are_its_rows_in_order(tmp_path):
    rows = 10_000
    path = bomb(tmp_path / "posts.parquet", rows, "y" * 10_000)
    first, ids = 0, []
    for start, table in open_crawl(path).read(0).tables:
        assert start == first and table.nbytes < 40 << 20
        ids += table["id"].to_pylist()
        first += len(table)
    assert ids == [f"p{i}" for i in range(rows)]


def test_a_post_of_parquet_is_no_longer_than_a_line_of_json(tmp_path):
    path = bomb(tmp_path / "posts.parquet", 3, "z" * (40 << 20))
    with pytest.raises(ValueError, match="posts.parquet, row 1: found .* bytes; wanted at most 67108864"):
        find_candidates(path, workers=1)


def test_an_npz_that_would_unpack_to_gigabytes_is_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "made.npz", a=np.zeros(2 << 20, np.uint8))
    assert load_npz(tmp_path / "made.npz", ["a"])[0].nbytes == 2 << 20
    monkeypatch.setattr("mindpics.files.arrays.ARRAYS", 1 << 20)
    assert (tmp_path / "made.npz").stat().st_size < 1 << 14
    with pytest.raises(ValueError, match="made.npz: found .*bytes unpacked, more than .*wanted a file with a"):
        load_npz(tmp_path / "made.npz", ["a"], "a file")


def test_a_child_has_a_limit_of_memory():
    with pytest.raises(ValueError, match=NO_MEMORY):
        in_fork(lambda: len(bytes(3 << 30)), memory=1 << 30)
    assert in_fork(lambda: len(bytes(1 << 20)), memory=1 << 30) == 1 << 20


@pytest.mark.parametrize(
    "change",
    [
        lambda blob: blob.shape.dim.extend([1 << 40]),
        lambda blob: blob.shape.dim.extend([0, 1 << 40, 1 << 40]),
        lambda blob: blob.shape.dim.extend([-1, -6]),
        lambda blob: blob.shape.dim.extend([1] * 40),
        lambda blob: setattr(blob, "num", -3),
        lambda blob: blob.shape.dim.extend([7]),
    ],
    ids=["huge", "huge beside 0", "negative", "40 axes", "old negative", "another size"],
)
def test_a_blob_of_a_bad_shape_is_named(tmp_path, change):
    net = caffe_pb2.NetParameter()
    net.layer.add(name="whole", blobs=[caffe_pb2.BlobProto(data=[1.0], num=1, channels=1, height=1, width=1)])
    net.layer.add(name="fc\x1b6", blobs=[caffe_pb2.BlobProto(data=[1.0, 2.0])])
    change(net.layer[1].blobs[0])
    (tmp_path / "w.caffemodel").write_bytes(net.SerializeToString())
    with pytest.raises(ValueError, match=r"w.caffemodel: layer 'fc\\x1b6', blob 0: .*shape"):
        read_weights(tmp_path / "w.caffemodel")
    mean = caffe_pb2.BlobProto(data=[1.0, 2.0])
    change(mean)
    (tmp_path / "mean.binaryproto").write_bytes(mean.SerializeToString())
    with pytest.raises(ValueError, match="mean.binaryproto: .*shape"):
        read_mean(tmp_path / "mean.binaryproto")


@pytest.mark.parametrize(
    ("datum", "message"),
    [
        (caffe_pb2.Datum(channels=3, height=2, width=2, data=b"x"), "found a Datum of 1 bytes"),
        (caffe_pb2.Datum(channels=-1, height=-1, width=12, data=b"x" * 12), "found a Datum of 12 bytes"),
        (caffe_pb2.Datum(encoded=True, data=b"<html>"), "found an encoded Datum of 6 bytes that does not decode"),
        (caffe_pb2.Datum(channels=3, height=1, width=2, data=b"x" * 6), r"found \(3, 1, 2\); wanted \(3, 2, 2\)"),
        (None, "found what cannot be read .*; wanted a Datum"),
    ],
    ids=["short", "negative", "HTML", "another size", "no Datum"],
)
def test_a_bad_datum_under_the_mean_is_named_by_its_key(tmp_path, datum, message):
    good = caffe_pb2.Datum(channels=3, height=2, width=2, data=b"x" * 12)
    with lmdb.open(str(tmp_path / "db"), map_size=1 << 20) as environment, environment.begin(write=True) as put:
        put.put(b"0_good", good.SerializeToString())
        put.put(b"1_bad", b"\xff\xff" if datum is None else datum.SerializeToString())
    with pytest.raises(ValueError, match=f"db, key '1_bad': {message}"):
        mean_image(tmp_path / "db")


def test_an_empty_lmdb_has_no_mean(tmp_path):
    with lmdb.open(str(tmp_path / "db"), map_size=1 << 20):
        pass
    with pytest.raises(ValueError, match="db: found an empty LMDB"):
        mean_image(tmp_path / "db")


def test_a_param_str_a_thousand_levels_deep_is_one_line():
    with pytest.raises(ValueError, match="param_str: found .*; wanted JSON") as error:
        parse_param_str("[" * 100_000)
    assert len(str(error.value)) < 400
