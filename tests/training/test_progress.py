"""Progress bar of a training on a terminal: its name, bar, loss and time left in one line."""

import re
import sys
from pathlib import Path

import pytest
from terminal import lines_on_terminal

from mindpics.training.progress import status

TRAIN_NET = Path(__file__).resolve().parents[2] / "tools/train_net"
NAME = "alexnet_all-in-one_finetune_of_a_long_name"


@pytest.mark.parametrize("columns", [60, 80])
def test_a_bar_fits_the_terminal_with_its_loss_and_the_time_left(small_job, tmp_path, columns):
    command = [sys.executable, TRAIN_NET, small_job[0], "--out", tmp_path / NAME]
    for field in ("display=1", "max_iter=30", "test_interval=10"):
        command += ["--set", field]
    ended, lines = lines_on_terminal(list(map(str, command)), columns)
    assert ended == 0
    bars = [line for line in lines if "%|" in line]
    assert bars and max(map(len, bars)) <= columns
    name = re.escape(NAME[: 5 if columns == 60 else 14])
    assert re.match(rf"{name}.*… ?.*100%\|.+\| 00:00 left, loss [\d.e+-]+, test [\d.]+%\s*$", bars[-1]), bars[-1]


def test_the_status_has_a_loss_and_an_accuracy_whatever_they_are_called():
    rows = [{"loss_O": 0.5, "loss_C": 1.5}, {"loss_O": 0.5, "loss_C": 0.5}]
    assert status(["loss_O", "loss_C"], rows, []) == "loss 0.75"
    tests = [{"iteration": 5, "accuracy_O": 0.5, "accuracy_C": 0.7, "loss_O": 1}]
    assert status(["a_loss_of_a_very_long_name"], [{"a_loss_of_a_very_long_name": 2}], tests) == "loss 2, test 60.0%"
