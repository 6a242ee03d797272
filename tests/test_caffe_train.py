"""Caffe's own command on our files: `caffe train` with the Python loss, from another directory."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from caffe.proto import caffe_pb2

from mindpics.models import read_message

CAFFE = Path(sys.executable).parent / "caffe"


def test_caffe_train_runs_our_solver_and_learns(small_job, tmp_path):
    solver, _ = small_job
    command = os.fspath(CAFFE) if CAFFE.exists() else shutil.which("caffe")
    assert command, "the caffe command is not installed"
    done = subprocess.run(
        [command, "train", f"--solver={solver}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Optimization Done." in done.stderr
    finals = [line for line in done.stderr.splitlines() if "Test net output" in line and "accuracy" in line][-5:]
    accuracies = [float(line.rsplit("=", 1)[1].split()[0]) for line in finals]
    assert len(accuracies) == 5
    assert sum(accuracies) / 5 > 0.7  # the poles are balanced: guessing gives 0.5


@pytest.mark.parametrize("name", ["alexnet_all-in-one_finetune", "resnet50_independent_finetune_E"])
def test_committed_solver_and_net_are_found_from_the_repositorys_root(name):
    root = Path(__file__).resolve().parent.parent
    solver = read_message(root / "solvers" / f"{name}.prototxt", caffe_pb2.SolverParameter())
    net = read_message(root / solver.net, caffe_pb2.NetParameter())
    assert net.layer[0].data_param.source.startswith("data/mindpics/train")
