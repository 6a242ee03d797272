"""The writer of LMDBs: the same file by however many workers, the same records whether it was stopped or not."""

import json
import os

import cv2
import lmdb
import numpy as np
import pytest

from mindpics.caffe_files import lmdb_writer
from mindpics.caffe_files.lmdb_writer import LmdbWriter
from mindpics.datasets import picture_lmdb

N = 23


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(lmdb_writer, "BATCH", 4)


def fill(writer, stop=N):
    """Give the writer items up to `stop`; every fifth is rejected."""
    for item in range(writer.done, stop):
        if item % 5 == 0:
            writer.reject({"id": f"p{item}", "reason": "fifth"})
        else:
            writer.put(f"p{item}", bytes([item]) * 9000)


def write(out, *stops, key="k"):
    """Write an LMDB, closed without warning after each of `stops` items."""
    for stop in stops:
        with LmdbWriter(out, key, 1 << 22) as writer:
            fill(writer, stop)
    with LmdbWriter(out, key, 1 << 22) as writer:
        first = writer.done
        fill(writer)
        writer.finish()
    return first, writer.rejected, records_of(out)


def records_of(path):
    with lmdb.open(str(path), readonly=True, lock=False) as environment, environment.begin() as records:
        return [(key.decode(), value) for key, value in records.cursor()]


@pytest.mark.parametrize("stops", [(3,), (12,), (12, 14), (6, 18, 22), (23,)])
def test_stopped_and_gone_on_it_holds_the_same(tmp_path, stops):
    _, rejected, whole = write(tmp_path / "whole")
    first, again, stopped = write(tmp_path / "stopped", *stops)
    assert stopped == whole and again == rejected and len(rejected) == 5
    assert first == max([0, *(stop for stop in (5, 10, 15, 20) if stop <= stops[-1])])  # what whole batches held
    assert sorted(path.name for path in (tmp_path / "whole").iterdir()) == ["data.mdb", "lock.mdb"]


def test_a_journal_that_ran_ahead_or_was_cut_is_believed_as_far_as_the_records_go(tmp_path):
    _, rejected, whole = write(tmp_path / "whole")
    with LmdbWriter(tmp_path / "out", "k", 1 << 22) as writer:
        fill(writer, 12)
    with open(tmp_path / "out.partial/journal.jsonl", "a") as journal:
        journal.write('{"id": "p10", "reason": "fifth"}\n{"written": 12, "done": 15}\n{"id": "p1')
    assert write(tmp_path / "out")[1:] == (rejected, whole)


def test_another_key_starts_anew(tmp_path):
    with LmdbWriter(tmp_path / "out", "other", 1 << 22) as writer:
        fill(writer, 12)
    assert write(tmp_path / "out")[0] == 0


@pytest.mark.parametrize("size", [0, 1, 2000, 4096])
def test_an_lmdb_that_a_full_disk_cut_within_its_first_pages_starts_anew(tmp_path, size):
    _, rejected, whole = write(tmp_path / "whole")
    with LmdbWriter(tmp_path / "out", "k", 1 << 22) as writer:
        fill(writer, 12)
    os.truncate(tmp_path / "out.partial/data.mdb", size)
    first, again, records = write(tmp_path / "out")
    assert (first, again, records) == (0, rejected, whole)


def test_records_lie_under_counted_keys(tmp_path):
    kept = (item for item in range(N) if item % 5)
    assert [key for key, _ in write(tmp_path / "out")[2]] == [f"{i:08d}_p{item}" for i, item in enumerate(kept)]


@pytest.fixture
def rows(tmp_path):
    for i in range(N):
        pixels = np.random.default_rng(i).integers(0, 255, (20, 30, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"{i}.png"), pixels)
    (tmp_path / "7.png").write_bytes(b"no picture")
    return [(f"p{i}", tmp_path / f"{i}.png", i % 10) for i in range(N)]


def test_any_number_of_workers_and_a_stop_give_the_same_bytes(tmp_path, rows):
    def stopped(work, paths):
        for path in paths[:13]:
            yield path, work(path), None
        raise KeyboardInterrupt

    for name, workers in (("one", 1), ("three", 3)):
        assert picture_lmdb.write_lmdb(rows, tmp_path / name, size=16, workers=workers) == (N - 1, 1)
    keep = [row for row in rows if row[0] != "p7"]
    picture_lmdb.write_lmdb(keep, tmp_path / "kept", size=16)
    with pytest.raises(KeyboardInterrupt):
        picture_lmdb.write_lmdb(keep, tmp_path / "again", size=16, run=stopped)
    seen = []
    picture_lmdb.write_lmdb(
        keep,
        tmp_path / "again",
        size=16,
        run=lambda work, paths: ((path, work(path), seen.append(path)) for path in paths),
    )
    assert len(seen) == N - 1 - 12
    assert (tmp_path / "one/data.mdb").read_bytes() == (tmp_path / "three/data.mdb").read_bytes()
    assert records_of(tmp_path / "kept") == records_of(tmp_path / "again")
    reasons = [json.loads(line) for line in (tmp_path / "one.rejected.jsonl").read_text().splitlines()]
    assert [row["id"] for row in reasons] == ["p7"]
