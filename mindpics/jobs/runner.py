"""Stage runner with resume and critical-path order.

A stage is done when its stamp holds the key of its command and inputs and its outputs are
there. A run that was killed starts again where it stopped.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mindpics import __version__
from mindpics.files.atomic import atomic_write
from mindpics.files.fingerprints import fingerprint
from mindpics.files.lock import InUse, locked
from mindpics.jobs.account import Account
from mindpics.jobs.commands import LAYERS, as_typed, layers_asked_for, python_of, start_here
from mindpics.jobs.interrupt import interruptible, terminable
from mindpics.jobs.log_tail import ASKED, last_lines, last_said
from mindpics.jobs.stages import StageError, standing_on, ways_left
from mindpics.jobs.time_left import time_left

INTERRUPTED = (128 + signal.SIGINT, -signal.SIGINT)  # of a stage that was sent Ctrl-C: with a snapshot, or at once
LOOK = 0.05  # seconds between two looks at the stages that run
FULL = 1 << 20  # bytes free; a stage that needs more has said so in its log


def run_together(runners, jobs):
    """Run several runners beside each other, up to `jobs` stages at a time.

    Parameters
    ----------
    runners : list of Runner
    jobs : int

    Raises
    ------
    StageError
        When a stage fails; those beside it are interrupted, and keep what they have.
    """
    with ExitStack() as locks:
        try:
            for runner in runners:
                locks.enter_context(locked(runner.root))
            locks.enter_context(terminable())
        except InUse as error:
            raise StageError(str(error)) from None
        _step_all(runners, jobs)


def _step_all(runners, jobs):
    try:
        for runner in runners:
            runner.beside = [other_runner for other_runner in runners if other_runner is not runner]
        while not all(runner.is_complete for runner in runners):
            for runner in runners:
                runner.step(jobs - sum(len(other_runner.running) for other_runner in runners))
            time.sleep(LOOK)
        for runner in runners:
            runner.say_end()
    except BaseException:
        for runner in runners:
            runner.interrupt()
        raise
    finally:
        for runner in runners:
            runner.account.clear_line()


def default_jobs(gpu):
    """Return how many stages run at a time: one a core, or one on a GPU."""
    return 1 if gpu is not None else os.cpu_count() or 1


def threads_of(jobs):
    """Return how many threads each stage has where so many run at a time."""
    return max(1, (os.cpu_count() or 1) // jobs)


class Runner:
    """Run stages under `root`, up to `jobs` at a time.

    Stamps are kept in ``root/.stages``, what the commands print in ``root/logs``, each step in ``root/logs/job.log``.
    For the time left, `later` are stages of runners that come after this one, and `timed` are (stage, seconds)
    of those before it. `start` starts a command: see `mindpics.jobs.commands`.
    """

    def __init__(self, stages, root, jobs=1, later=(), timed=(), start=start_here):
        self.stages = stages
        self.root = Path(root)
        self.jobs = jobs
        self.later = later
        self.start = start
        self.beside = []  # runners whose stages take turns with this one's
        self.running = {}
        self.done = set()
        self.left_out = set()  # outputs of stages that failed, which may lie there from another call
        self.timed = list(timed)  # and those of this one that ran from their beginning
        self.resumed = set()
        self.keys = {}
        self.way_left = ways_left(stages)
        self.unchanged = 0
        self.account = Account(root)

    def run(self):
        """Run all stages; see `run_together`."""
        run_together([self], self.jobs)

    @property
    def is_complete(self):
        return not self.waiting()

    def waiting(self):
        """Return the stages that are not done yet; some may be running."""
        return [stage for stage in self.stages if stage.name not in self.done]

    def step(self, room):
        """Start up to `room` stages, see which have ended, and say so."""
        with self._disk():
            self._start_ready(room)
            self._collect()
            self._show()

    @contextmanager
    def _disk(self):
        """Raise StageError where what is kept cannot be written."""
        try:
            yield
        except OSError as error:
            raise StageError(f"{self.root}: {error}{self._full()}") from None

    def key(self, stage):
        """Return the hash of what decides a stage's outputs."""
        try:
            inputs = [fingerprint(path) for path in stage.inputs]
        except FileNotFoundError as error:
            raise StageError(f"stage {stage.name}: {error}, and no stage makes it") from None
        facts = [__version__, *_layers(), *stage.command, *inputs, *([stage.state] if stage.state else [])]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def is_done(self, stage, key):
        stamp = _read_json(self._stamp(stage, "done"))
        return stamp.get("key") == key and all(Path(path).exists() for path in stage.outputs)

    def _start_ready(self, room):
        """Start up to `room` stages whose inputs are made; those that are unchanged are passed over at once."""
        ready = self._ready()
        while ready:
            stage = ready.pop(0)
            if stage.name not in self.keys and self._is_unchanged(stage):
                ready = self._ready()  # with those that stand on it
            elif room > 0:
                self._start(stage, self.keys[stage.name])
                room -= 1

    def _ready(self):
        """Return the stages that may start, those first that have the longest way after them."""
        waiting = [s for s in self.stages if s.name not in self.done and s.name not in self.running]
        missing = {path for s in self.stages if s.name not in self.done for path in s.outputs}
        waiting.sort(key=lambda stage: -self.way_left[stage.name])
        return [stage for stage in waiting if not missing & set(stage.inputs)]

    def _is_unchanged(self, stage):
        key = self.keys[stage.name] = self.key(stage)  # once: its inputs are made
        if not self.is_done(stage, key):
            return False
        self.done.add(stage.name)
        self.unchanged += 1
        self.account.note(f"{stage.name}: unchanged, skipped")
        return True

    def _start(self, stage, key):
        begun = self._stamp(stage, "begun")
        resume = stage.resumable and _read_json(begun).get("key") == key and stage.has_begun_since(begun)
        self.resumed |= {stage.name} if resume else set()
        self._stamp(stage, "done").unlink(missing_ok=True)
        if not resume:
            with atomic_write(begun) as stream:
                json.dump({"key": key}, stream)
        log = self._log(stage)
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [*python_of(stage.command), *(["--resume"] if resume else [])]
        log.write_text(f"{ASKED}{as_typed(stage.command)}\n", encoding="utf-8")
        process = self.start(command, log, threads_of(self.jobs), stage if stage.resumable and not resume else None)
        self.running[stage.name] = (stage, process, key, time.time())
        self.account.note(f"{stage.name}: {'goes on' if resume else 'starts'}  {stage.note}")

    def _collect(self):
        for stage, process, key, begun in list(self.running.values()):
            if process.poll() is None:
                continue
            del self.running[stage.name]
            if process.returncode in INTERRUPTED:
                raise KeyboardInterrupt
            absent = [path for path in stage.outputs if not Path(path).exists()]
            if process.returncode or absent:
                self._fail(
                    stage, f"exit status {process.returncode}" if process.returncode else f"it made no {absent[0]}"
                )
                continue
            seconds = time.time() - begun
            with atomic_write(self._stamp(stage, "done")) as stream:
                json.dump({"key": key, "seconds": round(seconds, 1), "command": stage.command}, stream)
            self.done.add(stage.name)
            if stage.name not in self.resumed:
                self.timed.append((stage, seconds))
            self.account.note(f"{stage.name}: done in {seconds:.0f} s")

    def _fail(self, stage, why):
        """Raise StageError, or give up a stage that may fail and those that stand on it."""
        if not stage.may_fail or self._full():
            tail = "\n".join(last_lines(self._log(stage), 20))
            raise StageError(
                f"stage {stage.name} failed ({why}){self._full()}. Its command:\n  {as_typed(stage.command)}\n"
                f"The end of {self._log(stage)}:\n{tail}"
            )
        without = [stage, *standing_on(stage, self.stages)]
        self.done |= {absent.name for absent in without}
        self.left_out |= {path for absent in without for path in absent.outputs}
        names = ", ".join(absent.name for absent in without)
        self.account.say(f"{stage.name}: failed ({why}); left out: {names}")

    def _full(self):
        """Say so when the disk is full: the stage's log may have had no room for it."""
        free = shutil.disk_usage(self.root).free
        return f"; the disk of {self.root} is full ({free} bytes free)" if free < FULL else ""

    def interrupt(self):
        """Ctrl-C reaches the stages as well; each gets time to take its snapshot, whatever signals come meanwhile."""
        with interruptible():
            self._end_stages()

    def _end_stages(self):
        for _, process, _, _ in self.running.values():
            process.terminate()
        for _, process, _, _ in self.running.values():
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()

    def _show(self):
        if self.running:
            running = self.running.values()
            self.account.show(
                f"{len(self.done)}/{len(self.stages)}",
                self._seconds_left,
                lambda: [(stage.name, last_said(self._log(stage))) for stage, *_ in running],
            )

    def _seconds_left(self):
        now = time.time()
        elapsed = {name: now - begun for name, (_, _, _, begun) in self.running.items()}
        later = [stage for neighbour in self.beside for stage in neighbour.waiting()]
        return time_left(self.waiting(), elapsed, self.timed, self.jobs, [*later, *self.later])

    def say_end(self):
        """Say how many stages there were, and where each step is written."""
        if self.stages:
            unchanged = f", {self.unchanged} unchanged" if self.unchanged else ""
            with self._disk():
                self.account.say(f"{len(self.stages)} stages{unchanged}: {self.account.log}")

    def _stamp(self, stage, kind):
        return self.root / ".stages" / f"{stage.name}.{kind}.json"

    def _log(self, stage):
        return self.root / "logs" / f"{stage.name}.log"


def _layers():
    """Return what the environment says of the nets' layers, unless it is the default: a run has those of one kind."""
    return [f"{name}={value}" for name, value in layers_asked_for().items() if value != LAYERS[name]]


def _read_json(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
