"""Page and figure of a sweep: every run is there, seeds of one setting together, decades on a log axis."""

import csv
import json

import pytest
from html_tables import Page

from mindpics.sweeps.figure import Scale
from mindpics.sweeps.page import read_sweep, section_of, write_page

RUNS = [(rate, norm, seed) for rate in (0.02, 1e6) for norm in ("VALID", "<BATCH>") for seed in (0, 1)]


@pytest.fixture
def ended(tmp_path):
    """The folder of a sweep of eight runs that has ended, of which four diverged."""
    settings = [{"base_lr": rate, "normalization": norm} for rate, norm, _ in RUNS]
    runs = [{"settings": each, "weights": None, "seed": run[2]} for each, run in zip(settings, RUNS, strict=True)]
    (tmp_path / "sweep.json").write_text(json.dumps({"solver": "solver.prototxt", "runs": runs}))
    with open(tmp_path / "runs.csv", "w", newline="") as stream:
        columns = ("base_lr", "normalization", "seed", "ended", "iterations", "best_mean_accuracy", "path", "why")
        writer = csv.writer(stream)
        writer.writerow(columns)
        for number, (rate, norm, seed) in enumerate(RUNS):
            lost = rate > 1
            result = ("diverged", 3, "", "x", "a loss") if lost else ("done", 40, 0.5 + number / 10, "x", "")
            writer.writerow((rate, norm, seed, *result))
    return tmp_path


def test_the_page_has_every_run_and_the_seeds_of_a_setting_in_one_row(ended):
    write_page(ended)
    page = Page((ended / "index.html").read_text())
    over_seeds, runs = ([dict(zip(table[0], row, strict=True)) for row in table[1:]] for table in page.tables)
    assert [row["best mean accuracy"] for row in over_seeds] == ["0.55", "0.75", "", ""]
    assert over_seeds[0]["least to most"] == "0.5 to 0.6" and over_seeds[0]["sd"] == "0.07071"
    assert [row["diverged"] for row in over_seeds] == ["0", "0", "2", "2"]
    assert len(runs) == 8 and runs[2]["normalization"] == "<BATCH>" and runs[7]["why"] == "a loss"


def test_the_figure_is_drawn_of_every_run(ended):
    write_page(ended)
    with open(ended / "settings.csv", newline="") as stream:
        drawn = [(row["base_lr"], row["normalization"], row["seed"]) for row in csv.DictReader(stream)]
    assert sorted(drawn) == sorted((str(rate), norm, str(seed)) for rate, norm, seed in RUNS)


def test_numbers_that_span_decades_stand_on_a_log_axis():
    assert [Scale.of(values).kind for values in ([0.5, 0.7], [0.01, 0.001], [0, 100])] == ["linear", "log", "linear"]
    assert [Scale.of(values).kind for values in (["VALID"], [True, False], [8, "x"])] == ["words"] * 3
    scale = Scale.of([1, 100])
    assert scale.place(1, 0) == 1 and scale.place(1, -0.5) < 1 < scale.place(1, 0.5)


def test_a_sweep_that_has_not_ended_has_no_page(tmp_path):
    with pytest.raises(ValueError, match="found no runs.csv; wanted the folder of a sweep that has ended"):
        section_of(tmp_path)


def test_numbers_are_read_back_as_numbers(ended):
    settings, rows = read_sweep(ended)
    assert settings == ["base_lr", "normalization"]
    assert rows[0]["base_lr"] == 0.02 and rows[0]["seed"] == 0 and "best_mean_accuracy" not in rows[7]
