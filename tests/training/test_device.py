"""No tool that takes --gpu lets Caffe abort: on a build or a machine without that device it says so."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mindpics.inference.app import create_app
from mindpics.training.device import set_device

ROOT = Path(__file__).resolve().parents[2]
ABSENT = "99"
COMMANDS = {
    "score_net": ["--net", "a", "b", "--lmdb", "c", "--mean", "d", "--out", "e"],
    "extract_features": ["a", "b", "--mean", "c", "--jsonl", "d", "--out", "e"],
    "profile_user": ["--net", "a", "b", "--mean", "c", "--pictures", "d", "--out", "e"],
    "serve": ["a"],
    "run_experiment": ["--posts", "a", "--out", "b"],
    "finetune_fc7": ["--pins", "a", "--split", "b", "--weights", "c", "--out", "d"],
}


def test_the_cpu_is_set_and_an_absent_gpu_is_refused_in_words():
    set_device(None)
    with pytest.raises(ValueError, match="gpu=99: found a Caffe built without CUDA, or no such device"):
        set_device(int(ABSENT))
    with pytest.raises(
        ValueError, match=r"no such device \(.+\); wanted one it can set: tools/setup --cuda makes one for GPUs"
    ):
        set_device(int(ABSENT))


def test_every_tool_that_takes_a_gpu_is_here():
    files = [path for path in (ROOT / "tools").iterdir() if path.is_file()]
    taking = {path.name for path in files if "device.add_argument" in path.read_text()}
    taking |= {"run_experiment"}  # by mindpics.job
    assert taking - {"train_net", "gpu_check"} == set(COMMANDS)  # those: test_train, test_gpu_check
    assert not [path.name for path in files if '"--gpu"' in path.read_text()]


def test_the_thread_that_runs_the_nets_is_put_on_the_device():
    """Caffe's device is each thread's own: without this, a page on a GPU would answer from the CPU."""
    threads = []
    desk = create_app(prepare=lambda: threads.append(threading.current_thread().name)).extensions["desk"]
    name = desk.worker.submit(lambda: threading.current_thread().name).result()
    desk.close()
    assert threads == [name] and name != threading.current_thread().name


@pytest.mark.parametrize("tool", COMMANDS)
def test_the_tools_say_it_too(tool, tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / tool, *COMMANDS[tool], "--gpu", ABSENT],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 1, done.stderr
    assert f"{tool}: --gpu {ABSENT}: found a Caffe built without CUDA" in done.stderr
    assert list(tmp_path.iterdir()) == []
