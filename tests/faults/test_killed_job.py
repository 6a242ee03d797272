"""The main job killed by SIGKILL at random moments and started again each time ends as one that was left alone.

Three kills of one row here, fifty of every kind of stage with --long.
"""

import time
from collections import Counter
from pathlib import Path

import pytest
from killed_jobs import BOTH, ROW, check, killed, left_alone, terminated


def test_one_row_killed_three_times(tmp_path, left_alone_row):
    interrupted, hit = killed(tmp_path / "killed", ROW, 3, longest=8)
    assert hit, "no kill came in time"
    check(left_alone_row, interrupted)


@pytest.mark.parametrize("times", [3, pytest.param(20, marks=pytest.mark.long)])
def test_ended_by_sigterm_with_ctrl_c_ignored_nothing_is_lost(tmp_path, left_alone_row, times):
    ended, snapshots = terminated(tmp_path / "ended", ROW, times, longest=8)
    for contents in ended:
        check(left_alone_row, contents)
    print(f"{sum(snapshots.values())} of {times} came while a net was trained, which took a snapshot")
    assert snapshots or times < 20


@pytest.mark.long
def test_every_stage_killed_fifty_times(tmp_path):
    """Both nets, from scratch and fine-tuned, and the pins; kills are spread over all of it, on any machine."""
    started = time.monotonic()
    alone = left_alone(tmp_path / "alone", BOTH)
    took = time.monotonic() - started
    assert {"fc7.npy", "split.csv", "table3.csv"} <= {Path(name).name for name in alone}
    hit = Counter()
    for turn in range(5):  # each from the beginning, and left alone up to another fifth of its way
        interrupted, here = killed(tmp_path / f"killed{turn}", BOTH, 10, took / 3, seed=turn, first=took * turn / 5)
        check(alone, interrupted)
        hit += here
    print(f"alone {took:.0f} s; {sum(hit.values())} stages hit by 50 kills: {dict(hit.most_common())}")
    assert len(hit) >= 7  # of 13
