"""The plan of the main job at both scales."""

import subprocess
import sys
from pathlib import Path

from mindpics.experiment import plan
from mindpics.job import Job, describe, row_command
from mindpics.models import ROWS
from mindpics.settings import MINI, PAPER

ROOT = Path(__file__).resolve().parent.parent
MINI_JOB = Job(MINI, "runs/mini")
PAPER_JOB = Job(
    PAPER, "runs/paper", posts="MY/posts.jsonl", gpu=0,
    weights={"alexnet": "bvlc_alexnet.caffemodel", "resnet50": "ResNet-50-model.caffemodel"},
)  # fmt: skip


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


def test_one_row_needs_only_its_own_stages():
    names = {stage.name for stage in plan(MINI_JOB, [("alexnet", "all-in-one", "scratch")])}
    assert {"alexnet_all-in-one_scratch", "table3"} <= names
    assert not [name for name in names if name.startswith(("pretrain", "resnet50"))]


def test_row_command_is_taken_by_the_tool_and_plans_that_row():
    for job in (MINI_JOB, PAPER_JOB):
        for row in ROWS:
            command = row_command(job, row).split()
            assert command[0] == "tools/reproduce"
            done = subprocess.run(
                [sys.executable, ROOT / "tools/run_experiment", *command[1:], "--plan"],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            assert "_".join(row) in done.stdout


def test_the_plan_prints_sizes_and_says_what_stands_in():
    def printed(*args):
        command = [sys.executable, ROOT / "tools/run_experiment", *args, "--plan"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    mini = printed()
    assert mini.startswith("Stand-in data: emoji artwork")
    paper = printed(
        "--scale", "paper", "--posts", "MY/posts.jsonl", "--gpu", "0",
        "--weights-alexnet", "a.caffemodel", "--weights-resnet50", "r.caffemodel",
    )  # fmt: skip
    assert paper.startswith("Data: MY/posts.jsonl")
    for size in ("256x256, 96,800 pictures", "121,000", "batch 128, crop 227", "batch 32, crop 224",
                 "47,266 iterations", "189,063 iterations", "68,063 iterations"):  # fmt: skip
        assert size in paper, size
