"""Feature files: what is written is read, and what does not go together is named."""

import json

import numpy as np
import pytest

from mindpics.files.feature_files import read_features, write_features


@pytest.fixture
def name(tmp_path):
    np.save(tmp_path / "made.npy", np.arange(6, dtype=np.float32).reshape(3, 2))
    write_features(tmp_path / "fc7", tmp_path / "made.npy", ["a", "b", "c"], [("d", "empty file")], {"key": "k"})
    return tmp_path / "fc7"


def test_what_is_written_is_read(name):
    array, ids = read_features(name)
    assert ids == ["a", "b", "c"] and array.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert json.loads(name.with_name("fc7.rejected.jsonl").read_text()) == {"id": "d", "reason": "empty file"}
    assert json.loads(name.with_name("fc7.json").read_text()) == {"key": "k"}
    assert not name.with_name("made.npy").exists()


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ("a\nb\n", "fc7.npy: found 2 ids for 3 rows"),
        ("a\nb\na\n", "fc7.ids.txt: found id 'a' twice"),
        (None, "no such file"),
    ],
)
def test_ids_that_do_not_go_with_the_rows_are_named(name, ids, message):
    path = name.with_name("fc7.ids.txt")
    path.unlink() if ids is None else path.write_text(ids)
    with pytest.raises(ValueError, match=message):
        read_features(name)


def test_a_byte_order_mark_is_no_part_of_the_first_id(name):
    name.with_name("fc7.ids.txt").write_text("a\r\nb\r\nc\r\n", encoding="utf-8-sig")  # as Windows' Notepad writes
    assert read_features(name)[1] == ["a", "b", "c"]


def test_objects_and_whole_numbers_are_no_features(name):
    np.save(name.with_name("fc7.npy"), np.arange(6).reshape(3, 2))
    with pytest.raises(ValueError, match=r"int64 \(3, 2\); wanted float \[N, D\]"):
        read_features(name)
