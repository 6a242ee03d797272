"""No tool that takes --gpu lets Caffe abort: on a build or a machine without that device it says so."""

import subprocess
import sys
from pathlib import Path

import pytest

from mindpics.device import set_device

ROOT = Path(__file__).resolve().parent.parent
ABSENT = "99"
COMMANDS = {
    "score_net": ["--net", "a", "b", "--lmdb", "c", "--mean", "d", "--out", "e"],
    "extract_features": ["a", "b", "--mean", "c", "--jsonl", "d", "--out", "e"],
    "profile_user": ["--net", "a", "b", "--mean", "c", "--pictures", "d", "--out", "e"],
    "finetune_fc7": ["--pins", "a", "--split", "b", "--weights", "c", "--out", "d"],
}


def test_the_cpu_is_set_and_an_absent_gpu_is_refused_in_words():
    set_device(None)
    with pytest.raises(ValueError, match="--gpu 99: this Caffe was built without CUDA, or there is no such device"):
        set_device(int(ABSENT))


def test_every_tool_that_takes_a_gpu_is_here():
    taking = {path.name for path in (ROOT / "tools").iterdir() if path.is_file() and '"--gpu"' in path.read_text()}
    assert taking - {"train_net"} == set(COMMANDS)  # that one: test_train


@pytest.mark.parametrize("tool", COMMANDS)
def test_the_tools_say_it_too(tool, tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / tool, *COMMANDS[tool], "--gpu", ABSENT],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert f"{tool}: --gpu {ABSENT}: this Caffe was built without CUDA" in done.stderr
    assert list(tmp_path.iterdir()) == []
