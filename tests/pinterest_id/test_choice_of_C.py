"""The choice of C: said when at an end of its grid, with a grid of its own for the baselines, and never stale."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from small_experiment import SMALL, small_pins, write_data

from pinterest_id.choice_of_C import read_curve
from pinterest_id.classifiers import JointLogisticRegression
from pinterest_id.experiment import Experiment, Options
from pinterest_id.scores import load_scores
from pinterest_id.tables import format_table2, write_report


@pytest.mark.parametrize(("grid", "ends"), [((0.1, 1, 10, 100, 1000), False), ((1e-6, 1e-5), True), ((5,), False)])
def test_a_C_at_an_end_of_its_grid_is_said_in_the_table(tmp_path, grid, ends):
    experiment = write_data(tmp_path, small_pins())
    experiment.options = Options(sizes=(12, 4, 4), C_grid=grid)
    experiment.run()
    chosen = experiment.facts["C"]
    rows = {row["model"]: row for row in write_report(experiment.out)}
    for key, name in (("C_text", "text only"), ("C_image", "images only")):
        at_end = chosen[key[2:]]["chosen"] in (grid[0], grid[-1]) and len(grid) > 1
        assert rows[name][key] == chosen[key[2:]]["chosen"] and bool(rows[name]["C_at_end"]) == at_end
        assert rows["CF"][key] == rows[name][key] and at_end >= ends
    assert rows["text only"]["C_image"] == "" and ("may lie beyond" in format_table2(list(rows.values()))) == bool(
        rows["CF"]["C_at_end"]
    )


def test_one_C_at_an_end_of_its_grid_is_said_and_the_curves_have_what_decided(tmp_path):
    experiment = write_data(tmp_path, small_pins())
    experiment.options = replace(SMALL, C_grid=(1e-5, 1e-6), one_C=True)
    experiment.run()
    text, image = (experiment.facts["C"][name] for name in ("text", "image"))
    assert text == image and text["grid"] == (1e-5, 1e-6)
    assert text["end"] == {1e-5: "highest", 1e-6: "lowest"}[text["chosen"]]
    curves = [read_curve(experiment.files.model(name) / "curve.csv") for name in ("text", "image")]
    steps = curves[0]
    assert [(step.C, step.accuracy) for step in steps] == [(step.C, step.accuracy) for step in curves[1]]
    assert [step.C for step in steps] == [1e-5, 1e-6] and [s.C for s in steps if s.chosen] == [text["chosen"]]
    assert max(step.accuracy for step in steps) == next(step.accuracy for step in steps if step.chosen) > 0


def test_the_baselines_may_have_section_4_1s_grid(tmp_path):
    write_data(tmp_path, small_pins())
    options = Options(sizes=(12, 4, 4), C_grid=(100.0, 1000.0), C_grid_baselines=(0.1, 1.0))
    fc7 = tmp_path / "fc7"
    experiment = Experiment(tmp_path / "pins.jsonl", fc7, tmp_path / "run", options, fine_tuned=fc7)
    experiment.run()
    rows = {row["model"]: row for row in write_report(experiment.out)}
    assert rows["text only"]["C_text"] in (0.1, 1) and rows["linear 0.5"]["C_image"] in (0.1, 1)
    assert rows["CF"]["C_text"] in (100, 1000) and rows["CF+Ref"]["C_image"] in (100, 1000)
    assert rows["images only, fc7 fine-tuned"]["C_image"] == rows["images only"]["C_image"] in (0.1, 1)
    assert rows["CF, fc7 fine-tuned"]["C_image"] == rows["CF"]["C_image"]
    alone = write_data(tmp_path, small_pins())
    alone.out, alone.options = tmp_path / "alone", Options(sizes=(12, 4, 4), C_grid=(0.1, 1.0))
    alone.run()
    for name in ("text", "images", "linear_0.3", "cf"):
        ours, theirs = (load_scores(out / "scores" / f"{name}.npz").logs for out in (experiment.out, alone.out))
        assert np.array_equal(ours, theirs) == (name != "cf")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # those of the other fits
def test_a_fit_that_did_not_converge_is_marked_and_said_again_when_it_is_taken_over(tmp_path):
    write_data(tmp_path, small_pins())
    options = replace(SMALL, C_grid=(1.0,), tol=1e-30)  # closer than float64 comes
    for _ in range(2):
        experiment = Experiment(tmp_path / "pins.jsonl", tmp_path / "fc7", tmp_path / "run", options)
        with pytest.warns(ConvergenceWarning, match="models/image/final: C=1, 192 pins: "):
            experiment.run()
        rows = {row["model"]: row for row in write_report(experiment.out)}
        assert "fit of image, C=1, 144 pins: " in rows["images only"]["not_converged"]
        assert "fit of text" not in rows["images only"]["not_converged"]
        assert "fit of text, C=1, 192 pins: " in format_table2(list(rows.values()))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_fits_of_one_C_that_did_not_converge_are_said_as_those_of_each_modalitys_own(tmp_path):
    write_data(tmp_path, small_pins())
    options = replace(SMALL, C_grid=(1.0, 10.0), tol=1e-30, one_C=True)
    experiment = Experiment(tmp_path / "pins.jsonl", tmp_path / "fc7", tmp_path / "run", options)
    experiment.run()
    chosen = json.loads((tmp_path / "run/run.json").read_text())["C"]
    table = format_table2(write_report(experiment.out))
    for name in ("text", "image"):
        for fit in ("C=1, 144 pins: ", "C=10, 144 pins: ", f"C={chosen[name]['chosen']:g}, 192 pins: "):
            assert sum(said.startswith(fit) for said in chosen[name]["not_converged"]) == 1
            assert f"fit of {name}, {fit}" in table


@pytest.fixture
def fits(monkeypatch):
    """The (modality by its width, users) of each fit that is really done."""
    done, fit = [], JointLogisticRegression.fit

    def counted(self, X, y, *args, **kwargs):
        done.append(("image" if X.shape[1] == 24 else "text", set(y)))
        return fit(self, X, y, *args, **kwargs)

    monkeypatch.setattr(JointLogisticRegression, "fit", counted)
    return done


def rename(pin):
    return pin | {"user": {"user003": "zoe"}.get(pin["user"], pin["user"])}


def swap(pin):
    return pin | {"user": {"user003": "user004", "user004": "user003"}.get(pin["user"], pin["user"])}


def reword(pin):
    return pin | {"text": pin["text"] + " newword newword2"}


@pytest.mark.parametrize(
    ("change", "part", "fitted"),
    [
        (rename, None, {"text", "image"}),
        (swap, None, {"text", "image"}),
        (reword, "train", {"text"}),
        (reword, "test", set()),
    ],
)
def test_a_model_is_fitted_again_when_and_only_when_its_pins_or_users_have_changed(
    tmp_path, fits, change, part, fitted
):
    """A renamed user once kept image models of the old name, whose answers then all counted as wrong."""
    write_data(tmp_path, small_pins()).run()
    split = {row["id"]: row["split"] for row in csv.DictReader((tmp_path / "run" / "split.csv").open())}
    lines = [json.loads(line) for line in (tmp_path / "pins.jsonl").read_text().splitlines()]
    lines = [change(pin) if part in (None, split[pin["id"]]) else pin for pin in lines]
    (tmp_path / "pins.jsonl").write_text("".join(json.dumps(pin) + "\n" for pin in lines))
    fits.clear()
    Experiment(tmp_path / "pins.jsonl", tmp_path / "fc7", tmp_path / "run", SMALL).run()
    assert {modality for modality, _ in fits} == fitted
    fresh = Experiment(tmp_path / "pins.jsonl", tmp_path / "fc7", tmp_path / "fresh", SMALL)
    fresh.run()
    for path in sorted((tmp_path / "fresh" / "scores").glob("*.npz")):
        ours, theirs = load_scores(tmp_path / "run" / "scores" / path.name), load_scores(path)
        assert list(ours.users) == list(theirs.users)
        np.testing.assert_array_equal(ours.logs, theirs.logs)


def test_other_options_of_a_modality_fit_it_again(tmp_path, fits):
    write_data(tmp_path, small_pins()).run()
    unit = replace(SMALL, unit_features=True)
    exact = replace(unit, tol=1e-4)
    top3 = replace(exact, refine_top=3)
    for options, fitted in ((unit, {"image"}), (exact, {"text", "image"}), (top3, set())):
        fits.clear()
        Experiment(tmp_path / "pins.jsonl", tmp_path / "fc7", tmp_path / "run", options).run()
        assert {modality for modality, _ in fits} == fitted
