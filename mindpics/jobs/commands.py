"""Commands of stages, as processes of this machine or as tasks of a Dask cluster, with Popen's interface."""

import os
import shlex
import subprocess
import sys
import time
import uuid
from pathlib import Path

from mindpics.jobs.bars import IS_STAGE
from mindpics.jobs.interrupt import die_with_parent

LOOK = 0.3  # seconds between looks at a process or a task
LAYERS = {"MINDPICS_ENGINE": "fast", "MINDPICS_TF32": "0"}  # variables that choose Caffe's layers, and their defaults


def layers_asked_for():
    """Return {variable: value} of what the environment says of Caffe's layers."""
    return {name: os.environ.get(name) or default for name, default in LAYERS.items()}


def python_of(command):
    """Return a stage's command for this Python: tools/NAME through the console command, which knows where tools lie."""
    program, *arguments = command
    if program.startswith("tools/"):
        # -P: another clone's code, or a random.py, in the folder that it is called from is not imported
        return [sys.executable, "-P", "-m", "mindpics.cli", program.removeprefix("tools/"), *arguments]
    return [sys.executable, program, *arguments]


def as_typed(command):
    """Return a command as a shell takes it here.

    Where there is no tools/NAME, that of the checkout whose tool is running; of no checkout, the console command.
    """
    program, *arguments = command
    words = [program]
    if program.startswith("tools/") and not Path(program).is_file():
        tools = Path(sys.argv[0]).absolute().parent
        name = Path(program).name
        if (tools / "setup").is_file() and (tools / name).is_file():
            words = [str(tools / name)]
        else:
            words = ["mindpics", "run_experiment" if name == "reproduce" else name]
    return shlex.join([*words, *map(str, arguments)])


def start_here(command, log, threads, again=None, layers=None):
    """Start a command whose output goes to `log`; return its Popen. It dies with this process.

    Parameters
    ----------
    command : list of str
    log : path
        Output is appended to it.
    threads : int
        Of BLAS and OpenMP.
    again : Stage, optional
        Without effect here; a cluster's start takes it.
    layers : dict, optional
        `layers_asked_for` of another process; None: this one's.

    Returns
    -------
    subprocess.Popen
    """
    of_stage = {"OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads), IS_STAGE: "1"}
    with open(log, "ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | (layers or {}) | of_stage,
            preexec_fn=die_with_parent,
        )


class ClusterCommand:
    """A command on a worker that sees this folder under the same path; its layers are those asked for here.

    When the worker dies Dask gives the command to another.

    Parameters
    ----------
    client : distributed.Client
    command : list of str
        With --gpu it goes to a worker whose resources name a GPU.
    log : Path
    threads : int
    again : Stage, optional
        One that the other worker goes on with, by ``--resume``, where it had come to its own work.
    """

    def __init__(self, client, command, log, threads, again=None):
        self.log = Path(log).resolve()
        self.stop = Path(f"{self.log}.{uuid.uuid4().hex}.stop")
        self.future = client.submit(
            _run,
            command,
            os.getcwd(),
            self.log,
            threads,
            again,
            self.stop,
            layers_asked_for(),
            pure=False,
            resources={"GPU": 1} if "--gpu" in command else None,
        )
        self.returncode = None

    def poll(self):
        """Return the exit status, None while the command waits or runs; 1 where Dask has given it up."""
        if self.returncode is None and self.future.done():
            try:
                self.returncode = self.future.result()
            except Exception as error:  # KilledWorker, CancelledError: of Dask, which may not be installed here
                with open(self.log, "a", encoding="utf-8") as output:
                    output.write(f"lost on the cluster ({type(error).__name__}): {error}\n")
                self.returncode = 1
            for mark in (self.stop, _begun(self.stop)):
                mark.unlink(missing_ok=True)
        return self.returncode

    def wait(self, timeout):
        until = time.time() + timeout
        while self.poll() is None:
            if time.time() > until:
                raise subprocess.TimeoutExpired("a command on the cluster", timeout)
            time.sleep(LOOK)

    def terminate(self):
        """Have the worker end the command, as Ctrl-C would."""
        self.stop.touch()

    def kill(self):
        self.future.cancel()


def _run(command, folder, log, threads, again, stop, layers):
    """Run a command on a worker; return its exit status."""
    os.chdir(folder)
    stamp = _begun(stop)
    resume = again is not None and stamp.exists() and again.has_begun_since(stamp)
    if not stamp.exists():  # else a worker before this one died over it
        stamp.touch()
    process = start_here(command + ["--resume"] * resume, log, threads, layers=layers)
    while process.poll() is None:
        if stop.exists():
            process.terminate()
            return process.wait()
        time.sleep(LOOK)
    return process.returncode


def _begun(stop):
    return stop.with_suffix(".begun")
