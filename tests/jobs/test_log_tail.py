"""Status of a job in a line of a terminal."""

import sys

import pytest
from terminal import lines_on_terminal

from mindpics.jobs.log_tail import status_line

BAR = "45%|####5     | 540/1200 [01:00<01:20,  8.20it/s, loss 0.693, test 61.2%]"
BARE = "3%|          | 4/120 [00:03<00:20,  5.20it/s]"
HEAD = "[12/34, about 2:04:05 left]"
JOB = """
import sys
from pathlib import Path
from mindpics.jobs.runner import Runner
from mindpics.jobs.stages import Stage
folder = Path(sys.argv[1])
stages = [
    Stage(f"alexnet_independent_{t}_finetune", (str(folder / "stage.py"), str(folder / t)), (), (str(folder / t),))
    for t in "OC"
]
Runner(stages, folder / "run", 2).run()
"""
STAGE = f"""
import sys, time
print("name: {BAR}", flush=True)
time.sleep(3)
open(sys.argv[1], "w")
"""


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_line_fits_and_each_stage_in_it_says_how_far_it_is(columns, count):
    said = [("alexnet_all-in-one_finetune", BAR), ("alexnet_independent_E_scratch", BARE)] * 3
    line = status_line(HEAD, said[:count], columns)
    assert len(line) <= columns and line.startswith(HEAD)
    if columns >= 60:
        shown = line.count("45%") + line.count("3%") - line.count("693%")
        assert shown >= 1 and (shown == count or line.endswith(f" +{count - shown}"))


def test_where_there_is_room_what_is_measured_is_said_too():
    assert status_line(HEAD, [("a", BAR)], 100) == f"{HEAD} | a 45%, loss 0.693, test 61.2%"
    assert status_line(HEAD, [("a", BARE)], 100) == f"{HEAD} | a 3%"
    assert status_line(HEAD, [("select", "scanning posts.jsonl")], 100) == f"{HEAD} | select scanning posts.jsonl"


@pytest.mark.parametrize("columns", [60, 80])
def test_a_jobs_progress_fits_the_terminal(tmp_path, columns):
    (tmp_path / "stage.py").write_text(STAGE)
    status, lines = lines_on_terminal([sys.executable, "-c", JOB, str(tmp_path)], columns)
    live = [line for line in lines if line.startswith("[")]
    assert status == 0 and live and max(map(len, live)) < columns
    assert any("45%" in line and "left]" in line and "alexnet_" in line for line in live), live
    assert not any("it/s" in line or "{" in line for line in live)
