"""A trait's records copied out of an LMDB of all traits."""

import json

import cv2
import lmdb
import numpy as np
import pytest

from mindpics.caffe_files.lmdb_copy import copy_lmdb
from mindpics.caffe_files.lmdbs import count_lmdb, read_lmdb
from mindpics.datasets.picture_lmdb import write_lmdb


@pytest.fixture
def whole(tmp_path):
    """Ten pictures, two a trait, of which one (id p4, label 4) cannot be read."""
    rng = np.random.default_rng(0)
    rows = []
    for label in range(10):
        path = tmp_path / f"p{label}.png"
        cv2.imwrite(str(path), rng.integers(0, 255, (9, 9, 3), np.uint8))
        rows.append((f"p{label}", path, label))
    rows[4][1].write_bytes(b"no picture")
    write_lmdb(rows, tmp_path / "train_lmdb", 8, workers=1)
    return tmp_path / "train_lmdb"


def test_the_records_are_the_same_in_the_same_order_under_new_keys(whole, tmp_path):
    assert copy_lmdb(whole, tmp_path / "train_O_lmdb", [0, 1]) == (2, 0)
    kept = [(key, datum.SerializeToString()) for key, datum in read_lmdb(tmp_path / "train_O_lmdb")]
    of_trait = [(key, datum) for key, datum in read_lmdb(whole) if datum.label in (0, 1)]
    assert [value for _, value in kept] == [datum.SerializeToString() for _, datum in of_trait]
    assert [key for key, _ in kept] == [f"{i:08d}_{key.partition('_')[2]}" for i, (key, _) in enumerate(of_trait)]


def test_rejected_pictures_are_divided_too(whole, tmp_path):
    assert copy_lmdb(whole, tmp_path / "train_E_lmdb", [4, 5]) == (1, 1)
    (note,) = map(json.loads, (tmp_path / "train_E_lmdb.rejected.jsonl").read_text().splitlines())
    assert note["id"] == "p4" and note["label"] == 4


def test_a_killed_copy_goes_on(whole, tmp_path, monkeypatch):
    monkeypatch.setattr("mindpics.caffe_files.lmdb_writer.BATCH", 1)

    def stopped(path):
        for i, record in enumerate(read_lmdb(path)):
            if i == 6:
                raise KeyboardInterrupt
            yield record

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("mindpics.caffe_files.lmdb_copy.read_lmdb", stopped)
        copy_lmdb(whole, tmp_path / "some_lmdb", range(9))
    with lmdb.open(str(tmp_path / "some_lmdb.partial"), readonly=True, lock=False) as left:
        assert left.stat()["entries"] > 0
    assert copy_lmdb(whole, tmp_path / "some_lmdb", range(9)) == (8, 1)
    assert len(list(read_lmdb(tmp_path / "some_lmdb"))) == 8


def test_an_lmdb_is_not_copied_onto_itself(whole):
    before = count_lmdb(whole)
    with pytest.raises(ValueError, match="found the LMDB that is copied; wanted another name"):
        copy_lmdb(whole, whole, [0], force=True)
    assert count_lmdb(whole) == before


def test_none_of_the_labels_and_a_name_that_is_taken_are_said(whole, tmp_path):
    with pytest.raises(ValueError, match=r"train_lmdb: found none of the labels \[77\]"):
        copy_lmdb(whole, tmp_path / "x_lmdb", [77])
    copy_lmdb(whole, tmp_path / "y_lmdb", [0])
    with pytest.raises(ValueError, match="y_lmdb: found a file or folder of that name"):
        copy_lmdb(whole, tmp_path / "y_lmdb", [0])
