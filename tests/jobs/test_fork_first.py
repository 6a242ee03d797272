"""A function in a child: its result, its error, or how it ended."""

import os
import signal
import time

import pytest

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


def test_caffes_reason_is_found_in_what_it_says():
    said = "I1122 10:00:00.1 7 net.cpp:1] fine\nF1122 10:00:00.2 7 net.cpp:9] Check failed: a == b (1 vs. 2)\n*** Check"
    assert last_words(said, -6) == "net.cpp:9] Check failed: a == b (1 vs. 2)"
