"""tools/sensitivity: what its readings change, what they share with the main job, a whole run in miniature."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_job import make_crawl

from mindpics.files.layout import TrainingFiles
from mindpics.files.tables import read_table
from mindpics.job import Job
from mindpics.nets.scales import MINI, PAPER
from mindpics.plan import plan
from mindpics.published import ROWS
from mindpics.report.specification import draw_sensitivity
from mindpics.results.sensitivity import COLUMNS
from mindpics.sensitivity import BATCH_NORM, BY_DEFAULT, HEADLINE, NAMES, readings, stages, varied

ROOT = Path(__file__).resolve().parents[1]
MINI_JOB = Job(MINI, "runs/mini")
PAPER_JOB = Job(
    PAPER, "runs/paper", posts="MY/posts.jsonl", weights={"alexnet": "a.caffemodel", "resnet50": "r.caffemodel"}, gpu=0
)


@pytest.mark.parametrize("job", [MINI_JOB, PAPER_JOB], ids=["mini", "paper"])
def test_each_input_is_given_or_made_before_it_is_read_and_no_two_stages_share_a_name_or_an_output(job):
    there = {"MY/posts.jsonl", "a.caffemodel", "r.caffemodel"} if job.posts else set()
    made = stages(job, readings(job))
    for stage in made:
        assert set(stage.inputs) <= there, stage.name
        assert not there & set(stage.outputs), stage.name
        there |= set(stage.outputs)
        trainings = [TrainingFiles(Path(path).parent) for path in stage.outputs if path.endswith("final.caffemodel")]
        there |= {str(path) for files in trainings for path in (files.solver, files.tests)}  # a training's own
    assert len({stage.name for stage in made}) == len(made)
    assert {reading.scores for reading in readings(job)} <= there


def test_the_default_is_the_main_jobs_own_and_only_a_readings_stages_may_fail():
    main = plan(MINI_JOB, ROWS)
    for stage in stages(MINI_JOB, readings(MINI_JOB)):
        assert stage.may_fail == ("sensitivity/" in stage.outputs[0])
        assert stage.may_fail or stage in main, stage.name


def test_a_reading_changes_its_choice_and_takes_the_rest_from_the_default():
    commands = {stage.name: " ".join(stage.command) for stage in stages(MINI_JOB, readings(MINI_JOB))}
    switches = {
        "normalization": "--normalization VALID",
        "crop": "--alexnet-crop 98",
        "half-epochs": "--epochs 14.0",
        "twice-epochs": "--epochs 56",
        "batch-norm": "--epochs 8.0 --frozen-batch-norm",
        "batch-norm-default": "--epochs 8.0",
    }
    for name, words in switches.items():
        nets = commands[f"{name}_nets"]
        assert nets.endswith(f"--seed 0 {words}") and "--data runs/mini/mindpics " in nets
        assert f"{name}_select" not in commands and f"{name}_lmdb_train" not in commands
    assert "--patience 0" in commands["crop_alexnet_all-in-one_scratch"]
    assert "--patience" not in commands["alexnet_all-in-one_scratch"]
    assert "--weights runs/mini/pretrain/resnet50/run/final" in commands["batch-norm_resnet50_all-in-one_finetune"]
    assert commands["tags-only_select"].endswith("--split image --tags-only --seed 0")
    assert "--split group --group-by copies emoji" in commands["split_select"]
    assert commands["score_best-iterate"].endswith("best-iterate/scores.npz --iterate best")


def test_at_mini_scale_frozen_batch_norm_is_held_against_a_default_as_short_from_the_first_seeds_pretraining():
    first, second = MINI_JOB.with_seeds(2)
    reading = next(each for each in readings(second, first) if each.name == "batch-norm")
    assert reading.change.number == "resnet50 all-in-one finetune of 8 epochs, mean accuracy"
    made = stages(second, [reading])
    named = {stage.name: stage for stage in second.stages_inside(made)}
    pair = [f"{name}_{BATCH_NORM.name}" for name in ("batch-norm-default", "batch-norm")]
    for name in pair:
        assert "--weights runs/mini/pretrain/resnet50/run/final.caffemodel" in " ".join(named[name].command)
    assert not any("pretrain" in name for name in named) and BATCH_NORM.name not in named
    assert {"select", "lmdb_train", "mean"} <= set(named)


def test_at_the_papers_scale_it_is_held_against_the_main_jobs_own_row():
    reading = next(each for each in readings(PAPER_JOB) if each.name == "batch-norm")
    assert reading.base == PAPER_JOB and "epochs" not in reading.change.number
    assert BATCH_NORM.name in {stage.name for stage in stages(PAPER_JOB, [reading])}


def test_the_longest_reading_is_for_who_asks_for_it():
    assert set(NAMES) - set(BY_DEFAULT) == {"twice-epochs"}
    made = stages(MINI_JOB, [reading for reading in readings(MINI_JOB) if reading.name in BY_DEFAULT])
    assert not [stage.name for stage in made if stage.name.startswith("twice-epochs")]


def test_the_names_are_those_of_the_command_line_and_the_papers_crops_are_both_tried():
    assert sorted(reading.name for reading in readings(MINI_JOB)) == sorted(NAMES)
    crop = next(reading for reading in readings(PAPER_JOB) if reading.name == "crop")
    assert (crop.default, crop.reading) == ("227", "224")


def test_a_training_that_diverged_is_a_note_and_no_number(tmp_path):
    job = Job(MINI, str(tmp_path))
    reading = next(each for each in readings(job) if each.name == "normalization")
    run = Path(reading.scores).parent / reading.row.name
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"diverged": "loss nan at iteration 18"}))
    (found,) = varied([job], ["normalization"])
    assert (found.moves, found.notes) == ([], ["diverged: loss nan at iteration 18"])


def test_scores_that_an_earlier_call_left_of_a_reading_that_failed_are_not_taken(tmp_path):
    job = Job(MINI, str(tmp_path))
    reading = next(each for each in readings(job) if each.name == "normalization")
    for path in (job.scores(HEADLINE), reading.scores):
        Path(path).parent.mkdir(parents=True)
        np.savez(path, ids=np.array(list("abcdefghij")), labels=np.arange(10), scores=np.zeros((10, 5, 2), np.float32))
    assert len(varied([job], ["normalization"])[0].moves) == 1
    (found,) = varied([job], ["normalization"], {reading.scores})
    assert (found.moves, found.notes) == ([], [f"no scores, see {tmp_path}/logs"])


def test_the_chart_has_every_reading_that_has_a_number(tmp_path):
    line = dict.fromkeys(COLUMNS, "") | {"paper": "P", "number": "a $ sign", "choice": "c"}
    numbers = [
        {"difference": "1", "low95": "-1", "high95": "3", "seeds": "3", "before": "51"},
        {"difference": "-4", "low95": "-6", "high95": "-2", "seeds": "2", "before": "50"},
        {},
    ]
    lines = [line | {"reading": f"r{place}"} | each for place, each in enumerate(numbers)]
    draw_sensitivity(lines, tmp_path / "readings")
    drawn = (tmp_path / "readings.svg").read_text()
    assert "51.0% by default" in drawn  # as most seeds have it
    assert "c: r0" in drawn and drawn.index("c: r1") < drawn.index("c: r0") and "c: r2" not in drawn
    assert (tmp_path / "readings.png").is_file()
    assert [row["reading"] for _, row in read_table(tmp_path / "readings.csv")] == ["r0", "r1", "r2"]
    draw_sensitivity([], tmp_path / "none")  # every reading failed


def test_both_papers_in_miniature_twice_the_second_time_at_once(tmp_path):
    folder = tmp_path / "crawl"
    make_crawl(folder)
    works = [json.loads(line) for line in (folder / "data/open/clipart/posts.jsonl").read_text().splitlines()]
    pins = [{"id": w["id"], "user": w["author"], "board": None, "image": w["image"], "text": w["title"]} for w in works]
    (folder / "data/open/clipart/mine.jsonl").write_text("".join(json.dumps(pin) + "\n" for pin in pins))
    args = ["--scale", "tiny", "--posts", "crawl/posts.jsonl", "--pins", "data/open/clipart/mine.jsonl"]
    args += ["--weights-alexnet", "weights/alexnet.caffemodel", "--weights-resnet50", "weights/resnet50.caffemodel"]
    args += ["--only", "normalization", "best-iterate", "cosine-text", "lambda", "--out", "run"]

    def run():
        command = [sys.executable, "tools/sensitivity", *args]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True)

    first = run()
    assert first.returncode == 0, first.stdout + first.stderr
    rows = [row for _, row in read_table(folder / "run/sensitivity/readings.csv", COLUMNS)]
    assert [(row["paper"], row["choice"]) for row in rows] == [
        ("MindPics", "equation 5"),
        ("MindPics", "iterate"),
        ("Pinterest", "cosine of"),
        ("Pinterest", "lambda multiplies"),
    ]
    for row in rows:
        moved, low, high = (float(row[key]) for key in ("difference", "low95", "high95"))
        assert low <= moved <= high and int(row["n"]) >= 12
        assert moved == pytest.approx(float(row["after"]) - float(row["before"]), abs=0.011)
    assert len((first.stdout + first.stderr).splitlines()) < 30, first.stdout + first.stderr
    log = folder / "run/logs/job.log"
    stages, steps = log.read_text().count(": done in"), len(log.read_text().splitlines())
    again = run()
    said = log.read_text().splitlines()[steps:]
    assert again.returncode == 0 and f"{stages} stages, {stages} unchanged: run/logs/job.log" in again.stdout
    assert sum("unchanged, skipped" in line for line in said) == stages and not any("starts" in line for line in said)
