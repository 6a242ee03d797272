"""The tiny job: left alone, killed at random moments, or out of disk; and what it has made."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import lmdb
import numpy as np
from small_job import make_crawl

SCRIPT = Path(__file__).with_name("small_job.py")
ROW = ["--no-pins", "alexnet/all-in-one/scratch"]
BOTH = ["alexnet/all-in-one/scratch", "resnet50/all-in-one/finetune"]


def start(folder, arguments, **options):
    """Start the job in a process group of its own; `options` are Popen's."""
    environment = os.environ | {"GLOG_minloglevel": "0"}
    with open(folder / "job.log", "a") as log:
        return subprocess.Popen(
            [sys.executable, SCRIPT, *arguments],
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=environment,
            **options,
        )


def kill(process, whole_group):
    """Kill the runner, with or without its stages; return the stages that it was at."""
    if whole_group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def unfinished(folder):
    stamps = folder / "run/.stages"
    return [
        path.name.removesuffix(".begun.json")
        for path in stamps.glob("*.begun.json")
        if not path.with_name(path.name.replace(".begun.", ".done.")).exists()
    ]


def trainings(folder):
    return [name for name in unfinished(folder) if "all-in-one" in name and "score" not in name]


def left_alone(folder, arguments):
    make_crawl(folder)
    process = start(folder, arguments)
    assert process.wait(timeout=1800) == 0, (folder / "job.log").read_text()
    return contents(folder / "run")


def killed(folder, arguments, kills, longest, seed=0, first=0):
    """Run the job, killed `kills` times after up to `longest` seconds, `first` more the first time.

    Returns its contents, and a Counter of the stages that were hit.
    """
    make_crawl(folder)
    rng = np.random.default_rng(seed)
    hit = Counter()
    for number in range(kills):
        process = start(folder, arguments)
        try:
            process.wait(timeout=rng.uniform(0, longest) + (0 if number else first))
        except subprocess.TimeoutExpired:
            kill(process, whole_group=number % 2)
            hit.update(unfinished(folder) or ["before the first stage"])
        else:  # at its end: what is killed next finds all done, and must leave it so
            assert process.returncode == 0, (folder / "job.log").read_text()
    process = start(folder, arguments)
    assert process.wait(timeout=1800) == 0, (folder / "job.log").read_text()[-3000:]
    return contents(folder / "run"), hit


def terminated(folder, arguments, times, longest):
    """Run the job, ended by SIGTERM at random moments as a batch system does, in a shell that has Ctrl-C ignored.

    Every other moment is one of a training, which is short beside the rest. A job that comes to its end begins anew.
    Returns the contents of each that did, and a Counter of the trainings that took a snapshot and said so.
    """
    make_crawl(folder)
    rng, whole, snapshots = np.random.default_rng(0), [], Counter()
    for number in range(times):
        process = start(folder, arguments, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
        while number % 2 == 0 and process.poll() is None and not trainings(folder):
            time.sleep(0.05)
        try:
            process.wait(timeout=rng.uniform(0, 2.5) if trainings(folder) else 3 + rng.uniform(0, longest))
        except subprocess.TimeoutExpired:
            at_work = trainings(folder)
            os.killpg(process.pid, signal.SIGTERM) if number % 4 < 2 else process.terminate()
            if process.wait(timeout=120):
                assert "KeyboardInterrupt" in (folder / "job.log").read_text()
            logs = ((name, (folder / f"run/logs/{name}.log").read_text()) for name in at_work)
            snapshots.update(name for name, log in logs if "interrupted at iteration" in log)
        if process.returncode == 0:
            whole.append(contents(folder / "run"))
            shutil.rmtree(folder / "run")
    process = start(folder, arguments)
    assert process.wait(timeout=1800) == 0, (folder / "job.log").read_text()[-3000:]
    return [*whole, contents(folder / "run")], snapshots


def contents(run):
    """Return {name: digest} of what a run has made: selection, LMDBs, mean, nets, curves, scores, features."""
    found = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if path.name == "data.mdb":
            found[name] = _digest(_records(path.parent))
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                found[name] = _digest(part for key in sorted(arrays) for part in (key.encode(), arrays[key].tobytes()))
        elif path.name in (
            "mindpics.csv",
            "rejected.jsonl",
            "mean.binaryproto",
            "train.csv",
            "test.csv",
            "table3.csv",
            "final.caffemodel",
            "fc7.npy",
            "fc7.ids.txt",
            "split.csv",
        ):
            found[name] = _digest([path.read_bytes()])
    return found


def _records(folder):
    with lmdb.open(str(folder), readonly=True, lock=False) as environment, environment.begin() as transaction:
        for key, value in transaction.cursor():
            yield key
            yield value


def _digest(parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def check(alone, interrupted):
    assert {Path(name).name for name in alone} >= {
        "mindpics.csv",
        "data.mdb",
        "mean.binaryproto",
        "final.caffemodel",
        "train.csv",
        "test.csv",
        "scores.npz",
        "table3.csv",
    }
    assert [name for name in {**alone, **interrupted} if alone.get(name) != interrupted.get(name)] == []
