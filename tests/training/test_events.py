"""TensorBoard event files of real trainings, read back as TensorBoard reads them."""

import csv
import subprocess
import sys
import time
from pathlib import Path

import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format
from tensorboardX.proto.event_pb2 import Event, SessionLog

from mindpics.training import events
from mindpics.training.train import solve

TRAIN_NET = Path(__file__).resolve().parents[2] / "tools" / "train_net"


def records(path):
    """Yield the Events of a file: length (8 bytes), its checksum (4), data, its checksum (4)."""
    data, start = path.read_bytes(), 0
    while start < len(data):
        end = start + 12 + int.from_bytes(data[start : start + 8], "little")
        if end + 4 > len(data):
            return  # a killed run's last
        yield Event.FromString(data[start + 12 : end])
        start = end + 4


def read_scalars(folder):
    """Return {tag: [(step, value), ...]}; a START voids what was written at its step or beyond."""
    scalars = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in records(path):
            if event.session_log.status == SessionLog.START:
                for tag, points in scalars.items():
                    scalars[tag] = [point for point in points if point[0] < event.step]
            for value in event.summary.value:
                scalars.setdefault(value.tag, []).append((event.step, value.simple_value))
    return scalars


def read_csv(path):
    with open(path, encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def assert_equal_to_csvs(run):
    """Every number of train.csv and test.csv is there, once, at its iteration, and nothing else."""
    scalars = read_scalars(run)
    for phase in ("train", "test"):
        rows = read_csv(run / f"{phase}.csv")
        names = [name for name in rows[0] if name != "iteration"]
        assert {tag for tag in scalars if tag.startswith(phase)} == {f"{phase}/{name}" for name in names}
        for name in names:
            found = scalars[f"{phase}/{name}"]
            assert [step for step, _ in found] == [int(row["iteration"]) for row in rows], name
            assert [value for _, value in found] == pytest.approx([float(row[name]) for row in rows], rel=1e-6)
    return scalars


def test_losses_rate_and_tests_at_their_iterations(small_job, tmp_path):
    history = solve(small_job[0], tmp_path / "run", iterations=60, tensorboard=True, progress=False)
    scalars = assert_equal_to_csvs(tmp_path / "run")
    assert [step for step, _ in scalars["test/accuracy_O"]] == [45, 60]
    assert len(scalars["train/lr"]) == len(history.train) == 60
    assert {tag.split("/")[1] for tag in scalars} >= {f"loss_{trait}" for trait in "OCEAN"}


def test_a_killed_and_resumed_run_has_each_iteration_once(small_job, tmp_path):
    solver, run = small_job[0], tmp_path / "run"
    message = text_format.Parse(solver.read_text(), caffe_pb2.SolverParameter())
    message.snapshot, message.test_interval, message.base_lr = 20, 15, 0.001
    message.max_iter = 5000  # a minute: it is killed before its end
    solver.write_text(text_format.MessageToString(message))
    process = subprocess.Popen([sys.executable, TRAIN_NET, solver, "--out", run], stderr=subprocess.DEVNULL)
    while len(read_csv(run / "train.csv") if (run / "train.csv").exists() else ()) < 50:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    end = len(read_csv(run / "train.csv")) + 40
    solve(solver, run, iterations=end, resume=True, tensorboard=True, progress=False)
    assert_equal_to_csvs(run)
    files = sorted(run.glob("events.*"))
    assert len(files) == 2
    steps = [event.step for event in records(files[0]) if event.summary.value]
    assert steps  # the killed process had written some


def test_a_restart_voids_only_what_is_written_again(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "AGAIN", 3)
    rows = [{"iteration": step, "loss": step / 10, "lr": float("nan")} for step in range(20)]
    for begin, end in ((0, 12), (10, 20)):
        board = events.Events(tmp_path)
        board.begin(begin, train=rows[:begin])
        for row in rows[begin:end]:
            board.add("train", row)
        board.close()
    assert list(read_scalars(tmp_path)) == ["train/loss"]  # a rate that is nan is left out
    assert [step for step, _ in read_scalars(tmp_path)["train/loss"]] == list(range(20))
    second = max(tmp_path.glob("events.*"))
    assert [event.step for event in records(second) if event.summary.value] == list(range(7, 20))


def test_switched_off_or_without_the_library_training_goes_on(small_job, tmp_path, monkeypatch):
    solve(small_job[0], tmp_path / "off", iterations=1, tensorboard=False, progress=False)
    monkeypatch.setattr(events, "SummaryWriter", None)
    solve(small_job[0], tmp_path / "without", iterations=1, progress=False)
    assert not list(tmp_path.glob("*/events.*"))
    with pytest.raises(ValueError, match="found no tensorboardX"):
        solve(small_job[0], tmp_path / "asked", iterations=1, tensorboard=True, progress=False)
    assert not (tmp_path / "asked" / "net.prototxt").exists()
