"""Nets and weights of strangers: what would import, write or end the process is refused by each tool that opens one."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import caffe
import lmdb
import numpy as np
import pytest
from caffe.proto import caffe_pb2

from mindpics.caffe_files.blobs import read_weights
from mindpics.caffe_files.lmdb_check import check_records
from mindpics.caffe_files.messages import read_message, write_message
from mindpics.caffe_files.snapshots import Snapshots
from mindpics.files.lock import locked
from mindpics.inference.feature_net import FeatureNet
from mindpics.jobs.runner import Runner
from mindpics.jobs.stages import Stage, StageError
from mindpics.training.train import solve

TOOLS = Path(__file__).resolve().parents[2] / "tools"
EVIL = "import pathlib\npathlib.Path({mark!r}).touch()\nimport caffe\nclass L(caffe.Layer):\n    pass\n"


@pytest.fixture
def evil(small_job, tmp_path, monkeypatch):
    """(solver, deploy, weights, mark): nets that import a module; it leaves a mark when it is imported."""
    solver, deploy = small_job
    mark = tmp_path / "imported"
    (tmp_path / "evil.py").write_text(EVIL.format(mark=str(mark)))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    caffe.Net(str(deploy), caffe.TEST).save(str(tmp_path / "w.caffemodel"))
    for path in (deploy, tmp_path / "train_val.prototxt"):
        net = read_message(path, caffe_pb2.NetParameter())
        net.layer.add(
            name="evil",
            type="Python",
            bottom=[net.layer[0].top[0]],
            top=["evil"],
            python_param={"module": "evil", "layer": "L"},
        )
        write_message(net, path)
    return solver, deploy, tmp_path / "w.caffemodel", mark


def tool(name, *arguments):
    command = [sys.executable, TOOLS / name, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_python_layers_of_others_are_imported_by_no_tool(evil, pictures, tmp_path):
    solver, deploy, weights, mark = evil
    pictures_csv = tmp_path / "list.csv"
    pictures_csv.write_text("id,image\na,a.png\n")
    mean, test = pictures / "mean.binaryproto", pictures / "test_lmdb"
    for done in (
        tool("train_net", solver, "--out", tmp_path / "run"),
        tool("score_net", "--net", deploy, weights, "--mean", mean, "--lmdb", test, "--out", tmp_path / "s.npz"),
        tool("extract_features", deploy, weights, "--mean", mean, "--csv", pictures_csv, "--out", tmp_path / "f"),
        tool("lint_net", deploy, "--weights", weights),
    ):
        assert done.returncode not in (0, -signal.SIGABRT, -signal.SIGSEGV)
        assert "would import the Python module 'evil'" in done.stdout + done.stderr
        assert not mark.exists()


def test_they_are_imported_when_allowed(evil, pictures, tmp_path):
    """Or the test above would pass for want of a module."""
    _, deploy, weights, mark = evil
    tool(
        "score_net",
        "--net",
        deploy,
        weights,
        "--mean",
        pictures / "mean.binaryproto",
        "--lmdb",
        pictures / "test_lmdb",
        "--out",
        tmp_path / "s.npz",
        "--allow-python-layers",
    )
    assert mark.exists()


@pytest.mark.parametrize("field", ["test_net", "train_net", "net_param"])
def test_a_second_net_in_a_solver_is_refused(small_job, tmp_path, field):
    solver, _ = small_job
    message = read_message(solver, caffe_pb2.SolverParameter())
    if field == "test_net":
        message.test_net.append("evil.prototxt")
    elif field == "train_net":
        message.train_net = "evil.prototxt"
    else:
        message.net_param.name = "evil"
    told = (
        "found no file evil.prototxt; wanted its net"
        if field == "test_net"
        else "; wanted one of net, net_param, train_net"
    )
    with pytest.raises(ValueError, match=told):
        solve(message, tmp_path / "run", progress=False)


def test_a_test_net_of_its_own_is_checked_as_the_first_is(small_job, tmp_path):
    solver, deploy = small_job
    message = read_message(solver, caffe_pb2.SolverParameter())
    net = read_message(message.net, caffe_pb2.NetParameter())
    net.layer.add(name="out", type="HDF5Output", bottom=["data", "label"], hdf5_output_param={"file_name": "written"})
    write_message(net, deploy)
    message.test_net.append(str(deploy))
    with pytest.raises(ValueError, match="layer out would write the file 'written'"):
        solve(message, tmp_path / "run", progress=False)


def test_a_layer_that_writes_files_is_refused(small_job, tmp_path):
    _, deploy = small_job
    net = read_message(deploy, caffe_pb2.NetParameter())
    net.layer.add(
        name="out",
        type="HDF5Output",
        bottom=["data", "data"],
        hdf5_output_param={"file_name": str(tmp_path / "overwritten")},
    )
    write_message(net, deploy)
    with pytest.raises(ValueError, match="layer out would write the file .*overwritten"):
        FeatureNet(deploy, tmp_path / "w.caffemodel")
    assert not (tmp_path / "overwritten").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda blob: blob.data.pop(), "values; wanted as many as the shape"),
        (lambda blob: blob.shape.dim.append(1 << 40), "at most 32 axes"),
        (lambda blob: blob.data.__setitem__(0, np.nan), "not finite"),
    ],
    ids=["short", "huge", "nan"],
)
def test_weights_that_caffe_would_abort_on_are_named(small_job, tmp_path, change, message):
    _, deploy = small_job
    net = caffe.Net(str(deploy), caffe.TEST)
    net.save(str(tmp_path / "w.caffemodel"))
    stored = caffe_pb2.NetParameter.FromString((tmp_path / "w.caffemodel").read_bytes())
    change(next(layer for layer in stored.layer if layer.name == "score_O").blobs[0])
    (tmp_path / "w.caffemodel").write_bytes(stored.SerializeToString())
    with pytest.raises(ValueError, match=message):
        FeatureNet(deploy, tmp_path / "w.caffemodel", blob="pool5")


def test_weights_that_the_solver_names_itself_are_taken(small_job, tmp_path):
    """By us: Caffe would read them, and abort on a broken file."""
    solver, deploy = small_job
    net = caffe.Net(str(deploy), caffe.TEST)
    net.params["conv1"][0].data[...] = 7
    net.save(str(tmp_path / "w.caffemodel"))
    message = read_message(solver, caffe_pb2.SolverParameter())
    message.weights.append(str(tmp_path / "w.caffemodel"))
    message.base_lr = 1e-9
    history = solve(message, tmp_path / "run", iterations=1, progress=False)
    np.testing.assert_allclose(read_weights(history.caffemodel)["conv1"][0], 7, atol=1e-3)
    (tmp_path / "w.caffemodel").write_bytes(b"no weights")
    with pytest.raises(ValueError, match="w.caffemodel: found what cannot be read .*; wanted a caffemodel"):
        solve(message, tmp_path / "other", iterations=1, progress=False)


def test_a_record_deep_in_an_lmdb_is_found_before_training(small_job, pictures, tmp_path):
    """Caffe would come to it in iteration 19, and abort."""
    solver, _ = small_job
    shutil.copytree(pictures / "train_lmdb", tmp_path / "lmdb")
    short = caffe_pb2.Datum(channels=3, height=36, width=36, data=b"x").SerializeToString()
    with lmdb.open(str(tmp_path / "lmdb"), map_size=1 << 28) as environment, environment.begin(write=True) as put:
        put.put(b"00000399_p399", short)
    message = read_message(solver, caffe_pb2.SolverParameter())
    net = read_message(message.net, caffe_pb2.NetParameter())
    next(layer for layer in net.layer if layer.type == "Data").data_param.source = str(tmp_path / "lmdb")
    write_message(net, message.net)
    with pytest.raises(ValueError, match="key '00000399_p399': found a Datum of 1 bytes"):
        solve(solver, tmp_path / "run", progress=False)
    assert list(check_records(pictures / "train_lmdb").shapes) == [(3, 36, 36)]


def test_a_second_training_in_one_folder_is_refused_with_the_first_ones_id(small_job, tmp_path):
    solver, _ = small_job
    message = read_message(solver, caffe_pb2.SolverParameter())
    message.max_iter, message.base_lr = 5000, 0.001  # at work until it is killed
    write_message(message, solver)
    run = tmp_path / "run"
    first = subprocess.Popen(
        [sys.executable, TOOLS / "train_net", solver, "--out", run],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not (run / "train.csv").exists():
            assert first.poll() is None
            time.sleep(0.05)
        for arguments in (("--resume",), ("--force",)):
            done = tool("train_net", solver, "--out", run, *arguments)
            assert done.returncode == 1
            assert done.stderr == f"train_net: {run}: found process {first.pid} at work there; wanted none\n"
    finally:
        first.kill()
        first.wait()
    with locked(run):  # the lock went with the process
        pass


def test_a_second_job_in_one_folder_is_refused_with_the_first_ones_id(tmp_path):
    stage = Stage("sleep", ("-c", "import time; time.sleep(60)"), (), (str(tmp_path / "out"),))
    script = (
        "from mindpics.jobs.runner import Runner; from mindpics.jobs.stages import Stage; "
        f"Runner([{stage!r}], {str(tmp_path / 'run')!r}).run()"
    )
    first = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL)
    try:
        while not list(tmp_path.glob("run/logs/sleep.log")):
            assert first.poll() is None
            time.sleep(0.05)
        with pytest.raises(StageError, match=f"process {first.pid} at work there"):
            Runner([stage], tmp_path / "run").run()
    finally:
        first.kill()  # and the stage goes with it
        first.wait()


@pytest.mark.parametrize("broken", ["cut", "nan", "iteration", "no caffemodel", "other net"])
def test_resuming_takes_the_newest_whole_snapshot_and_says_what_it_passed_over(small_job, tmp_path, capfd, broken):
    solver, _ = small_job
    message = read_message(solver, caffe_pb2.SolverParameter())
    message.snapshot = 2
    solve(message, tmp_path / "run", iterations=4, progress=False)
    folder = tmp_path / "run/snapshots"
    state, model = folder / "net_iter_4.solverstate", folder / "net_iter_4.caffemodel"
    if broken == "cut":
        model.write_bytes(model.read_bytes()[:-1000])
    elif broken == "no caffemodel":
        model.unlink()
    elif broken == "iteration":
        state.write_bytes((folder / "net_iter_2.solverstate").read_bytes())
    else:
        stored = caffe_pb2.NetParameter.FromString(model.read_bytes())
        blob = next(layer for layer in stored.layer if layer.blobs).blobs[0]
        if broken == "nan":
            blob.data[0] = np.inf
        else:
            del stored.layer[next(i for i, layer in enumerate(stored.layer) if layer.blobs)]
        model.write_bytes(stored.SerializeToString())
    capfd.readouterr()
    solve(message, tmp_path / "run", iterations=5, resume=True)
    said = capfd.readouterr().err
    assert "passed over, not a whole snapshot: " in said and "net_iter_4" in said
    assert "resuming at iteration 2 from" in said


def test_a_folder_that_was_moved_is_gone_on_with(small_job, tmp_path):
    """A solverstate holds its caffemodel's path, on which Caffe would abort."""
    solver, _ = small_job
    solve(solver, tmp_path / "run", iterations=2, progress=False)
    (tmp_path / "run").rename(tmp_path / "moved")
    assert solve(solver, tmp_path / "moved", iterations=3, resume=True, progress=False).iteration == 3
    state, model, _ = Snapshots(tmp_path / "moved/snapshots").newest()
    assert caffe_pb2.SolverState.FromString(state.read_bytes()).learned_net == str(model)
