"""A disk that is full at each stage: one clear line, nothing half-written is believed, and the same command goes on.

The disk is a small tmpfs where this user may mount one, and grows; elsewhere a limit on the size of files.
"""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from killed_jobs import BOTH, ROW, SCRIPT, check, contents, left_alone
from small_job import make_crawl

TRAIN_NET = Path(__file__).resolve().parents[2] / "tools/train_net"


@pytest.fixture
def disk(tmp_path):
    """Return a function that gives the folder of the run so many kilobytes; None where nothing can be mounted."""
    folder = tmp_path / "full/run"
    make_crawl(folder.parent)
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True).returncode:
        yield None
        return
    yield lambda size: subprocess.run(["mount", "-o", f"remount,size={size}k", folder], check=True)
    subprocess.run(["umount", "-l", folder], check=True)


def run(folder, arguments, limit=None):
    """Run the job; return its exit status and what it says."""

    def few_bytes():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit << 10, resource.RLIM_INFINITY))

    done = subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        preexec_fn=few_bytes if limit else None,
        timeout=600,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def check_said(said):
    """The job names the stage or the file, and the reason; the end of what it says is no traceback."""
    lines = [line for line in said.splitlines() if line.startswith("small_job: ")]
    assert len(lines) == 1, said
    assert "disk of run is full" in lines[0] or "No space left" in said or "no room for a snapshot" in said, said
    assert not said.splitlines()[-1].startswith(" ")


def grow(folder, disk, arguments, sizes, alone):
    failed = 0
    for size in sizes:
        disk(size)
        status, said = run(folder, arguments)
        if status == 0:
            break
        check_said(said)
        failed += 1
    disk(1 << 20)
    status, said = run(folder, arguments)
    assert status == 0, said
    check(alone, contents(folder / "run"))
    return failed


def test_full_while_an_lmdb_and_a_snapshot_are_written(tmp_path, disk, left_alone_row):
    if disk is None:
        for limit in (20, 300):
            status, said = run(tmp_path / "full", ROW, limit)
            assert status and "train_lmdb.partial: " in said, said
        assert run(tmp_path / "full", ROW)[0] == 0
        check(left_alone_row, contents(tmp_path / "full/run"))
        return
    assert grow(tmp_path / "full", disk, ROW, (600, 4200), left_alone_row) == 2


@pytest.mark.long
def test_full_at_every_stage(tmp_path, disk):
    """Forty per cent more room each time, until both nets and the pins fit."""
    assert disk is not None, "run me as root: a tmpfs is mounted"
    alone = left_alone(tmp_path / "alone", BOTH)
    sizes, size = [], 80
    while size < 1 << 20:
        sizes.append(size)
        size = size * 14 // 10
    failed = grow(tmp_path / "full", disk, BOTH, sizes, alone)
    print(f"{failed} runs on a full disk")
    assert failed > 10


@pytest.mark.parametrize("room", [30, 150])
def test_a_snapshot_that_does_not_fit_is_not_there(small_job, tmp_path, room):
    """Too little room for the log and the curves, or for a snapshot alone."""
    solver, _ = small_job
    command = [sys.executable, TRAIN_NET, solver, "--out", tmp_path / "run", "--iterations", "10"]

    def few_bytes():
        resource.setrlimit(resource.RLIMIT_FSIZE, (room << 10, resource.RLIM_INFINITY))

    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=few_bytes, check=False)
    assert done.returncode != 0
    assert "train_net: " in done.stderr.splitlines()[-1], done.stderr
    assert not list((tmp_path / "run/snapshots").glob("*.solverstate"))
    assert not (tmp_path / "run/final.caffemodel").exists()
    subprocess.run([*command, "--resume"], capture_output=True, check=True)
    assert (tmp_path / "run/final.caffemodel").exists()
