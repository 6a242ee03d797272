"""A function in a child: its result, its error, or how it ended."""

import os
import signal
import subprocess
import sys
import time

import pytest

from mindpics.files.lock import InUse, locked
from mindpics.jobs.fork_first import in_fork, last_words


def test_the_result_and_what_is_raised_come_back():
    assert in_fork(sum, [1, 2]) == 3
    assert in_fork(lambda: None) is None
    with pytest.raises(ValueError, match="^invalid literal for int"):
        in_fork(int, "x")
    with pytest.raises(ValueError, match="^ZeroDivisionError: division by zero"):
        in_fork(lambda: 1 / 0)


def test_how_it_ended_is_said():
    with pytest.raises(ValueError, match="the reader ended with SIGSEGV"):
        in_fork(lambda: os.kill(os.getpid(), signal.SIGSEGV))
    with pytest.raises(ValueError, match="the reader ended with status 3"):
        in_fork(os._exit, 3)
    with pytest.raises(ValueError, match="last line"):
        in_fork(lambda: os.write(2, b"first line\nlast line\n") and os._exit(1))


def test_a_child_that_hangs_is_ended():
    started = time.monotonic()
    with pytest.raises(ValueError, match=r"took more than 0\.2 s"):
        in_fork(time.sleep, 60, timeout=0.2)
    assert time.monotonic() - started < 20


def test_a_child_ends_with_a_parent_that_is_killed_and_lets_its_lock_go(tmp_path):
    held = (
        "import sys, time; from mindpics.files.lock import locked; from mindpics.jobs.fork_first import in_fork\n"
        "with locked(sys.argv[1]): in_fork(lambda: print('there', flush=True) or time.sleep(60))"
    )
    with subprocess.Popen([sys.executable, "-c", held, tmp_path], stdout=subprocess.PIPE) as parent:
        assert parent.stdout.readline() == b"there\n"
        parent.kill()
    until = time.monotonic() + 20
    while True:
        try:
            with locked(tmp_path):
                return
        except InUse:
            assert time.monotonic() < until
            time.sleep(0.05)


def test_caffes_reason_is_found_in_what_it_says():
    said = "I1122 10:00:00.1 7 net.cpp:1] fine\nF1122 10:00:00.2 7 net.cpp:9] Check failed: a == b (1 vs. 2)\n*** Check"
    assert last_words(said, -6) == "net.cpp:9] Check failed: a == b (1 vs. 2)"
