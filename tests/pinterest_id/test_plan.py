"""The Pinterest part of the main job stands on what the MindPics part makes, and on nothing else."""

import subprocess
import sys
from pathlib import Path

from mindpics.job import Job
from mindpics.nets.scales import MINI
from mindpics.plan import plan as mindpics_plan
from mindpics.plan import report_stages
from pinterest_id.plan import _state, plan, source_of
from pinterest_id.records import Pin, write_pins

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


def test_a_lost_picture_of_ones_own_pins_that_is_back_is_read_again(tmp_path):
    """Without it the job ended for ever with the features that it had: too few pins."""
    write_pins(tmp_path / "pins.jsonl", [Pin(f"p{i}", "ann", None, f"p{i}.jpg", "a") for i in range(3)])
    source, seen = source_of("runs/x", "mini", str(tmp_path / "pins.jsonl")), []
    for picture in (b"", b"back", b"another one"):
        if picture:
            (tmp_path / "p1.jpg").write_bytes(picture)
        _state.cache_clear()  # a job is a process of its own
        seen.append({stage.name: stage.state for stage in plan("runs/x", source=source) if stage.state})
    assert all(len({states[name] for states in seen}) == 3 for name in ("fc7", "finetune_fc7"))
    assert not any(stage.state for stage in plan("runs/mini"))  # of the stand-in, which is drawn anew as a whole
