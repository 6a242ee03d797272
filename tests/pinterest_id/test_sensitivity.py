"""Open readings of the Pinterest paper: their commands, one C for both, the lambda that another row has."""

from pathlib import Path

import numpy as np
import pytest
from small_experiment import small_pins, write_data
from tool_module import load_tool

from mindpics import cli
from pinterest_id.choice_of_C import choose
from pinterest_id.experiment import Options
from pinterest_id.plan import PINS, source_of
from pinterest_id.scores import load_scores
from pinterest_id.sensitivity import READINGS, stages, varied

ROOT = Path(__file__).resolve().parents[2]


def test_each_reading_is_a_command_of_its_tool_into_a_folder_of_its_own():
    made = stages("runs/mini", READINGS, seed=3)
    there = {"data/open/clipart/posts.jsonl", "runs/mini/mindpics/nets/prototxt", "runs/mini/mindpics/mean.binaryproto"}
    there |= {"runs/mini/mindpics/alexnet_all-in-one_scratch/alexnet_all-in-one_scratch/final.caffemodel"}
    for stage in made:
        assert set(stage.inputs) <= there and not there & set(stage.outputs), stage.name
        there |= set(stage.outputs)
        program, *words = stage.command
        tool = load_tool(ROOT / program)
        cli.parser_of(tool.__doc__, tool.add_arguments).parse_args(words)
    commands = {stage.name: stage.command for stage in made}
    assert "runs/mini/sensitivity/ten-crops/fc7" in commands["ten-crops_identify"]
    words = ("--fits-of", "runs/mini/pinterest_id", "--scores-only", "--refine", "image")
    assert commands["cosine-image_identify"][-5:] == words
    assert "lambda_identify" not in commands


def test_pins_of_ones_own_take_the_place_of_the_stand_in():
    mine = source_of("runs/x", "paper", "MY/pins.jsonl", "bvlc_alexnet.caffemodel")
    made = {stage.name: " ".join(stage.command) for stage in stages("runs/x", READINGS[:1], "paper", source=mine)}
    assert "pins" not in made
    decaf = "prototxt/decaf_fc7/deploy.prototxt bvlc_alexnet.caffemodel --mean 104 117 123 --jsonl MY/pins.jsonl"
    assert decaf in made["fc7"]
    assert not any("--split" in command for command in made.values())  # the paper's 400 100 100
    assert source_of("runs/x", "mini").pins == PINS
    lacking = source_of("runs/x", "paper", "MY/pins.jsonl", "bvlc_alexnet.caffemodel", lacking=1)
    identifying = [stage for stage in stages("runs/x", READINGS, "paper", source=lacking) if "identify" in stage.name]
    assert identifying and all("--lacking 1" in " ".join(stage.command) for stage in identifying)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    done = write_data(tmp_path_factory.mktemp("pins"), small_pins())
    done.run()
    return done


def another(experiment, out, **options):
    fields = vars(experiment.options) | options
    features = experiment.features["image"]
    made = type(experiment)(experiment.pins_path, features, out, Options(**fields), fits_of=experiment.out)
    made.run()
    return made


def test_one_C_is_the_one_whose_cascade_names_most_validation_pins(experiment, tmp_path):
    one = another(experiment, tmp_path / "one", one_C=True)
    chosen = {facts["chosen"] for facts in one.facts["C"].values()}
    right = {}
    data = [one._data(matrix, matrix) for matrix in (one._text()[0], one.features["image"].matrix(one.pins.ids, False))]
    for C in experiment.options.C_grid:
        logs = [choose(each, tmp_path / name, (C,)).validation for each, name in zip(data, "ti", strict=True)]
        named = one.pins.users[sum(logs).argmax(axis=1)]
        right[C] = np.sum(named == data[0].validation_users)
    assert chosen == {max(right, key=lambda C: (right[C], -C))}


def test_fits_of_another_run_are_taken_over_where_they_are_the_same(experiment, tmp_path):
    other = another(experiment, tmp_path / "other", refine_modality="text")
    for path in ("text/final.npz", "image/C1.npz"):
        files = [run.out / "models" / path for run in (experiment, other)]
        assert files[0].read_bytes() == files[1].read_bytes()
        assert files[0].stat().st_mtime_ns == files[1].stat().st_mtime_ns  # copied, not fitted
    unit = another(experiment, tmp_path / "unit", unit_features=True)
    fitted = [run.out / "models/image/final.npz" for run in (experiment, unit)]
    assert fitted[0].read_bytes() != fitted[1].read_bytes()


def test_fits_that_are_not_taken_over_are_said(experiment, tmp_path):
    experiment_of_none = type(experiment)(
        experiment.pins_path, experiment.features["image"], tmp_path / "other", experiment.options, fits_of=tmp_path
    )
    with pytest.raises(ValueError, match=f"{tmp_path}: found no models; wanted a run of tools/run_identification"):
        experiment_of_none.run()
    assert not (tmp_path / "other").exists()
    with pytest.warns(UserWarning, match="models: found fits of an earlier call; those of .* are not taken over"):
        another(experiment, experiment.out)


def test_scores_that_an_earlier_call_left_of_a_reading_that_failed_are_not_taken(experiment, tmp_path):
    (tmp_path / "pinterest_id").symlink_to(experiment.out)
    another(experiment, tmp_path / "sensitivity/cosine-text", refine_modality="text")
    (stage,) = [stage for stage in stages(str(tmp_path), READINGS) if stage.name == "cosine-text_identify"]
    (found,) = varied([tmp_path], ["cosine-text"])
    assert len(found.moves) == 1
    (found,) = varied([tmp_path], ["cosine-text"], set(stage.outputs))
    assert (found.moves, found.notes) == ([], [f"no scores, see {tmp_path}/logs"])


def test_lambda_on_the_text_is_the_row_of_the_other_weight(experiment, tmp_path):
    (tmp_path / "pinterest_id").symlink_to(experiment.out)
    (found,) = varied([tmp_path], ["lambda"])
    scores = {name: load_scores(experiment.out / f"scores/linear_{name}.npz") for name in ("0.3", "0.7")}
    share = {name: 100 * np.mean(each.logs.argmax(axis=1) == each.codes) for name, each in scores.items()}
    assert (found.moves[0].before, found.moves[0].after) == pytest.approx((share["0.3"], share["0.7"]))
    assert found.test_to_train == [pytest.approx(48 / 192)]
