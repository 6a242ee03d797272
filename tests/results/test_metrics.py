"""Pooled accuracies, intervals, saved scores."""

import numpy as np
import pytest
from scipy.stats import binomtest

from mindpics.published import Row
from mindpics.results.metrics import evaluate, load_iterate, load_scores, trait_figures, wilson
from mindpics.results.table3 import line_of, read_table3, write_table3


def example(n=500, right=0.8, seed=0):
    """Labels and scores whose heads are right about `right` of the time."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n)
    scores = np.full((n, 5, 2), 0.5, np.float32)
    chosen = np.where(rng.random(n) < right, labels % 2, 1 - labels % 2)
    scores[np.arange(n), labels // 2, chosen] = 0.9
    return labels, scores


@pytest.mark.parametrize(("right", "n"), [(0, 10), (10, 10), (7, 20), (310, 389)])
def test_wilson_is_scipys(right, n):
    expected = binomtest(right, n).proportion_ci(method="wilson")
    assert wilson(right, n) == pytest.approx((expected.low, expected.high))


def test_figures_of_a_trait_by_hand():
    labels = np.array([0, 0, 0, 1, 5])
    scores = np.zeros((5, 5, 2))
    scores[[0, 1, 2], 0, [0, 0, 1]] = 1  # two lows right, one wrong
    scores[3, 0, 1] = 1  # the high right
    figures = trait_figures(labels, scores, 0)
    assert (figures["n"], figures["right"]) == (4, 3)
    assert figures["accuracy"] == 0.75
    assert figures["balanced_accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    assert figures["larger_pole"] == 0.75


def test_a_tie_counts_against():
    figures = trait_figures(np.array([0, 1]), np.full((2, 5, 2), 0.5), 0)
    assert figures["accuracy"] == 0


def test_mean_over_traits_and_its_interval():
    figures = evaluate(*example())
    traits = [figures[trait]["accuracy"] for trait in "OCEAN"]
    average = figures["avg"]
    assert average["accuracy"] == pytest.approx(np.mean(traits))
    assert average["n"] == 500
    half = 1.96 * np.sqrt(0.8 * 0.2 / 500)
    assert average["high95"] - average["low95"] == pytest.approx(2 * half, rel=0.15)
    assert evaluate(*example()) == figures  # same seed, same interval


def test_missing_trait_and_unscored_trait_are_named():
    labels, scores = example()
    with pytest.raises(ValueError, match="no picture of trait C"):
        evaluate(np.zeros_like(labels), scores)
    scores[:, 4] = np.nan
    with pytest.raises(ValueError, match="found values of trait N that are not finite"):
        evaluate(labels, scores)


def test_scores_file_is_checked_and_no_pickle_is_loaded(tmp_path):
    labels, scores = example(10)
    np.savez(tmp_path / "ok.npz", ids=np.array([str(i) for i in range(10)]), labels=labels, scores=scores)
    assert load_scores(tmp_path / "ok.npz")[2].shape == (10, 5, 2)
    np.savez(tmp_path / "short.npz", ids=np.array(["a"]), labels=labels, scores=scores)
    with pytest.raises(ValueError, match="1 ids"):
        load_scores(tmp_path / "short.npz")
    np.savez(tmp_path / "pickle.npz", ids=np.array([object()]), labels=labels, scores=scores)
    with pytest.raises(ValueError, match="pickle.npz: found .*; wanted a scores file"):
        load_scores(tmp_path / "pickle.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(ValueError, match="text.npz: found .*; wanted a scores file"):
        load_scores(tmp_path / "text.npz")


def test_the_iterate_of_scores_is_checked_and_older_scores_have_none(tmp_path):
    arrays = {"ids": np.array(["a"]), "iterate": np.array(["last", "a snapshot"]), "iterations": np.array([9, -1])}
    np.savez(tmp_path / "s.npz", **arrays)
    assert load_iterate(tmp_path / "s.npz") == [("last", 9), ("a snapshot", None)]
    np.savez(tmp_path / "s.npz", ids=arrays["ids"])
    assert load_iterate(tmp_path / "s.npz") == []
    np.savez(tmp_path / "s.npz", **arrays | {"iterations": np.array([9])})
    with pytest.raises(ValueError, match=r"s.npz: found iterate .*; wanted str \[K\], int \[K\]"):
        load_iterate(tmp_path / "s.npz")


def test_table3_round_trip(tmp_path):
    labels, scores = example()
    np.savez(tmp_path / "s.npz", ids=np.arange(500).astype(str), labels=labels, scores=scores)
    line = line_of(Row("alexnet", "all-in-one", "scratch"), tmp_path / "s.npz", "tools/reproduce --row x")
    write_table3(tmp_path / "t.csv", [line])
    (back,) = read_table3(tmp_path / "t.csv")
    assert back == line
    assert back["published_avg"] == 63.4
    assert back["low95"] < back["avg"] < back["high95"]
    header = (tmp_path / "t.csv").read_text().splitlines()[0]
    fixed = "net,heads,init,O,C,E,A,N,avg,larger_pole_avg,low95,high95,n,published_avg,command"  # new ones come after
    assert header == fixed + (
        ",weights,weights_sha1,weights_kind,normalization,iterate,caffe_avg,caffe_best_avg,"
        "caffe_best_iterate,data,data_kind,data_sha256,code,caffe"
    )
