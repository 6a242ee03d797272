"""Progress bars: silent or brief in a pipe, whatever they count and however long; redrawn on a terminal."""

import os
import subprocess
import sys

import pytest
from terminal import lines_on_terminal

from mindpics.jobs.bars import IS_STAGE, PARTS

COUNTS = """
import sys, time
import tqdm.std
from mindpics.jobs.bars import bar_of

class Clock:
    now = 0.0
    def __call__(self):
        return Clock.now

tqdm.std.time = Clock()
for _ in bar_of(range(1000), desc="count"):
    Clock.now += float(sys.argv[1])
"""


def lines_of(seconds, **environment):
    """Return what a bar over a thousand items of so many seconds writes into a pipe."""
    command = [sys.executable, "-c", COUNTS, str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stderr.splitlines() if line.strip()]


@pytest.mark.parametrize("seconds", [0.1, 100])
def test_a_long_bar_in_a_pipe_is_a_line_a_tenth(seconds):
    lines = lines_of(seconds)
    assert PARTS / 2 <= len(lines) <= PARTS + 2 and lines[0].startswith("count:")


def test_a_bar_of_some_seconds_says_nothing_in_a_pipe():
    assert lines_of(0.005) == []


def test_a_stages_log_has_a_line_every_ten_seconds():
    assert len(lines_of(1, **{IS_STAGE: "1"})) >= 90


def test_on_a_terminal_a_bar_is_redrawn():
    status, lines = lines_on_terminal([sys.executable, "-c", COUNTS, "1"], 80)
    assert status == 0 and len(lines) > 100 and "100%" in lines[-1]
