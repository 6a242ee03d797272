"""The Pinterest part of the main job stands on what the MindPics part makes, and on nothing else."""

import subprocess
import sys
from pathlib import Path

from mindpics.job import Job
from mindpics.nets.scales import MINI
from mindpics.plan import plan as mindpics_plan
from mindpics.plan import report_stages
from pinterest_id.plan import plan

ROOT = Path(__file__).resolve().parents[2]


def test_each_input_is_made_before_it_is_read():
    there, job = {"runs/mini/run.json"}, Job(MINI, "runs/mini")
    tables = ["runs/mini/mindpics/table3.csv", "runs/mini/pinterest_id/table2.csv"]
    stages = [*mindpics_plan(job), *plan("runs/mini")]
    for stage in [*stages, *report_stages([job], tables)]:
        assert set(stage.inputs) <= there, stage.name
        there |= set(stage.outputs)
    assert {*tables, "runs/mini/report/index.html"} <= there


def test_fc7_comes_from_a_net_that_has_seen_none_of_these_pictures():
    stages = {stage.name: stage for stage in mindpics_plan(Job(MINI, "runs/mini"))}
    features = next(stage for stage in plan("runs/mini") if stage.name == "fc7")
    weights = next(path for path in features.inputs if path.endswith(".caffemodel"))
    training = next(stage for stage in stages.values() if weights in stage.outputs)
    assert not [path for path in training.inputs if "pretrain" in path or "clipart" in path]


def printed(*args):
    command = [sys.executable, ROOT / "tools" / "run_experiment", "--plan", *args]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_fine_tuning_is_of_the_width_of_the_net_it_goes_on_from():
    line = next(line for line in printed("--scale", "tiny").splitlines() if "tools/finetune_fc7" in line)
    assert "--scale tiny" in line


def test_the_main_job_has_it_and_a_single_row_has_not():
    assert "tools/run_identification" in printed()
    assert "tools/run_identification" not in printed("--row", "alexnet/all-in-one/scratch")


def test_each_command_is_a_tool_of_ours():
    for stage in plan("runs/mini"):
        assert (ROOT / stage.command[0]).is_file(), stage.name
