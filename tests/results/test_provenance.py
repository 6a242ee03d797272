"""Each row of Table 3 says whose weights, which reading and which data made it, and is of no other selection."""

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tool_module import run_tool

from mindpics.files.environment import code_version
from mindpics.inference.infer import save_scores
from mindpics.job import Job, default_root, describe, refuse_another_crawl, write_job
from mindpics.nets.rows import models_of
from mindpics.nets.scales import MINI
from mindpics.published import ROWS
from mindpics.results.metrics import load_scores
from mindpics.results.provenance import COLUMNS, OPEN, is_of_selection, pretrained_net, provenance
from mindpics.results.run_files import RunFiles
from mindpics.results.table3 import format_table, read_table3
from mindpics.traits import trait_of

ROOT = Path(__file__).resolve().parents[2]
BVLC = {"path": "/w/bvlc_alexnet.caffemodel", "sha256": "a", "sha1": "9116a64c", "published": "bvlc_alexnet"}


def select(mindpics, posts, ids):
    """Write the selection of a crawl: ten test pictures, one a label."""
    mindpics.mkdir(parents=True, exist_ok=True)
    with open(mindpics / "mindpics.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("id", "image", "trait", "pole", "word", "label", "split", "group"))
        writer.writerows((id_, "x.png", *trait_of(label), "w", label, "test", 0) for label, id_ in enumerate(ids))
    (mindpics / "summary.json").write_text(json.dumps({"arguments": {"posts": posts}}))


def score(mindpics, row, ids, weights, normalization="BATCH_SIZE"):
    """Leave what the trainings of a row leave, and scores that are always right."""
    scores = np.full((10, 5, 2), 0.5, np.float32)
    for label in range(10):
        scores[label, label // 2] = (0.1, 0.9) if label % 2 else (0.9, 0.1)
    for model in models_of(row):
        run = mindpics / row.name / model.name
        run.mkdir(parents=True, exist_ok=True)
        facts = {"weights": weights, "iterations": 90, "gpu": None, "engine": "fast", "versions": {"caffe": "1.0.0"}}
        (run / "run.json").write_text(json.dumps(facts))
        (run / "net.prototxt").write_text(f'param_str: "{{\\"normalization\\": \\"{normalization}\\"}}"')
    save_scores(mindpics / row.name / "scores.npz", ids, np.arange(10), scores)


def table(mindpics, *rows):
    """Run tools/make_table3 over all six rows; `rows` have a command, the others keep theirs."""
    given = [
        part
        for row in ROWS
        for part in ("--row", row.switch, str(mindpics / row.name / "scores.npz"), "now" if row in rows else "")
    ]
    tool = [sys.executable, ROOT / "tools/make_table3", "--out", mindpics / "table3.csv", *given]
    said = subprocess.run(tool, check=True, capture_output=True, text=True).stdout
    return {line["net"] + " " + line["init"]: line for line in read_table3(mindpics / "table3.csv")}, said


@pytest.fixture
def run(tmp_path):
    """A crawl's run with the published weights of AlexNet alone: its ResNet-50 was pretrained here."""
    ids = [f"p{i}" for i in range(10)]
    mindpics = tmp_path / "run" / "mindpics"
    select(mindpics, "MY/posts.jsonl", ids)
    stand_in = {"path": str(tmp_path / "run/pretrain/resnet50/run/final.caffemodel"), "sha1": "b", "published": None}
    score(mindpics, ROWS[1], ids, None)
    score(mindpics, ROWS[3], ids, BVLC)
    score(mindpics, ROWS[5], ids, stand_in, "VALID")
    return mindpics


def test_scores_among_other_runs_have_none_of_their_provenance(run, tmp_path, monkeypatch):
    """Only trainings named after the row's nets are the row's; a path may begin where the scores are."""
    scores = (run / ROWS[3].name / "scores.npz").read_bytes()
    (tmp_path / "alone" / "other").mkdir(parents=True)
    (tmp_path / "alone" / "scores.npz").write_bytes(scores)
    (tmp_path / "alone" / "other" / "run.json").write_text(json.dumps({"weights": BVLC, "iterations": 5}))
    assert provenance(ROWS[3], tmp_path / "alone" / "scores.npz")["weights"] == ""
    monkeypatch.chdir(run / ROWS[3].name)
    assert provenance(ROWS[3], "scores.npz")["weights"] == "bvlc_alexnet"
    line = ("--row", ROWS[3].switch, "scores.npz", "now", "--out", "table3.csv")
    run_tool("make_table3", *line)
    assert read_table3("table3.csv")[0]["weights"] == "bvlc_alexnet"
    moved = (run / ROWS[3].name).rename(tmp_path / "disk")
    (run / ROWS[3].name).symlink_to(moved)
    linked = provenance(ROWS[3], run / ROWS[3].name / "scores.npz")
    assert linked["data_sha256"] and linked["weights"] == "bvlc_alexnet"
    assert is_of_selection(run / ROWS[3].name / "scores.npz")
    (run / "mindpics.csv").write_text((run / "mindpics.csv").read_text().replace("p3", "p33"))
    assert not is_of_selection(run / ROWS[3].name / "scores.npz")


def test_the_code_is_that_of_the_rows_trainings_not_of_the_table(run):
    folder = run / ROWS[2].name
    codes = ["mindpics 0.1.0, commit a", "mindpics 0.1.0, commit b"]
    for number, model in enumerate(models_of(ROWS[2])):
        (folder / model.name).mkdir(parents=True)
        (folder / model.name / "run.json").write_text(json.dumps({"iterations": 5, "code": codes[number == 3]}))
    shutil.copy(run / ROWS[3].name / "scores.npz", folder / "scores.npz")
    assert provenance(ROWS[2], folder / "scores.npz")["code"] == "; ".join(codes)
    assert provenance(ROWS[3], run / ROWS[3].name / "scores.npz")["code"] == code_version()  # not recorded
    shutil.rmtree(folder)


def test_with_one_of_two_published_weights_the_other_nets_rows_read_stand_in(run):
    rows, said = table(run, *ROWS)
    published, ours, scratch = rows["alexnet finetune"], rows["resnet50 finetune"], rows["alexnet scratch"]
    assert (published["weights"], published["weights_kind"]) == ("bvlc_alexnet", "published")
    assert published["weights_sha1"] == "9116a64c" and published["normalization"] == "BATCH_SIZE"
    assert (ours["weights"], ours["weights_kind"]) == ("pretrained resnet50", "stand-in")
    assert ours["normalization"] == "VALID"
    assert (scratch["weights"], scratch["weights_kind"]) == ("fillers", "")
    for row in rows.values():
        assert (row["data"], row["data_kind"], len(row["data_sha256"])) == ("MY/posts.jsonl", "crawl", 64)
        assert row["iterate"] == "last, iteration 90" and row["caffe"] == "1.0.0, fast layers, CPU"
        assert row["code"].startswith("mindpics") and set(COLUMNS) <= set(row)
    assert said.count("STAND-IN weights; from pretrained resnet50 (stand-in); VALID") == 1
    assert said.count("STAND-IN") == 1 and "measured" in said
    job = Job(MINI, str(run.parent), posts="MY/posts.jsonl", weights={"alexnet": BVLC["path"]})
    write_job(job, [])
    assert RunFiles(run.parent).stand_in("alexnet_all-in-one_finetune") == ""
    assert RunFiles(run.parent).stand_in() == "pretrained on Open Clip Art categories"


def test_caffes_own_accuracy_stands_beside_the_last_iterates_and_the_best_is_named_optimistic(run):
    for number, model in enumerate(models_of(ROWS[0])):  # five nets, of which one has its best elsewhere
        passes = f"iteration,accuracy_{model.traits[0]}\n10,0.{9 if number == 4 else 6}\n20,0.8\n30,0.7\n"
        folder = run / ROWS[0].name / model.name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps({"iterations": 30}))
        (folder / "test.csv").write_text(passes)
    save_scores(
        run / ROWS[0].name / "scores.npz",
        [f"p{i}" for i in range(10)],
        np.arange(10),
        load_scores(run / ROWS[1].name / "scores.npz")[2],
    )
    _, said = table(run, *ROWS)
    line, all_in_one = read_table3(run / "table3.csv")[:2]
    assert (line["caffe_avg"], line["caffe_best_avg"]) == (70, (4 * 80 + 90) / 5)
    assert line["caffe_best_iterate"] == "iterations 10 to 20" and line["avg"] == 100
    assert "Caffe's own average over batches 70.0, at best 82.0 (optimistic, iterations 10 to 20)" in said
    assert all_in_one["heads"] == "all-in-one" and all_in_one["caffe_avg"] == ""


def test_a_row_of_another_iterate_than_the_last_says_which(run):
    scores = run / ROWS[1].name / "scores.npz"
    for iterate, words in (
        ([("best on the test set", 60)], "best on the test set, iteration 60"),
        ([("last", 90), ("a snapshot", 30)], "last and a snapshot, iterations 30 to 90"),
        ([("weights as given", None)], "weights as given, iteration not recorded"),
        ((), "last, iteration 90"),  # as older scores
    ):
        save_scores(scores, *load_scores(scores), iterate=iterate)
        rows, printed = table(run, *ROWS)
        assert rows["alexnet scratch"]["iterate"] == words and f"from fillers; BATCH_SIZE; {words}" in printed
        assert rows["alexnet finetune"]["iterate"] == "last, iteration 90"


def test_what_the_five_nets_of_a_row_have_in_common_is_said_once_and_their_iterations_from_first_to_last(run):
    score(run, ROWS[0], [f"p{i}" for i in range(10)], None)
    table(run, *ROWS)
    assert read_table3(run / "table3.csv")[0]["iterate"] == "last, iteration 90"
    for number, model in enumerate(models_of(ROWS[0])):
        (run / ROWS[0].name / model.name / "run.json").write_text(json.dumps({"iterations": 80 + number}))
    table(run, *ROWS)
    line = read_table3(run / "table3.csv")[0]
    assert (line["heads"], line["iterate"], line["weights"]) == ("independent", "last, iterations 80 to 84", "fillers")


def test_a_file_whose_sha1_nobody_published_is_unchecked(run):
    score(run, ROWS[5], [f"p{i}" for i in range(10)], {"path": "/w/ResNet-50-model.caffemodel", "sha1": "c"})
    row = table(run)[0]["resnet50 finetune"]
    assert (row["weights"], row["weights_kind"]) == ("ResNet-50-model.caffemodel", "given, unchecked")


def test_the_embedded_pictures_are_on_the_stand_in(run):
    select(run, f"{OPEN}/emoji/posts.jsonl", [f"p{i}" for i in range(10)])
    rows, said = table(run)
    assert {row["data_kind"] for row in rows.values()} == {"stand-in"}
    assert "on the stand-in" in said and said.count("STAND-IN data") == 3
    mixed = [dict(row, data_kind=kind) for row, kind in zip(rows.values(), ("crawl", "stand-in"), strict=False)]
    assert "measured, see rows" in format_table(mixed)


def test_open_pictures_are_a_stand_in_wherever_they_were_drawn_to(run, tmp_path):
    folder = tmp_path / "elsewhere/emoji"
    folder.mkdir(parents=True)
    (folder / "request.json").write_text("{}")
    posts = str(folder / "posts.jsonl")
    select(run, posts, [f"p{i}" for i in range(10)])
    rows, said = table(run)
    assert {(row["data"], row["data_kind"]) for row in rows.values()} == {(posts, "stand-in")}
    assert "on the stand-in" in said
    job = Job(MINI, str(run.parent), posts=posts, pins=str(folder / "pins.jsonl"))
    assert describe(job).startswith(f"Stand-in data: {posts}; ")
    write_job(job, [])
    told = RunFiles(run.parent)
    assert told.data_stands_in() and told.pins_stand_in() and told.stand_ins()["data"] == posts
    write_job(Job(MINI, str(run.parent), posts=posts, pins="MY/pins.jsonl"), [])
    assert not RunFiles(run.parent).pins_stand_in()


def test_a_reading_that_is_fine_tuned_from_its_runs_pretraining_has_stand_in_weights(run, tmp_path, monkeypatch):
    pretrained = tmp_path / "run/pretrain/resnet50/run/final.caffemodel"
    for beside in ("run", "run-seed1"):  # whose readings of BatchNorm go on from the first seed's weights
        reading = tmp_path / beside / "sensitivity/batch-norm/mindpics"
        score(reading, ROWS[5], [f"p{i}" for i in range(10)], {"path": str(pretrained), "sha1": "b"})
        told = provenance(ROWS[5], reading / ROWS[5].name / "scores.npz")
        assert (told["weights"], told["weights_kind"]) == ("pretrained resnet50", "stand-in")
    monkeypatch.chdir(tmp_path / "run")
    assert pretrained_net("pretrain/alexnet/run/snapshots/net_iter_9.caffemodel") == "alexnet"
    assert pretrained_net("/w/bvlc_alexnet.caffemodel") is pretrained_net("pretrain/bvlc_alexnet.caffemodel") is None
    job = Job(MINI, str(tmp_path / "run"), posts="MY/posts.jsonl", weights={"resnet50": str(pretrained)})
    write_job(job, [])
    told = json.loads((tmp_path / "run/run.json").read_text())["weights"]
    assert told["resnet50"] == "stand-in: a run's pretrained resnet50"


def test_a_row_is_shown_for_the_selection_alone_that_it_was_scored_on(run):
    select(run, "MY/posts.jsonl", [f"q{i}" for i in range(10)])
    score(run, ROWS[1], [f"q{i}" for i in range(10)], None)
    rows, said = table(run)
    assert list(rows) == ["alexnet scratch"]
    assert said.count("left out, its scores are of another selection") == 2


def test_a_row_of_before_keeps_the_command_that_made_it(run):
    table(run, ROWS[1])
    rows, _ = table(run, ROWS[3])
    assert {name: row["command"] for name, row in rows.items()} == {
        "alexnet scratch": "now",
        "alexnet finetune": "now",
        "resnet50 finetune": "not recorded",
    }


def test_another_crawl_in_a_used_folder_is_refused_and_a_crawl_has_a_folder_of_its_own(run, tmp_path):
    job = Job(MINI, str(run.parent), posts="MY/posts.jsonl")
    refuse_another_crawl(job)
    for other in (replace(job, posts="YOUR/posts.jsonl"), replace(job, posts=None)):
        with pytest.raises(ValueError, match="summary.json: found a selection from MY/posts.jsonl; wanted one from"):
            refuse_another_crawl(other)
    assert [default_root("mini", posts) for posts in (None, "MY/posts.jsonl")] == ["runs/mini", "runs/mini-MY"]
    (tmp_path / "YOUR").mkdir()
    (tmp_path / "YOUR/posts.jsonl").touch()
    tool = [
        sys.executable,
        ROOT / "tools/run_experiment",
        "--posts",
        tmp_path / "YOUR/posts.jsonl",
        "--out",
        run.parent,
        "--row",
        "alexnet/all-in-one/scratch",
    ]
    refused = subprocess.run(tool, capture_output=True, text=True)
    assert (
        refused.returncode == 1 and "another folder for the run" in refused.stderr and "Traceback" not in refused.stderr
    )
