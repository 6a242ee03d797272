"""Fine-tuning on the users' own pictures by real Caffe: what is trained, what is copied, going on, the tool."""

import json
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from PIL import Image
from tool_module import parsed, run_tool

from mindpics.caffe_files.lmdbs import read_lmdb, read_mean
from mindpics.caffe_files.messages import read_message, write_message
from mindpics.nets.scales import MINI, SETTINGS, Recipe
from mindpics.nets.solvers import Schedule
from mindpics.nets.whole import features_deploy
from mindpics.training import fine_tuning
from mindpics.training.fine_tuning import HEAD, fine_tune

ROOT = Path(__file__).resolve().parents[2]
TINY = replace(
    MINI,
    size=75,
    recipes={("alexnet", "all-in-one", "finetune"): Recipe(67, 0.0625, 8, Schedule(2, 1, 0.001), 1)},
    test_batch=4,
)


@pytest.fixture
def pins(tmp_path):
    """24 pins of 3 users with pictures, their split, and a caffemodel to start from."""
    rng, lines = np.random.default_rng(0), []
    for index in range(24):
        Image.fromarray(rng.integers(0, 256, (75, 75, 3), np.uint8)).save(tmp_path / f"{index}.png")
        lines.append({"id": f"p{index}", "user": f"u{index % 3}", "board": None, "image": f"{index}.png", "text": "x"})
    (tmp_path / "pins.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    parts = ["train"] * 15 + ["validation"] * 6 + ["test"] * 3
    rows = [f"p{i},u{i % 3},{part}\n" for i, part in enumerate(parts)]
    (tmp_path / "split.csv").write_text("id,user,split\n" + "".join(rows))
    return tmp_path


def rows(folder, start, stop):
    return [(f"p{i}", folder / f"{i}.png", i % 3) for i in range(start, stop)]


def weights_of(folder, **size):
    path = folder / "body.prototxt"
    write_message(features_deploy("alexnet", **size), path)
    caffe.set_random_seed(5)
    caffe.Net(str(path), caffe.TEST).save(str(folder / "body.caffemodel"))
    return folder / "body.caffemodel"


def assert_learned_on_training_pictures_only(folder, side=75):
    """p0 to p14 are the training pictures, p15 to p20 those that show how training goes; a mean of the first."""
    stored = {name: {key[9:]: datum for key, datum in read_lmdb(folder / f"{name}_lmdb")} for name in ("train", "test")}
    assert {name: set(of) for name, of in stored.items()} == {
        "train": {f"p{i}" for i in range(15)},
        "test": {f"p{i}" for i in range(15, 21)},
    }
    assert all(datum.label == int(id_[1:]) % 3 for of in stored.values() for id_, datum in of.items())
    pixels = [np.frombuffer(datum.data, np.uint8) for datum in stored["train"].values()]
    np.testing.assert_allclose(read_mean(folder / "mean.binaryproto").ravel(), np.mean(pixels, axis=0), atol=0.01)
    net = read_message(folder / "run" / "net.prototxt", caffe_pb2.NetParameter())
    data = [(layer.include[0].phase, layer.data_param.source) for layer in net.layer if layer.type == "Data"]
    assert data == [(caffe.TRAIN, str(folder / "train_lmdb")), (caffe.TEST, str(folder / "test_lmdb"))]


def test_the_tool_learns_on_training_pins_and_writes_fc7_of_all(pins):
    weights = weights_of(pins, crop=67, **SETTINGS["tiny"].body(SETTINGS["tiny"].recipe("alexnet", "all-in-one")))
    run_tool(
        "finetune_fc7",
        "--pins",
        pins / "pins.jsonl",
        "--split",
        pins / "split.csv",
        "--weights",
        weights,
        "--scale",
        "tiny",
        "--seed",
        "3",
        "--out",
        pins / "out",
    )
    assert_learned_on_training_pictures_only(pins / "out" / "training")
    solver = read_message(pins / "out" / "training" / "run" / "solver.prototxt", caffe_pb2.SolverParameter())
    assert solver.random_seed == 3
    assert (pins / "out" / "fc7.ids.txt").read_text().split() == [f"p{i}" for i in range(24)]


def test_it_starts_from_the_weights_and_learns_on_training_pictures_only(pins, monkeypatch):
    weights = weights_of(pins, crop=67, **TINY.body(TINY.recipe("alexnet", "all-in-one", "finetune")))
    tuned = fine_tune(rows(pins, 0, 15), rows(pins, 15, 21), pins / "out", weights, TINY, seed=1)
    net = caffe.Net(str(tuned.deploy), caffe.TEST)
    net.copy_from(str(weights))
    before = {name: blobs[0].data.copy() for name, blobs in net.params.items()}
    net.copy_from(str(tuned.caffemodel))
    for name, blobs in net.params.items():
        moved = np.abs(blobs[0].data - before[name]).max()
        assert 0 < moved < 0.1 * np.abs(before[name]).max(), name
    train_val = read_message(pins / "out" / "train_val.prototxt", caffe_pb2.NetParameter())
    head = next(layer for layer in train_val.layer if layer.name == HEAD)
    assert head.inner_product_param.num_output == 3 and [p.lr_mult for p in head.param] == [10, 20]
    assert_learned_on_training_pictures_only(pins / "out")

    def fail(*args, **kwargs):
        raise AssertionError("trained again")

    monkeypatch.setattr(fine_tuning, "solve", fail)
    assert fine_tune(rows(pins, 0, 15), rows(pins, 15, 21), pins / "out", weights, TINY, seed=1) == tuned
    with pytest.raises(AssertionError, match="trained again"):
        fine_tune(rows(pins, 0, 14), rows(pins, 15, 21), pins / "out", weights, TINY, seed=1)


def test_another_picture_under_the_old_name_or_another_fit_is_learned_anew(pins, monkeypatch):
    weights, trained = weights_of(pins, crop=67, **TINY.body(TINY.recipe("alexnet", "all-in-one", "finetune"))), []
    call = partial(fine_tune, rows(pins, 0, 15), rows(pins, 15, 21), pins / "out", weights, TINY, seed=1)

    def solve(*args, **kwargs):
        trained.append(args)
        (pins / "out" / "run").mkdir()
        (pins / "out" / "run" / "final.caffemodel").write_bytes(b"x")
        return SimpleNamespace(interrupted=False)

    monkeypatch.setattr(fine_tuning, "solve", solve)
    for change, times in ((lambda: call(), 1), (lambda: call(), 1), (lambda: call(fit="crop"), 2)):
        change()
        assert len(trained) == times
    Image.new("RGB", (75, 75)).save(pins / "3.png")
    call(fit="crop")
    assert len(trained) == 3


@pytest.mark.parametrize(("switches", "learned"), [((), 14), (("--keep-empty-text",), 15)])
def test_the_tool_keeps_pins_without_text_where_the_identification_did(pins, monkeypatch, switches, learned):
    lines = (pins / "pins.jsonl").read_text()
    (pins / "pins.jsonl").write_text(lines.replace('"x"', '""', 1))
    options = ("--pins", pins / "pins.jsonl", "--split", pins / "split.csv", "--weights", "w", "--out", pins / "out")
    tool, arguments = parsed("finetune_fc7", *options, *switches)
    seen = []

    def fine_tune_nothing(train, *rest, **options):
        seen.extend(train)
        raise KeyboardInterrupt

    monkeypatch.setattr(tool, "fine_tune", fine_tune_nothing)
    with pytest.raises(KeyboardInterrupt):
        tool.main(arguments)
    assert len(seen) == learned


def test_a_folder_of_something_else_is_left_alone(pins):
    weights = weights_of(pins, crop=67, **TINY.body(TINY.recipe("alexnet", "all-in-one", "finetune")))
    (pins / "mine").mkdir()
    (pins / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="mine: found .letter.txt. in it; wanted an empty folder"):
        fine_tune(rows(pins, 0, 15), rows(pins, 15, 21), pins / "mine", weights, TINY)
    assert (pins / "mine" / "letter.txt").read_text() == "dear"


def test_the_tool_says_what_is_wrong(pins):
    (pins / "split.csv").write_text("id,user,split\np0,u0,test\n")
    command = [
        sys.executable,
        ROOT / "tools" / "finetune_fc7",
        "--pins",
        pins / "pins.jsonl",
        "--split",
        pins / "split.csv",
        "--weights",
        "gone.caffemodel",
        "--out",
        pins / "out",
    ]
    failed = subprocess.run(command, check=False, capture_output=True, text=True)
    assert failed.returncode == 1 and "no training or no validation pin" in failed.stderr
