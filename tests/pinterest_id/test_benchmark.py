"""The benchmark at a small size: every figure is there and belongs together."""

import argparse
import itertools
import json
import signal

import numpy as np
import pytest
from sklearn.datasets import load_digits

from pinterest_id import agreement, benchmark
from pinterest_id.generated import generate_pins
from pinterest_id.peers import PEERS, fastest, time_peer
from pinterest_id.words import word_statistics


def test_it_times_ours_and_every_peer_in_one_run(tmp_path):
    parser = argparse.ArgumentParser()
    benchmark.add_suite(parser.add_subparsers())
    options = {"--users": 4, "--pins-per-user": 24, "--features": 16, "--classes": 2, "--parts": 2}
    args = parser.parse_args(["pinterest", *(str(part) for pair in options.items() for part in pair)])
    args.folder, args.seed = tmp_path, 0
    result = args.run(args)
    printed, result = args.format(result), json.loads(json.dumps(result))
    assert [(one["peer"], one["rows"]) for one in result["peers"]] == [
        (peer.name, rows) for rows in ("text", "unit", "raw") for peer in PEERS
    ]
    for one in result["peers"]:
        share = 1 if "multinomial" in one["peer"] else 2
        assert one["of_classes"] == 4 and one["seconds"] == share * one["measured_s"] > 0
    unit, raw = (result["experiments"][rows] for rows in ("unit", "raw"))
    assert raw["fit_columns"]["image"] > unit["fit_columns"]["image"] > 0
    assert 0.05 < unit["peak_gb"][0] < 2 and result["sgemm_gflops"] > 1
    assert unit["grid_and_refit_s"] == [sum(unit["fit_s"].values())] and unit["grid_and_refit_s"] < unit["experiment_s"]
    assert {cost["name"] for cost in result["costs"]} == {"whole experiment", "grid and refit", "refinement"}
    assert result["costs"][0]["sizes"] == [48, 96]
    assert (tmp_path / "pinterest" / "pinterest_cost.svg").is_file()
    assert json.loads((tmp_path / "pinterest" / benchmark.SO_FAR).read_text()).items() < result.items()
    assert not any(one["stopped"] for one in result["peers"]) and {one["fits"] for one in result["peers"]} == {5}
    for words in (
        "wanted: under 4",
        "wanted: at least 3 x ours",
        "by proportion from 2/4 classes",
        f"raw image rows: the fastest at its optimum is {result['fastest']['raw']['peer']}",
    ):
        assert words in printed


def test_a_run_that_is_stopped_leaves_what_it_has_timed(tmp_path, monkeypatch):
    timed = []

    def stopped_at_the_second(*args):
        timed.append(args)
        if len(timed) == 2:
            raise KeyboardInterrupt
        return time_peer(*args)

    monkeypatch.setattr(benchmark, "time_peer", stopped_at_the_second)
    multinomial = next(peer.name for peer in PEERS if peer.multinomial)
    with pytest.raises(KeyboardInterrupt):
        benchmark.run(tmp_path, 4, 24, 16, parts=(), rows=("raw",), peers=(multinomial,), stop_at=1000)
    kept = json.loads((tmp_path / benchmark.SO_FAR).read_text())
    assert [row["rows"] for row in kept["peers"]] == ["text"] and set(kept["experiments"]) == {"raw"}


@pytest.mark.parametrize("peer", [peer for peer in PEERS if peer.exact], ids=lambda peer: peer.name)
def test_a_peer_is_fitted_till_its_weights_are_as_near_to_its_optimum_as_ours_to_ours(peer):
    X, y = load_digits(return_X_y=True)
    X, y = X[:300] / 16, y[:300]
    time = time_peer(peer, "raw", [(X, y, 1.0)], [3], tol=1e-3, max_iter=10_000)
    assert time.at_optimum and time.distance <= 1e-3 and 0 <= time.objective_gap < 1e-5
    capped = time_peer(peer, "raw", [(X, y, 1.0)], [3], tol=1e-9, max_iter=1)
    assert not capped.at_optimum and capped.distance > 1e-9


@pytest.mark.parametrize("name", ["lbfgs, multinomial", "lbfgs, one-vs-rest"])
def test_a_peer_is_stopped_when_it_has_taken_as_long_as_it_may(name):
    peer = next(peer for peer in PEERS if peer.name == name)
    X, y = load_digits(return_X_y=True)
    endless = itertools.repeat((X / 16, y, 1e6))
    timed = time_peer(peer, "raw", endless, [3, 4], tol=1e-12, max_iter=1_000_000, at_most_s=1.0)
    assert timed.stopped and not timed.at_optimum
    assert timed.seconds >= 1.0 and timed.measured_s == pytest.approx(timed.seconds * timed.classes / 10)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    whole = time_peer(peer, "raw", [(X / 16, y, 1e-3)], [3, 4], tol=1e-2, max_iter=1000, at_most_s=60)
    assert not whole.stopped and whole.at_optimum and whole.fits == 1


def row(peer, rows, seconds, at_optimum=True, stopped=False):
    at_optimum = at_optimum and not stopped
    return locals() | {"exact": True}


def test_where_the_least_is_of_one_that_was_stopped_the_ratio_is_a_lower_bound():
    times = [row("a", "text", 1), row("a", "raw", 8, stopped=True), row("b", "text", 1), row("b", "raw", 29)]
    best = fastest(times, {"text": 1, "raw": 2})["raw"]
    assert best == {"peer": "a", "seconds": 9, "at_optimum": False, "stopped": True, "times_ours": 3}
    times[-1] = row("b", "raw", 5)
    assert fastest(times, {"text": 1, "raw": 2})["raw"]["peer"] == "b"


def test_the_fastest_is_the_least_sum_of_both_modalities_among_those_at_their_optimum():
    times = [
        row("a", "text", 1),
        row("a", "raw", 20),
        row("b", "text", 5),
        row("b", "raw", 10),
        row("c", "text", 1),
        row("c", "raw", 1, at_optimum=False),
    ]
    best = {"peer": "b", "seconds": 15, "at_optimum": True, "stopped": False, "times_ours": 5}
    assert fastest(times, {"text": 1, "raw": 2}) == {"raw": best}


def test_agreement_marks_what_is_not_as_wanted():
    rows = list(agreement.run(C_grid=(1.0,)))
    assert [row.data for row in rows] == ["digits", "generated text"] and all(row.holds for row in rows)
    text = agreement.format_rows([*rows, agreement.Agreement("x", 1, 2e-3, 1.0, 0.0)])
    assert text.count("NOT as wanted") == 1


def test_generated_pins_have_the_papers_statistics():
    """Published: 1 to 552 words, median 4, mean 8.5, 12.33% with one word."""
    statistics = word_statistics(generate_pins(117, 60, 8).texts)
    assert statistics["min"] == 1 and statistics["max"] <= 552
    assert 3 <= statistics["median"] <= 6 and 6 < statistics["mean"] < 11
    assert 9 < statistics["one_word_pins_pct"] < 20


def test_the_seed_decides_the_pins():
    first, again, other = (generate_pins(4, 10, 8, seed=seed) for seed in (0, 0, 1))
    assert first.texts == again.texts and np.array_equal(first.images, again.images)
    assert first.texts != other.texts


def test_generated_images_are_like_raw_fc7():
    """None negative, the heaviest axis is the mean's, and eigenvalues span five decades of 1,024 features."""
    images = generate_pins(20, 60, 1024).images
    values, axes = np.linalg.eigh(images.T @ images.astype(np.float64))
    mean = images.mean(axis=0, dtype=np.float64)
    assert images.min() == 0 and np.mean(images == 0) > 0.5
    assert abs(axes[:, -1] @ mean) > 0.9 * np.linalg.norm(mean)
    assert values[-1] / values[0] > 1e5
