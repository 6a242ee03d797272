"""SIGTERM, and Ctrl-C in a background shell: a training takes its snapshot, a tool ends in one line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mindpics.jobs.interrupt import terminable

ROOT = Path(__file__).resolve().parents[2]


def ignoring():
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_training_in_a_shell_that_ignores_ctrl_c_takes_its_snapshot(small_job, tmp_path, number):
    run = tmp_path / "run"
    command = [sys.executable, ROOT / "tools/train_net", small_job[0], "--out", run, "--set", "max_iter=5000"]
    command += ["--set", "base_lr=0.001"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=ignoring)
    while not (run / "train.csv").exists() or len((run / "train.csv").read_text().splitlines()) < 5:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    printed, _ = process.communicate()
    assert process.returncode == 130 and b"interrupted at iteration" in printed
    assert list((run / "snapshots").glob("net_iter_*.solverstate"))


def test_sigterm_is_raised_as_ctrl_c_is_and_its_handler_comes_back():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), terminable():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
    assert signal.getsignal(signal.SIGTERM) is before


def test_another_tool_ends_in_one_line():
    code = "import sys, time; from mindpics import cli; cli.run('A tool.', lambda parser: None, lambda a: work())"
    code = f"def work():\n    print('at work', flush=True)\n    time.sleep(60)\n{code}"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "at work\n"
    process.terminate()
    assert process.communicate()[1] == "-c: interrupted\n" and process.returncode == 1
