"""LMDBs and means read: what is none is named."""

import lmdb
import pytest
from caffe.proto import caffe_pb2

from mindpics.caffe_files import lmdbs as lmdb_io
from mindpics.caffe_files.lmdb_check import check_records


def test_odd_records_are_named(tmp_path):
    with pytest.raises(ValueError, match="found no data.mdb; wanted an LMDB"):
        list(lmdb_io.read_lmdb(tmp_path))
    with lmdb.open(str(tmp_path / "db"), map_size=1 << 20) as environment, environment.begin(write=True) as put:
        for i, side in enumerate((2, 3)):
            datum = caffe_pb2.Datum(channels=3, height=side, width=2, data=bytes(3 * side * 2))
            put.put(f"{i:08d}_x".encode(), datum.SerializeToString())
    with pytest.raises(ValueError, match=r"key '00000001_x': found \(3, 3, 2\); wanted \(3, 2, 2\)"):
        lmdb_io.mean_image(tmp_path / "db")


def test_a_mean_that_is_none_is_named(tmp_path):
    path = tmp_path / "mean.binaryproto"
    with pytest.raises(ValueError, match="mean.binaryproto: found no such file; wanted a mean"):
        lmdb_io.read_mean(path)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="mean.binaryproto: found what cannot be read .*; wanted a mean file"):
        lmdb_io.read_mean(path)
    for blob, found in (
        (caffe_pb2.BlobProto(), r"found 0 values; wanted as many as the shape \(\)"),
        (
            caffe_pb2.BlobProto(num=1, channels=3, height=2, width=2, data=[0] * 11),
            r"found 11 values; wanted as many as the shape \(1, 3, 2",
        ),
        (caffe_pb2.BlobProto(shape=caffe_pb2.BlobShape(dim=[3, 2, 2]), data=[0] * 12), r"shape \(3, 2, 2\)"),
    ):
        path.write_bytes(blob.SerializeToString())
        with pytest.raises(ValueError, match=found):
            lmdb_io.read_mean(path)


def test_an_lmdb_that_is_none_is_named(tmp_path):
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "data.mdb").write_bytes(b"torn")
    with pytest.raises(ValueError, match="torn: found what cannot be read .*; wanted an LMDB"):
        check_records(tmp_path / "torn")
    lmdb.open(str(tmp_path / "db"), map_size=1 << 20).close()
    with pytest.raises(ValueError, match="db: .*found an empty LMDB"):
        check_records(tmp_path / "db")
    with lmdb.open(str(tmp_path / "db"), map_size=1 << 20) as environment, environment.begin(write=True) as put:
        put.put(b"00000000_x", b"\xff\xff\xff")
    with pytest.raises(ValueError, match="db, key '00000000_x': found what cannot be read .*; wanted a Datum"):
        list(lmdb_io.read_lmdb(tmp_path / "db"))
