"""Training on real Caffe: it learns, resumes, is interrupted, and bad input is refused in words."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2

from mindpics.caffe_files.messages import read_message, write_message
from mindpics.inference.infer import save_scores, score_lmdb
from mindpics.results.metrics import evaluate, load_scores
from mindpics.results.verify import verify
from mindpics.training import solver_run
from mindpics.training.divergence import CLIPPED_ITERATIONS, ClippedLosses, DivergedError, StuckHeads, check_losses
from mindpics.training.train import solve

TRAIN_NET = Path(__file__).resolve().parents[2] / "tools" / "train_net"
ENDLESS = 5000  # iterations of a training that is to be interrupted: a minute, so that none ends before it is looked at


def changed_solver(path, **fields):
    message = read_message(path, caffe_pb2.SolverParameter())
    for name, value in fields.items():
        setattr(message, name, value)
    write_message(message, path)


def changed_net(solver_path, change):
    net_path = read_message(solver_path, caffe_pb2.SolverParameter()).net
    net = read_message(net_path, caffe_pb2.NetParameter())
    change(net)
    write_message(net, net_path)


def test_all_in_one_net_learns_every_head(small_job, pictures, tmp_path):
    solver, deploy = small_job
    # From seeds 1 to 12 and with two processors' rounding the last losses were at most .07 of the first. With the job's
    # own batches of 20, four pictures a head, a head in ten learns nothing: which is up to the processor.
    changed_net(solver, lambda net: setattr(net.layer[0].data_param, "batch_size", 40))
    changed_solver(solver, base_lr=0.01, stepsize=180, max_iter=240)
    history = solve(solver, tmp_path / "run", progress=False)
    first, last = history.train[:20], history.train[-20:]
    for trait in "OCEAN":
        before, after = (np.mean([row[f"loss_{trait}"] for row in rows]) for rows in (first, last))
        assert after < 0.5 * before, trait
    ids, labels, scores = score_lmdb(
        [(deploy, history.caffemodel)], pictures / "mean.binaryproto", pictures / "test_lmdb"
    )
    save_scores(tmp_path / "scores.npz", ids, labels, scores)
    figures = evaluate(*load_scores(tmp_path / "scores.npz")[1:])
    assert len(ids) == 200
    assert ids[0] == "p0"
    for trait in "OCEAN":
        assert figures[trait]["low95"] > 0.5, trait
    # Caffe's average over batches of the same net is close to the pooled figure
    live = np.mean([history.test[-1][f"accuracy_{trait}"] for trait in "OCEAN"])
    assert live == pytest.approx(figures["avg"]["accuracy"], abs=0.05)


def test_run_folder_holds_the_whole_run(small_job, tmp_path):
    run = tmp_path / "run"
    history = solve(small_job[0], run, iterations=60, progress=False)
    facts = json.loads((run / "run.json").read_text())
    assert facts["iterations"] == 60
    assert facts["random_seed"] == 1
    assert len(facts["caffemodel_sha256"]) == 64
    assert history.caffemodel == run / "final.caffemodel"
    with open(run / "train.csv", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["iteration"]) for row in rows] == list(range(60))
    assert {"lr", "loss_O", "loss_N"} <= set(rows[0])
    with open(run / "test.csv", encoding="utf-8") as stream:
        assert [int(row["iteration"]) for row in csv.DictReader(stream)] == [45, 60]
    solver = read_message(run / "solver.prototxt", caffe_pb2.SolverParameter())
    assert solver.net == str(run / "net.prototxt")


def test_a_log_level_of_the_users_hides_nothing_of_a_run(small_job, tmp_path):
    command = [sys.executable, TRAIN_NET, small_job[0], "--out", tmp_path / "run", "--iterations", "50"]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "GLOG_minloglevel": "2"})
    assert "Iteration 40" in (tmp_path / "run" / "caffe.log").read_text()
    with open(tmp_path / "run" / "test.csv", encoding="utf-8") as stream:
        assert [int(row["iteration"]) for row in csv.DictReader(stream)] == [45, 50]


def test_caffes_own_parse_log_reads_the_log(small_job, tmp_path):
    solve(small_job[0], tmp_path / "run", iterations=100, progress=False)
    parse_log = Path(sys.executable).with_name("parse_log.py")
    subprocess.run([sys.executable, "-W", "error", parse_log, tmp_path / "run" / "caffe.log", tmp_path], check=True)
    with open(tmp_path / "caffe.log.train", encoding="utf-8") as stream:
        train = list(csv.DictReader(stream))
    assert [float(row["NumIters"]) for row in train] == [0, 20, 40, 60, 80]
    assert {float(row["LearningRate"]) for row in train} == {0.02}
    assert float(train[0]["loss_O"]) > 0
    with open(tmp_path / "caffe.log.test", encoding="utf-8") as stream:
        test = list(csv.DictReader(stream))
    assert [float(row["NumIters"]) for row in test] == [45, 90]
    assert 0 <= float(test[0]["accuracy_O"]) <= 1


def test_same_seed_same_weights(small_job, tmp_path):
    runs = [solve(small_job[0], tmp_path / name, iterations=5, progress=False) for name in "ab"]
    first, second = (run.caffemodel.read_bytes() for run in runs)
    assert first == second
    other = solve(small_job[0], tmp_path / "c", iterations=5, seed=2, progress=False)
    assert other.caffemodel.read_bytes() != first


def test_killed_run_goes_on_from_its_newest_whole_snapshot(small_job, tmp_path):
    solver, _ = small_job
    changed_solver(solver, snapshot=10, max_iter=ENDLESS, base_lr=0.001)
    run = tmp_path / "run"
    process = subprocess.Popen([sys.executable, TRAIN_NET, solver, "--out", run], stderr=subprocess.DEVNULL)
    while not (run / "snapshots" / "net_iter_20.solverstate").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    newest = max(int(p.stem.rsplit("_", 1)[1]) for p in (run / "snapshots").glob("*.solverstate"))
    half = run / "snapshots" / f"net_iter_{newest + 10}.solverstate"
    half.write_bytes((run / "snapshots" / f"net_iter_{newest}.solverstate").read_bytes()[:100])
    end = newest + 30
    history = solve(solver, run, iterations=end, resume=True, progress=False)
    assert history.iteration == end
    assert json.loads((run / "run.json").read_text())["resumed_from"].endswith(f"net_iter_{newest}.solverstate")
    iterations = [row["iteration"] for row in history.train]
    # the row of the iteration that took the snapshot may be the one thing that was not yet written
    assert set(range(end)) - set(iterations) <= {newest - 1}
    assert iterations == sorted(set(iterations))


def test_ctrl_c_takes_a_snapshot_and_says_how_to_go_on(small_job, tmp_path):
    solver, _ = small_job
    changed_solver(solver, max_iter=ENDLESS, base_lr=0.001)
    run = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, TRAIN_NET, solver, "--out", run], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    while not (run / "train.csv").exists() or len((run / "train.csv").read_text().splitlines()) < 20:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate()
    assert process.returncode == 130
    iteration = re.search(r"interrupted at iteration (\d+); go on with: (.*--resume)", printed).group(1)
    assert (run / "snapshots" / f"net_iter_{iteration}.solverstate").exists()
    assert not (run / "final.caffemodel").exists()


def test_weights_are_copied_by_name_and_the_fit_is_kept(small_job, tmp_path):
    solver, _ = small_job
    first = solve(solver, tmp_path / "first", iterations=2, progress=False)
    changed_net(solver, lambda net: [rename(layer, "score_N", "score_new") for layer in net.layer])
    solve(solver, tmp_path / "second", first.caffemodel, iterations=1, progress=False)
    fit = json.loads((tmp_path / "second" / "run.json").read_text())["weights_fit"]
    assert "left at their fillers: score_new;" in fit
    assert fit.endswith("in the file only: score_N")


def test_a_run_that_goes_on_has_the_weights_it_began_with(small_job, tmp_path):
    solver, _ = small_job
    first = solve(solver, tmp_path / "first", iterations=2, progress=False).caffemodel
    undisturbed = solve(solver, tmp_path / "undisturbed", first, iterations=4, progress=False)
    changed_solver(solver, snapshot=ENDLESS)
    run = tmp_path / "run"
    command = [sys.executable, TRAIN_NET, solver, "--out", run, "--weights", first, "--iterations", ENDLESS]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL)
    while not (run / "train.csv").exists() or len((run / "train.csv").read_text().splitlines()) < 3:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()  # before its first snapshot
    process.wait()
    solve(solver, run, iterations=2, resume=True, progress=False)
    history = solve(solver, run, iterations=4, resume=True, progress=False)
    assert history.caffemodel.read_bytes() == undisturbed.caffemodel.read_bytes()
    facts = [json.loads((folder / "run.json").read_text()) for folder in (run, tmp_path / "undisturbed")]
    assert facts[0]["weights"]["path"] == str(first)
    assert [facts[0][name] for name in ("weights", "weights_fit")] == [
        facts[1][name] for name in ("weights", "weights_fit")
    ]
    with pytest.raises(ValueError, match=r"wanted the same again, or none given, since this run began with .*first"):
        solve(solver, run, undisturbed.caffemodel, iterations=6, resume=True, progress=False)
    message = read_message(solver, caffe_pb2.SolverParameter())
    message.weights.append(str(undisturbed.caffemodel))  # the solver's own are of a new run alone
    assert solve(message, run, iterations=5, resume=True, progress=False).iteration == 5
    for snapshot in (run / "snapshots").glob("net_iter*"):
        snapshot.unlink()
    first.write_bytes(undisturbed.caffemodel.read_bytes())
    with pytest.raises(ValueError, match=r"found another file than the run began with \(SHA-256 .{8}…\)"):
        solve(solver, run, iterations=5, resume=True, progress=False)
    with pytest.raises(ValueError, match="this run began with its fillers"):
        solve(solver, tmp_path / "first", undisturbed.caffemodel, iterations=6, resume=True, progress=False)


def rename(layer, old, new):
    for names in (layer.bottom, layer.top):
        for index, name in enumerate(names):
            if name == old:
                names[index] = new
    if layer.name == old:
        layer.name = new


def layer_named(net, name):
    return next(layer for layer in net.layer if layer.name == name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda net: setattr(net.layer[0].data_param, "source", "/nowhere"),
            "/nowhere: found no data.mdb; wanted an LMDB",
        ),
        (
            lambda net: setattr(net.layer[0].transform_param, "crop_size", 64),
            "crop_size 64; wanted at most",
        ),
        (
            lambda net: setattr(net.layer[1].transform_param, "mean_file", "none"),
            "none: found no such file; wanted a mean",
        ),
        (
            lambda net: setattr(layer_named(net, "loss_O").python_param, "module", "os"),
            "layer loss_O would import the Python module 'os'",
        ),
    ],
)
def test_what_caffe_would_abort_on_or_import_is_refused(small_job, tmp_path, change, message):
    changed_net(small_job[0], change)
    with pytest.raises(ValueError, match=message):
        solve(small_job[0], tmp_path / "run", progress=False)


def test_weights_of_another_shape_and_no_weights_at_all(small_job, tmp_path):
    solver, _ = small_job
    first = solve(solver, tmp_path / "first", iterations=1, progress=False)
    (tmp_path / "bad.caffemodel").write_bytes(b"not a model")
    with pytest.raises(ValueError, match="bad.caffemodel: found what cannot be read .*; wanted a caffemodel"):
        solve(solver, tmp_path / "run", tmp_path / "bad.caffemodel", progress=False)
    changed_net(solver, lambda net: setattr(layer_named(net, "conv1").convolution_param, "num_output", 6))
    with pytest.raises(ValueError, match=r"layer conv1 has blobs \[\(4, 3, 7, 7\), \(4,\)\], the net wants \[\(6,"):
        solve(solver, tmp_path / "run", first.caffemodel, progress=False)


def test_without_cuda_a_gpu_is_refused_in_words(small_job, tmp_path):
    with pytest.raises(ValueError, match="gpu=99: found a Caffe built without CUDA, or no such device"):
        solve(small_job[0], tmp_path / "run", gpu=99, progress=False)


def test_divergence_is_stopped_and_named(small_job, tmp_path):
    changed_solver(small_job[0], base_lr=1e6)
    with pytest.raises(DivergedError, match="iteration .*: loss_.* lower base_lr") as raised:
        solve(small_job[0], tmp_path / "run", progress=False)
    _is_failed(tmp_path / "run", raised.value)


def _is_failed(run, error):
    """A run that diverged: no result for later stages, its history with the error, strict JSON that verify reads."""
    assert not (run / "final.caffemodel").exists()
    assert 0 < error.iteration == error.history.iteration <= len(error.history.train) + 1

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    facts = json.loads((run / "run.json").read_text(), parse_constant=refuse)
    assert facts["diverged"] == str(error) and facts["caffemodel_sha256"] is None
    assert "run-diverged" in {finding.check for finding in verify(run) if finding.severity == "error"}


def test_a_training_whose_last_update_is_not_finite_fails(small_job, tmp_path):
    changed_solver(small_job[0], base_lr=1e30)
    with pytest.raises(DivergedError, match="iteration 1: .* (not finite|last test is nan)") as raised:
        solve(small_job[0], tmp_path / "run", iterations=1, progress=False)  # its one loss was computed before that
    _is_failed(tmp_path / "run", raised.value)


def amplify(net):
    for layer in net.layer:
        if layer.loss_weight:
            layer.loss_weight[0] = 1e25


def test_weights_that_are_not_finite_at_a_snapshot_are_a_divergence(small_job, tmp_path):
    changed_solver(small_job[0], base_lr=1e30, snapshot=1)
    changed_net(small_job[0], amplify)
    with pytest.raises(DivergedError, match="iteration 1: layer .* has weights that are not finite") as raised:
        solve(small_job[0], tmp_path / "run", progress=False)
    _is_failed(tmp_path / "run", raised.value)
    assert not list((tmp_path / "run/snapshots").rglob("net_iter*"))


class AfterOneStep(list):
    """Signals of which one has come when they are looked at again."""

    looks = 0

    def __bool__(self):
        self.looks += 1
        return self.looks > 1


def test_an_interruption_at_weights_that_are_not_finite_is_a_divergence(small_job, tmp_path, monkeypatch):
    changed_solver(small_job[0], base_lr=1e30)
    changed_net(small_job[0], amplify)
    monkeypatch.setattr(solver_run, "interruptible", lambda: nullcontext(AfterOneStep()))
    with pytest.raises(DivergedError, match="iteration 1: layer .* has weights that are not finite") as raised:
        solve(small_job[0], tmp_path / "run", progress=False)
    _is_failed(tmp_path / "run", raised.value)


def test_a_history_that_overflows_alone_is_a_divergence(small_job, tmp_path):
    """AdaGrad sums the squares of gradients, and divides by their root: the weights stand still, and are finite."""
    changed_solver(small_job[0], type="AdaGrad", momentum=0, base_lr=1e-6, snapshot=1)
    changed_net(small_job[0], amplify)
    with pytest.raises(DivergedError, match="iteration 1: the history of the solver has values that are not") as raised:
        solve(small_job[0], tmp_path / "run", progress=False)
    _is_failed(tmp_path / "run", raised.value)


def test_the_tool_fails_on_a_training_that_diverges(small_job, tmp_path):
    command = [sys.executable, TRAIN_NET, small_job[0], "--out", tmp_path / "run", "--base-lr", "1e6"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 1 and "lower base_lr" in ended.stderr and "Traceback" not in ended.stderr
    assert not (tmp_path / "run/final.caffemodel").exists()


@pytest.mark.parametrize(
    ("loss", "word"),
    [
        (float("nan"), "is nan; lower"),
        (np.inf, "is inf; lower"),
        (-np.inf, "is -inf; "),
    ],
)
def test_bad_losses_are_named(loss, word):
    check_losses(3, {"loss_O": 0.7})
    with pytest.raises(DivergedError, match=f"iteration 3: loss_C {word}"):
        check_losses(3, {"loss_O": 0.7, "loss_C": loss})


def test_a_loss_at_its_clip_is_a_divergence_once_it_stays_there():
    watch, rare, losses = ClippedLosses(1000, {"loss_C"}), ClippedLosses(0, {"loss_C"}), {"loss_C": 87.3365}
    for iteration in range(CLIPPED_ITERATIONS - 1):
        watch.update(iteration, losses | {"loss_O": 90.0})
    watch.update(99, {"loss_C": 87.3})  # it leaves the clip, and the count begins anew
    for iteration in range(100, 99 + CLIPPED_ITERATIONS):
        watch.update(iteration, losses)
    with pytest.raises(DivergedError, match="iteration 199: loss_C is 87.34, that is .*for 100 iterations running"):
        watch.update(199, losses)
    for iteration in range(2 * CLIPPED_ITERATIONS):
        rare.update(iteration, losses)  # patience=0: for ever


def test_a_stuck_head_is_named_and_a_learning_one_is_not():
    class Blob:
        def __init__(self, data):
            self.data = data

    rng = np.random.default_rng(0)

    def blobs(score_c):
        labels = rng.integers(0, 4, 40)
        right = np.eye(2)[labels % 2] * 3
        return {"label": Blob(labels), "score_O": Blob(right), "score_C": Blob(score_c * right)}

    watch = StuckHeads(40, {0: ("score_O", "label"), 1: ("score_C", "label")})
    for iteration in range(30):  # a slow start
        watch.update(iteration, blobs(score_c=0))
    for iteration in range(30, 40):
        watch.update(iteration, blobs(score_c=1))
    with pytest.raises(DivergedError, match="iteration 79: head C is stuck at 0.69"):
        for iteration in range(40, 100):
            watch.update(iteration, blobs(score_c=0))


def test_a_training_looks_at_no_more_blobs_than_it_tells_of(small_job, tmp_path, monkeypatch):
    """Layers share passes and memory only of blobs that Python has not seen: a ResNet-50 step took twice as long."""
    seen, data = set(), caffe._caffe.Blob.data
    monkeypatch.setattr(
        caffe._caffe.Blob, "data", property(lambda blob: seen.add(tuple(blob.shape)) or data.fget(blob))
    )
    solve(small_job[0], tmp_path / "run", iterations=1, progress=False)
    assert seen and not [shape for shape in seen if len(shape) == 4 and shape[0] == 20]


def test_a_run_is_neither_overwritten_unasked_nor_lost_to_a_new_one_that_cannot_start(small_job, tmp_path):
    solver, _ = small_job
    first = solve(solver, tmp_path / "run", iterations=1, progress=False)
    with pytest.raises(ValueError, match="found a run; wanted resume=True to go on"):
        solve(solver, tmp_path / "run", iterations=1, progress=False)
    changed_net(solver, lambda net: setattr(net.layer[0].data_param, "source", "/nowhere"))
    with pytest.raises(ValueError, match="found no data.mdb; wanted an LMDB"):
        solve(solver, tmp_path / "run", overwrite=True, progress=False)
    assert first.caffemodel.exists()


def test_missing_net_says_from_where_it_was_looked_for(small_job, tmp_path):
    changed_solver(small_job[0], net="nowhere.prototxt")
    with pytest.raises(ValueError, match="found no file nowhere.prototxt; wanted its net .paths are relative to /"):
        solve(small_job[0], tmp_path / "run", progress=False)


def test_room_for_snapshots_is_looked_for_before_the_first_iteration(small_job, tmp_path, monkeypatch, capfd):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=8_000_000))  # a snapshot takes 1.3 MB
    solve(small_job[0], tmp_path / "run", snapshot=2, max_iter=20)
    assert re.search(r"run: 10 snapshots to come take \d+ bytes at most, 8000000 are free", capfd.readouterr().err)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="no room for a snapshot"):
        solve(small_job[0], tmp_path / "full" / "run", progress=False)
    assert not (tmp_path / "full").exists()
