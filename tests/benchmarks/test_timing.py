"""Timing: a process of its own for each run, its children counted, failures said; and the suites on small sizes."""

import multiprocessing
import time

import numpy as np
import pytest

from mindpics.benchmarks import lmdb_making as lmdb_benchmark
from mindpics.benchmarks import selection as selection_benchmark
from mindpics.benchmarks import timing


def busy(seconds, megabytes):
    held = bytearray(megabytes << 20)
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
    return len(held)


def with_a_child(seconds, megabytes):
    child = multiprocessing.get_context("spawn").Process(target=busy, args=(seconds, megabytes))
    child.start()
    child.join()


def fails():
    raise ValueError("not today")


def test_a_run_counts_its_children_and_no_start():
    run = timing.measure(with_a_child, 1.2, 200)
    assert run.peak_mb > 200 and run.cpu_seconds > 0.7 and run.seconds > 1.2
    alone = timing.measure(busy, 0.01, 1)
    assert alone.result == 1 << 20 and 0.01 <= alone.cpu_seconds < 0.5


def test_a_run_that_fails_ends_the_benchmark(capfd):
    with pytest.raises(RuntimeError, match="fails: found no result at its end"):
        timing.measure(fails)
    assert "not today" in capfd.readouterr().err


def test_the_exponent_of_a_square_is_two():
    sizes = np.array([10, 20, 40, 80])
    assert timing.cost("x", sizes, 3e-4 * sizes**2)["exponent"] == pytest.approx(2)


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(timing, "SPACE", 1 << 25)
    monkeypatch.setattr(selection_benchmark, "PARTS", (3,))
    monkeypatch.setattr(selection_benchmark, "ALL", 400)
    monkeypatch.setattr(selection_benchmark, "PAPER", 500)
    monkeypatch.setattr(lmdb_benchmark, "PARTS", (2,))


def test_the_suite_selection_on_few_posts(tmp_path, short):
    result = selection_benchmark.run(tmp_path, posts=900, repeats=1, peer_posts=300, pictures=600)
    found = {name: of["result"] for name, of in result["peers"].items()}
    assert found["ours"] == found["loop over json.loads"]
    assert 0.03 < found["ours"]["carry_a_word"] / 300 < 0.2
    copies = {name: of["result"] for name, of in result["near_copies"].items()}
    assert 340 < copies["400"]["groups"] < 400 and 20 < copies["comparing all"]["pairs"] < 60
    assert "ours, by number of posts" in selection_benchmark.format_result(result)
    assert (tmp_path / "selection_cost.svg").is_file()


def test_the_suite_lmdb_on_few_pictures(tmp_path, short):
    result = lmdb_benchmark.run(tmp_path, pictures=8, repeats=1, memory_pictures=0)
    assert result["levels_apart"]["ours"] == (0, 0)  # bit for bit what convert_imageset stores
    assert 0 < result["levels_apart"]["ours, reduced"][0] < 2.5
    assert "x convert_imageset (wanted: 3)" in lmdb_benchmark.format_result(result)
    assert (tmp_path / "lmdb_cost.csv").read_text().count("\n") == 5
