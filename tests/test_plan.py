"""The plan of the main job at both scales."""

import argparse
import json
import os
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from tool_module import parsed, run_tool

from mindpics.job import Job, add_arguments, describe, jobs_of, require_inputs, row_command, write_job
from mindpics.nets.scales import MINI, PAPER
from mindpics.nets.switches import switched
from mindpics.plan import plan, report_stages
from mindpics.posts.posts import read_posts
from mindpics.published import ROWS, Row
from mindpics.report.facts import run_choices
from mindpics.results.run_files import RunFiles
from mindpics.results.table3 import COLUMNS, write_table3
from mindpics.traits import word_slots
from pinterest_id.plan import refuse_other_pins, require_pins, source_of
from pinterest_id.records import Pin, write_pins

ROOT = Path(__file__).resolve().parent.parent
MINI_JOB = Job(MINI, "runs/mini")
NATIVE_JOB = Job(switched(MINI, loss="native"), "runs/native")
OTHER_JOB = Job(
    switched(MINI, normalization="VALID", base_lr=0.002, epochs=3.0, batch=8, frozen_batch_norm=True, alexnet_crop=97),
    "runs/other",
    split="group",
    group_by=("copies", "emoji"),
    tags_only=True,
)
PAPER_JOB = Job(
    PAPER,
    "runs/paper",
    posts="MY/posts.jsonl",
    gpu=0,
    weights={"alexnet": "bvlc_alexnet.caffemodel", "resnet50": "ResNet-50-model.caffemodel"},
)


def test_each_input_is_given_or_made_before_it_is_read():
    for job, given in ((MINI_JOB, set()), (PAPER_JOB, {"MY/posts.jsonl", *PAPER_JOB.weights.values()})):
        there = set(given)
        for stage in plan(job):
            assert set(stage.inputs) <= there, stage.name
            there |= set(stage.outputs)
        assert f"{job.mindpics}/table3.csv" in there


def test_each_command_is_a_tool_of_ours():
    for stage in plan(MINI_JOB):
        assert (ROOT / stage.command[0]).is_file(), stage.name


def test_a_machine_of_other_cores_runs_the_same_commands(monkeypatch):
    """They are in the stages' keys: both LMDBs were written anew, and every training after them."""
    commands = [stage.command for stage in plan(MINI_JOB)]
    monkeypatch.setattr(os, "cpu_count", lambda: 97)
    assert [stage.command for stage in plan(MINI_JOB)] == commands


def test_eighteen_nets_and_two_pretrainings_at_mini_scale():
    names = [stage.name for stage in plan(MINI_JOB)]
    assert len([n for n in names if n.startswith(("alexnet_", "resnet50_"))]) == 18
    assert {"pretrain_alexnet", "pretrain_resnet50", "fetch"} <= set(names)


def test_paper_scale_needs_no_stand_in():
    stages = {stage.name: stage for stage in plan(PAPER_JOB)}
    assert not [name for name in stages if name.startswith(("pretrain", "fetch", "categories"))]
    train = stages["resnet50_all-in-one_finetune"]
    assert train.command[-4:] == ("--weights", "ResNet-50-model.caffemodel", "--gpu", "0")
    assert "--weights" not in stages["alexnet_all-in-one_scratch"].command
    assert describe(PAPER_JOB) == "Data: MY/posts.jsonl."


def test_other_readings_reach_every_stage_and_the_command_that_repeats_them():
    words = [
        "--normalization",
        "VALID",
        "--base-lr",
        "0.002",
        "--epochs",
        "3.0",
        "--batch",
        "8",
        "--frozen-batch-norm",
        "--alexnet-crop",
        "97",
    ]
    picks = ["--split", "group", "--group-by", "copies", "emoji", "--tags-only"]
    commands = {stage.name: " ".join(stage.command) for stage in plan(OTHER_JOB)}
    assert " ".join(words) in commands["nets"]
    for net in ("alexnet", "resnet50"):
        assert commands[f"pretrain_net_{net}"].endswith(f"--seed {OTHER_JOB.seed} --batch 8 --alexnet-crop 97")
    assert " ".join(picks) in commands["select"]
    assert " ".join([*picks, *words]) in row_command(OTHER_JOB, ROWS[0])
    asked = argparse.ArgumentParser()
    add_arguments(asked)
    (job,) = jobs_of(
        asked.parse_args([*row_command(OTHER_JOB, ROWS[0]).replace(f"--row {ROWS[0].switch}", "").split()[1:]])
    )
    assert (job.setting, job.split, job.group_by, job.tags_only) == (
        OTHER_JOB.setting,
        OTHER_JOB.split,
        OTHER_JOB.group_by,
        OTHER_JOB.tags_only,
    )


def test_a_path_that_is_spelt_otherwise_is_the_same_job():
    words = ["--posts", "MY/posts.jsonl", "--pins", "MY/pins.jsonl", "--weights-alexnet", "a", "--out", "runs/my"]
    other = [
        "--posts",
        "./MY//posts.jsonl",
        "--pins",
        "./MY/pins.jsonl",
        "--weights-alexnet",
        "./a",
        "--out",
        "runs/my/",
    ]
    asked = argparse.ArgumentParser()
    add_arguments(asked)
    plain, spelt = (jobs_of(asked.parse_args([*paths, "--seeds", "2"])) for paths in (words, other))
    assert plain == spelt and spelt[1].root == "runs/my-seed1"


def test_pictures_of_a_folder_of_parquet_are_looked_for_in_it(tmp_path):
    """As the selection does; of a manifest they are beside it."""
    crawl = tmp_path / "crawl"
    crawl.mkdir()
    posts = [{"id": str(i), "image": f"{i}.jpg", "author": "a", "text": word[0]} for i, word in enumerate(word_slots())]
    posts = [post | {"tags": ["of"], "source": "", "license": ""} for post in posts]
    pyarrow.parquet.write_table(pa.Table.from_pylist(posts), crawl / "posts.parquet")
    for path in (crawl, crawl / "posts.parquet"):
        job = replace(PAPER_JOB, posts=str(path))
        stages = [*plan(job), *report_stages([job], ())]
        roots = [stage.command[stage.command.index("--root") + 1] for stage in stages if "--root" in stage.command]
        assert len(roots) >= 3 and set(roots) == {str(crawl)}
    with pytest.raises(ValueError, match="crawl: found Parquet, .*; wanted a line a post"):
        next(read_posts(crawl))


def test_a_runs_setting_is_recorded_and_shown(tmp_path):
    job = replace(OTHER_JOB, root=str(tmp_path), lacking=2, drop_small_users=True)
    write_job(job, ["tools/reproduce"])
    recorded = json.loads((tmp_path / "run.json").read_text())["setting"]
    assert recorded == json.loads(json.dumps(job.setting.recorded()))
    (tmp_path / "mindpics").mkdir()
    write_table3(tmp_path / "mindpics/table3.csv", [dict.fromkeys(COLUMNS, "1") | ROWS[0]._asdict()])
    shown = run_choices(RunFiles(tmp_path))
    assert shown["crop"] == {"alexnet": 97, "resnet50": 99}
    length = "3 epochs, rate 0.002, divided by ten every 2.3"
    assert shown["schedule"]["resnet50 all-in-one finetune"].startswith(length)
    assert shown["normalisation of equation 5"] == "VALID"
    assert shown["users with fewer pins"] == "kept with up to 2 too few; dropped"


def test_native_losses_reach_the_nets_stage():
    commands = {
        job.root: next(stage.command for stage in plan(job) if stage.name == "nets") for job in (MINI_JOB, NATIVE_JOB)
    }
    assert commands["runs/native"][-2:] == ("--loss", "native") and "--loss" not in commands["runs/mini"]


def test_one_row_needs_only_its_own_stages():
    names = {stage.name for stage in plan(MINI_JOB, [Row("alexnet", "all-in-one", "scratch")])}
    assert {"alexnet_all-in-one_scratch", "table3"} <= names
    assert not [name for name in names if name.startswith(("pretrain", "resnet50"))]


def test_row_command_is_taken_by_the_tool_and_plans_that_row(monkeypatch, capsys):
    for job in (MINI_JOB, NATIVE_JOB, PAPER_JOB, OTHER_JOB):
        for row in ROWS:
            command = row_command(job, row).split()
            assert command[0] == "tools/reproduce"
            monkeypatch.setattr(sys, "argv", ["run_experiment", *command[1:], "--plan"])
            runpy.run_path(str(ROOT / "tools" / "run_experiment"), run_name="__main__")
            assert "_".join(row) in capsys.readouterr().out


def test_seeds_share_the_pictures_and_nothing_else():
    jobs = MINI_JOB.with_seeds(3)
    assert [(job.root, job.seed) for job in jobs] == [("runs/mini", 0), ("runs/mini-seed1", 1), ("runs/mini-seed2", 2)]
    assert [job.seed for job in Job(MINI, "runs/mini", seed=3).with_seeds(2)] == [3, 4]
    first, later = plan(jobs[0]), jobs[1].stages_inside(plan(jobs[1]))
    assert {stage.name for stage in first} - {stage.name for stage in later} == {"fetch"}
    made = {path for stage in first for path in stage.outputs}
    for stage in later:
        assert not made & set(stage.outputs)
        assert all(path.startswith(("runs/mini-seed1/", "data/open/")) for path in stage.inputs)
        assert "--seed" not in stage.command or stage.command[stage.command.index("--seed") + 1] == "1"


def test_the_row_command_of_another_seed_names_its_folder():
    command = row_command(MINI_JOB.with_seeds(2)[1], ROWS[0])
    assert command.endswith("--row alexnet/independent/scratch --seed 1 --out runs/mini-seed1")
    assert "--out" not in row_command(MINI_JOB, ROWS[0])


def test_one_report_stands_on_the_tables_of_all_seeds():
    jobs = MINI_JOB.with_seeds(2)
    tables = [stage.outputs[0] for job in jobs for stage in plan(job) if stage.name == "table3"]
    report = report_stages(jobs, tables)[-1]
    assert report.command == ("tools/report", "runs/mini", "runs/mini-seed1")
    for job in jobs:
        assert {f"{job.mindpics}/table3.csv", f"{job.root}/run.json"} <= set(report.inputs)
    assert report.outputs == ("runs/mini/report/index.html",)


def test_the_tool_plans_all_seeds_and_wants_at_least_one():
    def tool(*args):
        command = [sys.executable, ROOT / "tools/run_experiment", "--plan", *args]
        return subprocess.run(command, capture_output=True, text=True)

    planned = tool("--seeds", "2").stdout
    assert planned.count("tools/fetch_open_pictures") == planned.count("tools/make_pins") == 1
    assert planned.count("tools/make_table3") == 2 and "tools/report runs/mini runs/mini-seed1" in planned
    refused = tool("--seeds", "0")
    assert refused.returncode == 2 and "--seeds: found 0; wanted 1 or more" in refused.stderr


def test_the_plan_prints_sizes_and_says_what_stands_in():
    def printed(*args):
        command = [sys.executable, ROOT / "tools/run_experiment", *args, "--plan"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    mini = printed()
    assert mini.startswith("Stand-in data: emoji artwork")
    paper = printed(
        "--scale",
        "paper",
        "--posts",
        "MY/posts.jsonl",
        "--gpu",
        "0",
        "--weights-alexnet",
        "a.caffemodel",
        "--weights-resnet50",
        "r.caffemodel",
    )
    assert paper.startswith("Data: MY/posts.jsonl")
    for size in (
        "256x256, at most 96,800 pictures",
        "121,000",
        "batch 128, crop 227",
        "batch 32, crop 224",
        "at most 47,266 iterations",
        "189,063 iterations",
        "68,063 iterations",
        "stages, 1 at a time: about",
    ):
        assert size in paper, size


def commands(job, rows=ROWS):
    return {stage.name: " ".join(stage.command) for stage in plan(job, rows)}


def test_every_option_of_the_main_job_reaches_the_commands_it_is_for():
    _, args = parsed(
        "run_experiment",
        "--scale",
        "tiny",
        "--posts",
        "MY/posts.jsonl",
        "--weights-alexnet",
        "a.caffemodel",
        "--gpu",
        "1",
        "--seed",
        "9",
        "--split",
        "group",
        "--loss",
        "native",
        "--out",
        "OUT",
    )
    (job,) = jobs_of(args)
    assert (job.setting.name, job.setting.loss, job.root, job.weights) == (
        "tiny",
        "native",
        "OUT",
        {"alexnet": "a.caffemodel"},
    )
    made = commands(job)
    assert "MY/posts.jsonl --out OUT/mindpics --per-word 1100 --per-pole 8 --split group --seed 9" in made["select"]
    assert made["nets"].endswith(
        "--scale tiny --csv OUT/mindpics/mindpics.csv --data OUT/mindpics --out "
        "OUT/mindpics/nets --seed 9 --loss native"
    )
    for name in ("lmdb_train", "lmdb_test", "categories", "pretrain_lmdb_train", "pretrain_net_resnet50"):
        assert "--seed 9" in made[name], name
    assert "pretrain_alexnet" not in made
    for name, command in made.items():
        if name == "table3":  # which has the rows' own commands
            continue
        trains = name.startswith(("alexnet_", "resnet50_", "pretrain_resnet50", "score_"))
        assert ("--gpu 1" in command) == trains, name
        assert ("--weights a.caffemodel" in command) == (name.startswith("alexnet_") and "finetune" in name), name
    written = row_command(job, ROWS[0])
    for given in (
        "--scale tiny",
        "--row alexnet/independent/scratch",
        "--posts MY/posts.jsonl",
        "--gpu 1",
        "--seed 9",
        "--weights-alexnet a.caffemodel",
        "--split group",
        "--loss native",
        "--out OUT",
    ):
        assert given in written


def test_pretraining_has_pictures_a_mean_and_weights_of_its_own():
    made, folder = commands(MINI_JOB), "runs/mini/pretrain"
    for split in ("train", "test"):
        assert f"{folder}/categories.csv --force" in made[f"pretrain_lmdb_{split}"]
        ends = f"--split {split} --size 112 --seed 0 --out {folder}/{split}_lmdb"
        assert made[f"pretrain_lmdb_{split}"].endswith(ends)
    assert made["pretrain_mean"] == f"tools/compute_mean {folder}/train_lmdb {folder}/mean.binaryproto"
    for net in ("alexnet", "resnet50"):
        assert f"make_pretraining_net {net} " in made[f"pretrain_net_{net}"]
        for heads in ("all-in-one_finetune", "independent_finetune_E"):
            assert made[f"{net}_{heads}"].endswith(f"--weights {folder}/{net}/run/final.caffemodel")


def test_each_row_is_trained_scored_and_shown_under_its_own_name():
    made, folder = commands(MINI_JOB), "runs/mini/mindpics"
    assert made["mean"] == f"tools/compute_mean {folder}/train_lmdb {folder}/mean.binaryproto"
    for row in ROWS:
        nets = [row.name] if row.heads == "all-in-one" else [f"{row.name}_{trait}" for trait in "OCEAN"]
        scored = made[f"score_{row.name}"]
        assert f"--lmdb {folder}/test_lmdb --mean {folder}/mean.binaryproto" in scored
        assert scored.endswith(f"--out {folder}/{row.name}/scores.npz") and scored.count("--net") == len(nets)
        for net in nets:
            run = f"{folder}/{row.name}/{net}"
            assert f"train_net {folder}/nets/solvers/{net}.prototxt --force --out {run}" in made[net]
            assert f"--net {folder}/nets/prototxt/{net}/deploy.prototxt {run}/final.caffemodel" in scored
        shown = f"--row {row.switch} {folder}/{row.name}/scores.npz tools/reproduce --scale mini --row {row.switch}"
        assert shown in made["table3"]
    for split in ("train", "test"):
        assert f"--split {split} " in made[f"lmdb_{split}"]
        assert made[f"lmdb_{split}"].endswith(f"--out {folder}/{split}_lmdb")
        for trait in "OCEAN":
            assert made[f"lmdb_{split}_{trait}"] == (
                f"tools/create_lmdb --copy {folder}/{split}_lmdb --trait {trait} "
                f"--force --out {folder}/{split}_{trait}_lmdb"
            )


@pytest.fixture
def planned(capsys):
    """Return a function of the main job's switches that gives what --plan prints."""
    return lambda *args: (run_tool("run_experiment", "--plan", *args), capsys.readouterr().out)[1]


def test_pins_of_ones_own_run_paper_2_beside_or_without_paper_1_in_a_folder_of_their_own(planned):
    alone = planned("--pins", "MY/pins.jsonl")
    assert "--pins MY/pins.jsonl --features runs/mini-MY/pinterest_id/fc7" in alone
    assert alone.count("tools/train_net") == 1 and "tools/make_table3" not in alone  # of its net alone
    assert "tools/make_pins" not in alone and "pool5" not in alone and "tools/report runs/mini-MY" in alone
    both = planned("--pins", "MY/pins.jsonl", "--posts", "OTHER/posts.jsonl")
    assert "--pins MY/pins.jsonl --features runs/mini-OTHER/pinterest_id/fc7" in both and "tools/make_table3" in both
    assert "run_identification" not in planned("--posts", "OTHER/posts.jsonl")


def test_a_row_beside_pins_alone_is_of_the_stand_in_and_says_so(planned, tmp_path):
    row = ("--row", ROWS[0].switch, "--pins", "MY/pins.jsonl")
    said = planned(*row).splitlines()[0]
    assert said.startswith("Stand-in data: emoji artwork") and said.endswith(" Pins: MY/pins.jsonl.")
    (job,) = jobs_of(parsed("run_experiment", *row, "--out", tmp_path)[1])
    write_job(job, ["tools/reproduce"])
    assert json.loads((tmp_path / "run.json").read_text())["data"] == "MY/pins.jsonl"  # as there is no Table 3
    (tmp_path / "mindpics").mkdir()
    write_table3(tmp_path / "mindpics/table3.csv", [dict.fromkeys(COLUMNS, "1") | ROWS[0]._asdict()])
    write_job(job, ["tools/reproduce"])
    headings = []
    run = RunFiles(tmp_path, study=lambda _, ours: headings.append(ours))
    assert run.data_stands_in() and headings == ["ours"]  # of the pins


def test_at_the_papers_scale_fc7_of_ones_own_pins_is_the_given_weights_and_the_split_the_papers(planned):
    paper = ["--scale", "paper", "--pins", "MY/pins.jsonl", "--weights-alexnet", "bvlc_alexnet.caffemodel"]
    text = planned(*paper)
    assert (
        "tools/extract_features prototxt/decaf_fc7/deploy.prototxt bvlc_alexnet.caffemodel --mean 104 117 123" in text
    )
    assert "tools/train_net" not in text and "--split 0" not in text
    assert "fc7 of bvlc_alexnet.caffemodel, in place of DeCAF's" in text
    assert "--mean imagenet_mean.binaryproto" in planned(*paper, "--mean-alexnet", "imagenet_mean.binaryproto")


def test_users_with_fewer_pins_are_left_to_the_switches_of_run_identification(planned):
    paper = ["--scale", "paper", "--pins", "MY/pins.jsonl", "--weights-alexnet", "bvlc_alexnet.caffemodel"]
    switches = ["--lacking", "1", "--drop-small-users"]
    before, after = planned(*paper).splitlines(), planned(*paper, *switches).splitlines()
    changed = [line for line in after if line not in before]
    assert changed and all("tools/run_identification" in line for line in changed)  # fc7 is not made again
    assert sum("tools/run_identification" in line for line in after) == len(changed)
    assert all("--lacking 1 --drop-small-users --seed 0" in line for line in changed)


def test_too_few_pins_are_named_before_anything_is_computed(tmp_path):
    pins = [Pin(f"{user}{i}", user, None, f"{user}{i}.jpg", "a") for user in ("ann", "bob") for i in range(600)]
    write_pins(tmp_path / "pins.jsonl", pins)
    for pin in pins[1:]:
        (tmp_path / pin.image).touch()
    command = ["--scale", "paper", "--pins", tmp_path / "pins.jsonl", "--out", tmp_path / "run"]
    for tool in ("run_experiment", "sensitivity"):
        failed = subprocess.run([sys.executable, ROOT / "tools" / tool, *command], capture_output=True, text=True)
        assert failed.returncode == 1 and not (tmp_path / "run").exists()
        assert "pins whose picture is there: 1 users have fewer than 600 pins: ann (599); drop them" in failed.stderr
    source = source_of("runs/x", "paper", str(tmp_path / "pins.jsonl"), lacking=1)
    require_pins("runs/x", source)
    with pytest.raises(ValueError, match="found 1 of 2 users with 600 pins or more"):
        require_pins("runs/x", replace(source, lacking=0, drop_small_users=True))


def test_what_is_asked_of_users_with_fewer_pins_is_recorded_and_wants_pins(tmp_path):
    _, args = parsed("run_experiment", "--pins", "MY/pins.jsonl", "--lacking", "1", "--out", tmp_path)
    (job,) = jobs_of(args)
    write_job(job, ["tools/reproduce"])
    recorded = json.loads((tmp_path / "run.json").read_text())
    assert (recorded["lacking"], recorded["drop_small_users"]) == (1, False)
    with pytest.raises(ValueError, match="found no --pins"):
        require_inputs(parsed("run_experiment", "--drop-small-users")[1])
    of_mini = parsed("run_experiment", "--pins", tmp_path, "--lacking", "1")[1]  # whose parts are shares
    with pytest.raises(ValueError, match="found --scale mini, which .* by shares; wanted --scale paper"):
        require_inputs(of_mini)


def test_pins_of_another_crawl_in_a_used_folder_are_refused(tmp_path):
    (tmp_path / "pinterest_id").mkdir()
    (tmp_path / "pinterest_id/run.json").write_text(json.dumps({"inputs": {"pins": "MY/pins.jsonl"}}))
    refuse_other_pins(tmp_path, "MY/pins.jsonl")
    for pins in ("OTHER/pins.jsonl", None):
        with pytest.raises(ValueError, match="found an identification of MY/pins.jsonl; wanted one of"):
            refuse_other_pins(tmp_path, pins)
