"""The benchmark at a small size: every figure is there and belongs together."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from pinterest_id import agreement
from pinterest_id.generated import generate_pins
from pinterest_id.text import word_statistics

ROOT = Path(__file__).resolve().parents[2]


def test_it_times_ours_and_the_peer_in_one_run(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "benchmark", "--folder", tmp_path, "--json", tmp_path / "result.json",
         "pinterest", "--users", "6", "--pins-per-user", "48", "--features", "40", "--classes", "3"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    result = json.loads((tmp_path / "result.json").read_text())
    peer = result["liblinear"]
    assert peer["share"] == "3/6" and 0 < peer["class_s_min"] <= peer["class_s_max"]
    assert 3 * peer["class_s_min"] <= peer["all_classes_s"] / 2 <= 3 * peer["class_s_max"]
    assert result["times_faster"] == peer["all_classes_s"] / np.median(result["grid_and_refit_s"])
    assert 0.05 < result["peak_gb"][0] < 2 and result["sgemm_gflops"] > 1
    assert sum(result["fit_s"].values()) < result["experiment_s"][0]
    assert {cost["name"] for cost in result["costs"]} == {"whole experiment", "grid and refit", "refinement"}
    assert result["costs"][0]["sizes"] == [36, 72, 144, 288]
    assert (tmp_path / "pinterest" / "pinterest_cost.svg").is_file()
    for words in ("wanted: under 8", "wanted: at least 10", "by proportion from 3/6 of the classes"):
        assert words in done.stdout


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
