"""A solver made for another number of pictures is named, with the command that makes one that fits."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from caffe_nets import write_lmdb

from mindpics.lint.net import lint_file
from mindpics.nets.rows import all_models, write_models
from mindpics.nets.scales import TINY
from mindpics.traits import TRAITS

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "tools/make_nets --csv MINDPICS.csv --data FOLDER --out build/mine"


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Solvers and nets of the tiny scale for 40 training pictures, and LMDBs that have 20."""
    monkeypatch.chdir(tmp_path)
    counts = {"train": dict.fromkeys(TRAITS, 8), "test": dict.fromkeys(TRAITS, 4)}
    write_models(all_models(), Path("nets"), TINY, counts, data_root="data", prefix="nets/")
    Path("data").mkdir()
    for split in ("train", "test"):
        write_lmdb(Path(f"data/{split}_lmdb"), np.zeros((20, 3, 72, 72), np.uint8), np.arange(20) % 10)
    return Path("nets/solvers/alexnet_all-in-one_scratch.prototxt")


def test_every_committed_solver_says_what_it_assumes_and_how_to_make_another():
    for path in (ROOT / "solvers").iterdir():
        assumed = 96800 if "all-in-one" in path.name else 19360
        assert f"# Made for {assumed} training pictures" in path.read_text() and COMMAND in path.read_text(), path


def test_lint_and_train_net_say_so_where_the_lmdb_has_another_number(made):
    (found,) = {finding.message for finding in lint_file(made) if finding.check == "made-for"}
    assert found.startswith("made for 40 training pictures, but data/train_lmdb has 20: max_iter 29 is 10 epochs")
    assert found.endswith(f"{COMMAND} makes solvers that fit")
    tool = [sys.executable, ROOT / "tools/train_net", made, "--out", "run", "--iterations", "1"]
    assert found in subprocess.run(tool, capture_output=True, text=True).stdout


def test_a_solver_that_fits_is_not_named(made):
    made.write_text(made.read_text().replace("Made for 40", "Made for 20"))
    assert "made-for" not in {finding.check for finding in lint_file(made)}
