"""Caffe's own command on our files: `caffe train` with the Python loss, from another directory."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import lmdb
import numpy as np
import pytest
from caffe.proto import caffe_pb2

ROOT = Path(__file__).resolve().parents[2]


def caffe_command():
    """This environment's caffe, or the one on PATH of a Caffe that brought its own Python package."""
    command = shutil.which("caffe", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert command, "the caffe command is not installed"
    return command


def test_caffe_train_runs_our_solver_and_learns(small_job, tmp_path):
    solver, _ = small_job
    done = subprocess.run(
        [caffe_command(), "train", f"--solver={solver}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Optimization Done." in done.stderr
    finals = [line for line in done.stderr.splitlines() if "Test net output" in line and "accuracy" in line][-5:]
    accuracies = [float(line.rsplit("=", 1)[1].split()[0]) for line in finals]
    assert len(accuracies) == 5
    assert sum(accuracies) / 5 > 0.7  # the poles are balanced: guessing gives 0.5


def write_full_size_data(folder):
    """LMDBs of 256x256 pictures and a mean, where the committed nets look for them."""
    picture = np.random.default_rng(0).integers(0, 256, (3, 256, 256), np.uint8).tobytes()
    for split in ("train", "test"):
        (folder / f"{split}_lmdb").mkdir(parents=True)
        with lmdb.open(str(folder / f"{split}_lmdb"), map_size=1 << 28) as env, env.begin(write=True) as transaction:
            for index in range(20):
                datum = caffe_pb2.Datum(channels=3, height=256, width=256, label=index % 10, data=picture)
                transaction.put(f"{index:08d}_{index}".encode(), datum.SerializeToString())
    mean = caffe_pb2.BlobProto(num=1, channels=3, height=256, width=256, data=np.full(3 * 256 * 256, 128.0))
    (folder / "mean.binaryproto").write_bytes(mean.SerializeToString())


def test_caffe_train_takes_a_committed_solver_as_it_is(tmp_path):
    for folder in ("prototxt", "solvers"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    write_full_size_data(tmp_path / "data" / "mindpics")
    with subprocess.Popen(
        [caffe_command(), "train", "--solver=solvers/alexnet_all-in-one_scratch.prototxt"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "Iteration 0" in line:
                process.terminate()  # 68,063 iterations of the published size are not for a test
                break
        process.stderr.read()
    assert any("Iteration 0" in line and "loss = " in line for line in lines), "".join(lines[-20:])
    losses = [float(line.rsplit("= ", 1)[1].split(" ")[0]) for line in lines if " loss = " in line]
    # Five heads that know nothing yet, each with a fifth of the batch: equation 5's mean is over the whole of it.
    assert losses[0] == pytest.approx(np.log(2), rel=0.1)
