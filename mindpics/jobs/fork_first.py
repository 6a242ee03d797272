"""Forked child for what may abort or crash: its last words are the error."""

import faulthandler
import gc
import json
import os
import re
import resource
import select
import signal
import tempfile
from pathlib import Path

from mindpics.files.printable import printable
from mindpics.jobs.interrupt import die_with_parent

TIMEOUT = 600  # seconds; a child that hangs is worse than one that is slow
SHARE = 0.75  # of the machine's memory that a child may take: less than would bring everything else to a stop
NO_MEMORY = "it would take more memory than there is"
CGROUP = Path("/sys/fs/cgroup/memory.max")


def in_fork(function, *args, timeout=TIMEOUT, memory=None):
    """Return ``function(*args)`` of a forked child: a new process would take a second to import Caffe.

    What it returns goes through JSON. It must not use a GPU, whose state no fork shares. Unlike
    multiprocessing's, the child may be that of a worker of a pool or a cluster.

    Parameters
    ----------
    function : callable
    timeout : float
        Seconds.
    memory : int, optional
        Bytes that the child may take; three quarters of the machine's by default.

    Raises
    ------
    ValueError
        With the message of what the function raised; or with the last words of a child that aborted,
        crashed, hung or wanted more memory.
    """
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as stderr_file:
        parent = os.getpid()
        child = os.fork()
        if not child:
            _answer(parent, answer, stderr_file, function, args, memory)
        status = _wait(child, timeout)
        answer.seek(0)
        if status == 0:
            reply = json.load(answer)
            if "error" in reply:
                raise ValueError(reply["error"])
            return reply["result"]
        stderr_file.seek(0)
        raise ValueError(last_words(stderr_file.read().decode(errors="replace"), os.waitstatus_to_exitcode(status)))


def last_words(stderr, exitcode=1):
    """Return what Caffe said as it aborted: "Check failed: ...", or how the process ended."""
    lines = [line for line in stderr.splitlines() if re.match(r"F\d+ ", line)]
    if lines:
        return printable(re.sub(r"^F\d+ \S+ +\d+ ", "", lines[0]))
    if "std::bad_alloc" in stderr:
        return NO_MEMORY
    if exitcode < 0:
        return f"the reader ended with {signal.Signals(-exitcode).name}"
    return printable((stderr.strip().splitlines() or [f"the reader ended with status {exitcode}"])[-1])


def limit_memory(memory=None):
    """Let this process, a child, take at most so many bytes more: three quarters of the machine's by default.

    Files that are mapped to be read (an LMDB) do not count.
    """
    taken = re.search(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    most = 1024 * int(taken.group(1)) + (memory or int(SHARE * _machine_memory()))
    for limit in resource.getrlimit(resource.RLIMIT_DATA):
        most = most if limit == resource.RLIM_INFINITY else min(most, limit)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _machine_memory():
    """Return the bytes that the machine has, or that its container may take."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    allowed = CGROUP.read_text(encoding="ascii").strip() if CGROUP.is_file() else ""
    return min(machine, int(allowed)) if allowed.isdecimal() else machine


def _answer(parent, answer, stderr_file, function, args, memory):
    """Run the function in the child, and end it: nothing of the parent's is to be cleaned up twice."""
    try:
        die_with_parent(parent)  # it holds the locks that its parent has
        gc.freeze()  # a collection would write to all that it shares with its parent: each page a copy
        faulthandler.disable()  # its dump would go to the parent's terminal
        os.dup2(stderr_file.fileno(), 2)
        limit_memory(memory)
        try:
            reply = {"result": function(*args)}
        except MemoryError:
            reply = {"error": NO_MEMORY}
        except Exception as error:  # whatever it is, it is the parent's to hear
            reply = {"error": str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"}
        answer.write(json.dumps(reply).encode())
        answer.flush()
        os._exit(0)
    finally:
        os._exit(1)


def _wait(child, timeout):
    """Return the child's wait status; end it if it takes too long, or if this process is interrupted."""
    descriptor = os.pidfd_open(child)
    ended = False
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        ended = bool(poll.poll(1000 * timeout))
    finally:
        os.close(descriptor)
        if not ended:
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    if not ended:
        raise ValueError(f"took more than {timeout:g} s")
    return status
