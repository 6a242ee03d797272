"""Cost of a sweep's runs: a training step and a test pass, timed in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

import caffe
from caffe.proto import caffe_pb2

from mindpics.files.layout import TrainingFiles
from mindpics.jobs.fork_first import last_words, limit_memory
from mindpics.training.device import set_device
from mindpics.training.solver_files import write_solver

ENOUGH = 0.5  # seconds of steps that are timed, one step at least
NEVER = 1 << 30  # iterations
START = 4  # seconds until a run's first step: imports, lint, a child that builds the net first


@dataclass(frozen=True)
class Times:
    """Seconds of a training step, and of a whole test."""

    step: float
    test: float

    def of(self, message):
        """Return the seconds of a run by a SolverParameter."""
        tests = message.max_iter // message.test_interval + 1 if message.test_interval else 0
        return START + message.max_iter * self.step + tests * self.test


def timed(message, nets, threads, gpu=None):
    """Return the `Times` of a solver on this machine.

    Parameters
    ----------
    message : SolverParameter
    nets : list of NetParameter
        Its nets, checked.
    threads : int
        Of BLAS, as a run will have them.
    gpu : int, optional

    Raises
    ------
    ValueError
        In Caffe's own words, where it does not train them.
    """
    environment = os.environ | {"OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    with tempfile.TemporaryDirectory() as folder:
        write_solver(_still(message, gpu), nets, folder)
        command = [
            sys.executable,
            "-P",
            "-m",
            __name__,
            TrainingFiles(folder).solver,
            *([str(gpu)] if gpu is not None else []),
        ]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        words = last_words(done.stderr, done.returncode)
        raise ValueError(f"{message.net or 'the net'}: found what Caffe refuses ({words}); wanted a net that it trains")
    step, passes = json.loads(done.stdout.splitlines()[-1])
    return Times(step, sum(count * seconds for count, seconds in zip(message.test_iter, passes, strict=False)))


def _still(message, gpu):
    """Return a solver that learns, tests and saves nothing by itself."""
    still = caffe_pb2.SolverParameter()
    still.CopyFrom(message)
    still.base_lr = still.display = still.snapshot = 0
    still.test_initialization = still.snapshot_after_train = False
    still.test_interval = NEVER if message.test_iter else 0
    still.ClearField("weights")
    still.solver_mode = still.CPU if gpu is None else still.GPU
    return still


def _main(solver, gpu=None):
    if gpu is None:
        limit_memory()
    set_device(None if gpu is None else int(gpu))
    solver = caffe.get_solver(solver)
    solver.step(1)  # sets up memory
    print(json.dumps([_seconds(lambda: solver.step(1)), [_seconds(net.forward) for net in solver.test_nets]]))


def _seconds(call):
    """Return what a call takes, the mean of as many as are enough."""
    began, count = time.perf_counter(), 0
    while not count or time.perf_counter() - began < ENOUGH:
        call()
        count += 1
    return (time.perf_counter() - began) / count


if __name__ == "__main__":
    _main(*sys.argv[1:])
