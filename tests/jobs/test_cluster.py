"""Dask gives what the serial path gives, also when a worker is killed on the way."""

import os
import signal
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Thread

import cv2
import numpy as np
import pytest
from distributed import LocalCluster
from joblib import parallel_config

from mindpics.jobs import cluster, commands, parallel
from mindpics.jobs.runner import Runner
from mindpics.jobs.stages import Stage, StageError
from pinterest_id.choice_of_C import Data, Fitting, choose, refit
from pinterest_id.linear_models import load_model


@pytest.fixture(scope="module")
def dask():
    with cluster.connect("local", workers=2, gpu=True) as dask:
        yield dask


@pytest.fixture
def client(dask):
    return dask.client


@pytest.fixture
def rows(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(40):
        cv2.imwrite(str(tmp_path / f"{i}.png"), rng.integers(0, 255, (50, 40, 3), np.uint8))
    (tmp_path / "7.png").write_bytes(b"no picture")
    return [(f"p{i}", tmp_path / f"{i}.png", i % 10) for i in range(40)]


def slow(item):
    time.sleep(0.05)
    if item == 13:
        os._exit(3)
    if item == 17:
        raise ValueError("not this one")
    return str(item).encode()


def test_a_cluster_of_its_own_listens_on_this_machine_only(client):
    assert client.scheduler.address.startswith("tls://127.0.0.1:")
    assert client.dashboard_link.startswith("http://127.0.0.1:")
    assert all(address.startswith("tls://127.0.0.1:") for address in client.scheduler_info()["workers"])


def test_outcomes_are_those_of_the_serial_run(dask, tmp_path):
    wanted = list(parallel.run_each(slow, range(8, 20), workers=2))
    assert list(dask.run_each(tmp_path / "shards", slow, range(8, 20), shard=5)) == wanted
    assert {reason for _, _, reason in wanted} == {None, "not this one", "crashed its process (exit code 3)"}
    assert not (tmp_path / "shards").exists()


def test_a_killed_worker_costs_time_only(dask, client, tmp_path):
    pids = client.run(os.getpid)
    outcomes = dask.run_each(tmp_path / "shards", slow, range(100, 160), shard=20)
    found = [next(outcomes)]  # the first shard is done, the second and third are on the way
    os.kill(next(iter(pids.values())), signal.SIGKILL)
    found += outcomes
    assert [(item, result) for item, result, _ in found] == [(i, str(i).encode()) for i in range(100, 160)]
    client.wait_for_workers(2, timeout=30)
    assert set(client.run(os.getpid).values()) != set(pids.values())


def test_an_lmdb_of_the_cluster_is_that_of_one_process(dask, tmp_path, rows):
    from mindpics.datasets import picture_lmdb

    run = partial(dask.run_each, tmp_path / "shards", shard=9)
    assert picture_lmdb.write_lmdb(rows, tmp_path / "theirs", size=32, run=run) == (39, 1)
    assert picture_lmdb.write_lmdb(rows, tmp_path / "ours", size=32, workers=1) == (39, 1)
    for name in ("{}/data.mdb", "{}.rejected.jsonl"):
        ours, theirs = ((tmp_path / name.format(who)).read_bytes() for who in ("ours", "theirs"))
        assert ours == theirs


STAGE = """
import pathlib, sys, time
name, *given = sys.argv[1:]
if name == "long" and "--resume" not in given:
    pathlib.Path("long.pid").write_text(str(__import__("os").getpid()))
    time.sleep(60)
pathlib.Path(name).write_text(" ".join([name, *given]))
"""


def test_the_layers_of_a_stage_and_of_a_task_are_those_asked_for_here(dask, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tool").write_text("import os, sys; open(sys.argv[1], 'w').write(os.environ['MINDPICS_ENGINE'])")
    assert list(dask.run_tasks(os.getenv, [("MINDPICS_ENGINE", "none")], set_device=len, gpu="0")) == ["none"]
    monkeypatch.setenv("MINDPICS_ENGINE", "caffe")  # the workers were started without it
    Runner([Stage("a", ("tool", "a"), (), ("a",))], tmp_path / "run", start=dask.start).run()
    assert (tmp_path / "a").read_text() == "caffe"
    with pytest.raises(
        ValueError, match="found MINDPICS_ENGINE=fast; wanted MINDPICS_ENGINE=caffe, .*start the workers"
    ):
        list(dask.run_tasks(os.getenv, [("MINDPICS_ENGINE", "none")], set_device=len, gpu="0"))


def test_stages_run_on_the_cluster_and_a_killed_worker_s_goes_on_elsewhere(dask, client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tool").write_text(STAGE)
    stages = [
        Stage("gpu", ("tool", "first", "--gpu", "0"), (), ("first",)),
        Stage("long", ("tool", "long"), (), ("long",), resumable=True),
        Stage("last", ("tool", "last"), ("first", "long"), ("last",)),
    ]
    runner = Thread(target=Runner(stages, tmp_path / "run", jobs=2, start=dask.start).run)
    runner.start()
    deadline = time.time() + 30
    while not (tmp_path / "long.pid").is_file() and time.time() < deadline:
        time.sleep(0.05)
    time.sleep(0.2)
    stage = int((tmp_path / "long.pid").read_text())
    worker = int(Path(f"/proc/{stage}/stat").read_text().rpartition(")")[2].split()[1])
    assert worker in client.run(os.getpid).values()
    os.kill(worker, signal.SIGKILL)
    runner.join(60)
    assert [(tmp_path / name).read_text() for name in ("first", "long", "last")] == [
        "first --gpu 0",
        "long --resume",
        "last",
    ]
    left = Path(f"/proc/{stage}/stat")  # nobody may have asked for the exit status of the one that died with its worker
    assert not left.exists() or left.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_second_worker_resumes_what_the_first_had_begun_and_no_older_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stage = Stage("train", (), (), (), resumable=True, begun="solver")
    Path("solver").touch()  # of another setting's run
    command = [sys.executable, "-c", "import sys; open('given', 'w').write(sys.argv[-1])"]
    stop = tmp_path / "log.1.stop"
    for begun, given in ((0, "-c"), (0, "-c"), (10, "--resume")):
        os.utime("solver", (time.time() + begun - 5,) * 2)
        assert commands._run(command, tmp_path, tmp_path / "log", 1, stage, stop, commands.layers_asked_for()) == 0
        assert Path("given").read_text() == given


def test_a_failed_stage_on_the_cluster_shows_its_log(dask, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tool").write_text("raise SystemExit('no such pictures')")
    with pytest.raises(StageError, match="(?s)exit status 1.*no such pictures"):
        Runner([Stage("bad", ("tool",), (), ("out",))], tmp_path / "run", start=dask.start).run()


def test_a_stage_that_the_cluster_loses_fails_as_any_other(dask, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tool").write_text("import time; print('line of the log', flush=True); time.sleep(3)")

    def start(*args):
        command = dask.start(*args)
        command.future.cancel()
        return command

    stage = Stage("lost", ("tool",), (), ("out",))
    with pytest.raises(StageError, match=r"(?s)stage lost failed \(exit status 1\).*lost on the cluster \(.*Cancelled"):
        Runner([stage], tmp_path / "run", start=start).run()
    Runner([replace(stage, may_fail=True)], tmp_path / "run", start=start).run()


def test_a_gpu_is_asked_of_workers_that_have_one(dask, capsys):
    with (
        LocalCluster(1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=":0") as without,
        pytest.raises(ValueError, match=r"found 1 workers and none with a GPU; wanted one that .* --resources GPU=1"),
        cluster.connect(without.scheduler_address, gpu=True),
    ):
        raise AssertionError
    cluster._require_gpu(dask.client, "local")


def test_the_grid_of_C_gives_the_same_models_on_the_cluster(dask, tmp_path):
    from sklearn.datasets import load_digits

    X, y = load_digits(n_class=3, return_X_y=True)
    names = y.astype(str)
    data = Data(X[:300], X[300:400], lambda: (X[:400], X[400:]), names[:300], names[300:400])
    fitting = Fitting("liblinear")

    def fitted(folder):
        choice = choose(data, folder, fitting=fitting)
        return choice.validation, refit(data, choice, folder / "final", fitting)[1]

    here = fitted(tmp_path / "here")
    with parallel_config("dask", n_jobs=-1):
        there = fitted(tmp_path / "there")
    assert [np.array_equal(*pair) for pair in zip(here, there, strict=True)] == [True, True]
    for model in ("C0.1", "C1", "C10", "C100", "final"):
        weights = [load_model(tmp_path / where / model) for where in ("here", "there")]
        assert np.array_equal(weights[0].coef, weights[1].coef)
