"""AlexNet all-in-one from scratch at the paper's scale: finite by default, stopped by Ctrl-C and SIGTERM, gone on.

Six minutes on two cores, of which 50 iterations of 128 pictures take four; its first test pass would be the 56th.
"""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from small_job import REPOSITORY

from mindpics.files.tables import read_table
from mindpics.traits import word_slots

NAME = "alexnet_all-in-one_scratch"
COMMAND = [
    sys.executable,
    "tools/run_experiment",
    *(
        "--scale",
        "paper",
        "--posts",
        "crawl/posts.jsonl",
        "--row",
        "alexnet/all-in-one/scratch",
        "--out",
        "run",
        "--jobs",
        "1",
    ),
    *("--weights-alexnet", "not-asked-for", "--weights-resnet50", "not-asked-for"),
]


def make_crawl(folder, count):
    """Posts with pictures of coloured noise, a word of Table 1 each in turn."""
    (folder / "crawl").mkdir()
    (folder / "not-asked-for").touch()  # weights of the other rows
    (folder / "tools").symlink_to(REPOSITORY / "tools")
    rng, words, posts = np.random.default_rng(0), [word for word, *_ in word_slots()], []
    for i in range(count):
        cv2.imwrite(str(folder / f"crawl/{i}.png"), rng.integers(0, 256, (12, 12, 3), np.uint8))
        post = {"id": f"p{i}", "image": f"{i}.png", "author": "a", "text": "", "source": "drawn", "license": "CC0"}
        posts.append(post | {"tags": [words[i % len(words)]]})
    (folder / "crawl/posts.jsonl").write_text("".join(json.dumps(post) + "\n" for post in posts))


def rows_of(folder):
    path = folder / "run/mindpics" / NAME / NAME / "train.csv"
    lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
    return [line for line in lines[1:] if line.endswith("\n")]


def stopped(folder, send, iterations):
    """Run the job until its training has done so many iterations, then stop it; return its log."""
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(COMMAND, cwd=folder, start_new_session=True, **output)
    while len(rows_of(folder)) < iterations and process.poll() is None:
        time.sleep(0.5)
    assert process.poll() is None, process.communicate()[0]
    send(process.pid)
    said = process.communicate()[0]
    assert process.returncode != 0 and "goes on where this one stopped" in said, said
    return (folder / "run/logs/job.log").read_text()


def press_ctrl_c(pid):
    os.killpg(pid, signal.SIGINT)  # a terminal sends it to all in the foreground


def terminate(pid):
    os.kill(pid, signal.SIGTERM)  # a batch system may send it to the job alone


@pytest.mark.long
def test_a_crawl_of_some_thousand_pictures_trains_finitely_at_the_papers_scale_and_goes_on_when_stopped(tmp_path):
    make_crawl(tmp_path, 2000)
    first = stopped(tmp_path, press_ctrl_c, 12)
    assert f"{NAME}: starts" in first and re.search(r"90 epochs, about 1,12\d iterations", first)
    for send, iterations in ((terminate, 25), (press_ctrl_c, 50)):
        assert f"{NAME}: goes on" in stopped(tmp_path, send, iterations)
    folder = tmp_path / "run/mindpics" / NAME / NAME
    rows = [row for _, row in read_table(folder / "train.csv")]
    assert [int(row["iteration"]) for row in rows] == list(range(len(rows))) and len(rows) >= 50
    losses = np.array([[float(row[f"loss_{trait}"]) for trait in "OCEAN"] for row in rows])
    assert np.isfinite(losses).all()
    assert losses[0].sum() == pytest.approx(math.log(2), rel=0.1)  # BATCH_SIZE: five heads share a batch
    assert losses.sum(axis=1).max() < 2
