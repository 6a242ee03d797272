"""Run a job made of stages that meet through files; skip those whose inputs have not changed.

A stage is one command. It waits for the stages whose outputs it reads, and is
done when its stamp holds the key of its command and inputs and its outputs are
there. A run that was killed starts again where it stopped.
"""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mindpics import __version__
from mindpics.atomic import atomic_write

HASHED_WHOLE = 16 << 20  # bytes; larger files count by size and time of change


@dataclass(frozen=True)
class Stage:
    """One command of a job.

    Attributes
    ----------
    name : str
    command : tuple of str
        A tool and its arguments, run by this Python.
    inputs, outputs : tuple of str
        Files or folders.
    cost : float
        Seconds it takes on two cores, roughly; for the time left.
    resumable : bool
        The command takes ``--resume`` after it was killed on the same inputs.
    note : str
        Sizes, for the plan.
    """

    name: str
    command: tuple
    inputs: tuple
    outputs: tuple
    cost: float = 1
    resumable: bool = False
    note: str = ""


class StageError(RuntimeError):
    """A stage failed; the message has the end of its log."""


class Runner:
    """Run stages under `root`, up to `jobs` at a time.

    Stamps are kept in ``root/.stages``, what the commands print in ``root/logs``.
    """

    def __init__(self, stages, root, jobs=1):
        self.stages = stages
        self.root = Path(root)
        self.jobs = jobs
        self.running = {}
        self.done = set()
        self.skipped = set()
        self.keys = {}
        self.way_left = ways_left(stages)
        self.started = time.time()

    def run(self):
        """Run all stages.

        Raises
        ------
        StageError
            When one fails; those beside it are interrupted, and keep what they have.
        """
        with _locked(self.root):
            try:
                while len(self.done) < len(self.stages):
                    self._start_ready()
                    self._collect()
                    self._show()
            except BaseException:
                self._interrupt()
                raise
            finally:
                self._line("")

    def key(self, stage):
        """Return the hash of what decides a stage's outputs."""
        facts = [__version__, *stage.command, *(fingerprint(path) for path in stage.inputs)]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def is_done(self, stage, key):
        stamp = _read_json(self._stamp(stage, "done"))
        return stamp.get("key") == key and all(Path(path).exists() for path in stage.outputs)

    def _start_ready(self):
        waiting = [s for s in self.stages if s.name not in self.done and s.name not in self.running]
        waiting.sort(key=lambda stage: -self.way_left[stage.name])
        missing = {path for s in self.stages if s.name not in self.done for path in s.outputs}
        for stage in waiting:
            if missing & set(stage.inputs):
                continue
            if stage.name not in self.keys:  # its inputs are made, so hashing them once will do
                self.keys[stage.name] = self.key(stage)
            key = self.keys[stage.name]
            if self.is_done(stage, key):
                self.done.add(stage.name)
                self.skipped.add(stage.name)
                self._say(f"{stage.name}: unchanged, skipped")
                return
            if len(self.running) < self.jobs:
                self._start(stage, key)

    def _start(self, stage, key):
        begun = self._stamp(stage, "begun")
        resume = stage.resumable and _read_json(begun).get("key") == key
        self._stamp(stage, "done").unlink(missing_ok=True)
        with atomic_write(begun) as stream:
            json.dump({"key": key}, stream)
        log = self._log(stage)
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, *stage.command, *(["--resume"] if resume else [])]
        threads = str(max(1, (os.cpu_count() or 1) // self.jobs))
        with open(log, "wb") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env=os.environ | {"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
            )  # fmt: skip
        self.running[stage.name] = (stage, process, key, time.time())
        self._say(f"{stage.name}: {'goes on' if resume else 'starts'}  {stage.note}")

    def _collect(self):
        time.sleep(0.2)
        for stage, process, key, begun in list(self.running.values()):
            if process.poll() is None:
                continue
            del self.running[stage.name]
            absent = [path for path in stage.outputs if not Path(path).exists()]
            if process.returncode or absent:
                why = f"exit status {process.returncode}" if process.returncode else f"it made no {absent[0]}"
                tail = "\n".join(_last_lines(self._log(stage), 20))
                raise StageError(
                    f"stage {stage.name} failed ({why}). Its command:\n  {' '.join(stage.command)}\n"
                    f"The end of {self._log(stage)}:\n{tail}"
                )
            seconds = time.time() - begun
            with atomic_write(self._stamp(stage, "done")) as stream:
                json.dump({"key": key, "seconds": round(seconds, 1), "command": stage.command}, stream)
            self.done.add(stage.name)
            self._say(f"{stage.name}: done in {seconds:.0f} s")

    def _interrupt(self):
        """Ctrl-C reaches the stages as well; each gets time to take its snapshot."""
        for _, process, _, _ in self.running.values():
            process.terminate()
        for _, process, _, _ in self.running.values():
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()

    def _show(self):
        """One status line: on a terminal it redraws itself, in a file it comes every 20 seconds."""
        live = sys.stdout.isatty()
        now = time.time()
        if now - getattr(self, "shown", 0) < (1 if live else 20) or not self.running:
            return
        self.shown = now
        parts = [f"[{len(self.done)}/{len(self.stages)}, {_clock(now - self.started)}, left {self._left(now)}]"]
        for stage, _, _, _ in self.running.values():
            parts.append(f"{stage.name}: {''.join(_last_lines(self._log(stage), 1))[-110:].strip()}")
        self._line(" | ".join(parts)[: os.get_terminal_size().columns - 1] if live else "\n    ".join(parts))

    def _left(self, now):
        """Time left: costs not yet paid, at the speed of those paid in this run."""
        paid = sum(s.cost for s in self.stages if s.name in self.done - self.skipped)
        paid += sum(min(now - begun, stage.cost) for stage, _, _, begun in self.running.values())
        owed = sum(s.cost for s in self.stages if s.name not in self.done)
        owed -= sum(min(now - begun, 0.95 * stage.cost) for stage, _, _, begun in self.running.values())
        return _clock(owed * (now - self.started) / paid if paid > 20 else owed / self.jobs)

    def _say(self, text):
        self._line("")
        print(f"{_clock(time.time() - self.started)}  {text}", flush=True)

    def _line(self, text):
        if sys.stdout.isatty():
            print(f"\r\x1b[K{text}", end="", flush=True)
        elif text:
            print(text, flush=True)

    def _stamp(self, stage, kind):
        return self.root / ".stages" / f"{stage.name}.{kind}.json"

    def _log(self, stage):
        return self.root / "logs" / f"{stage.name}.log"


def ways_left(stages):
    """Return the seconds from the start of each stage to the end of the longest chain that waits for it.

    Started in that order, no long chain is left to run alone at the end.
    """
    ways = {}

    def way(stage):
        if stage.name not in ways:
            after = [way(other) for other in stages if set(stage.outputs) & set(other.inputs)]
            ways[stage.name] = stage.cost + max(after, default=0)
        return ways[stage.name]

    for stage in stages:
        way(stage)
    return ways


def fingerprint(path):
    """Return what a file's or a folder's content is told by; a folder counts by its files."""
    path = Path(path)
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and p.name != "lock.mdb")
        return [str(path), [fingerprint(p) for p in files] if len(files) < 100 else _summary(files)]
    if not path.is_file():
        raise StageError(f"{path}: is not there, and no stage makes it")
    status = path.stat()
    if status.st_size > HASHED_WHOLE:
        return [str(path), status.st_size, status.st_mtime_ns]
    return [str(path), hashlib.sha256(path.read_bytes()).hexdigest()]


def format_plan(stages):
    """Return the stages as lines: name, note, command."""
    return "\n".join(f"{s.name:<40} {s.note}\n    {' '.join(s.command)}" for s in stages)


def stages_for(stages, targets):
    """Return the stages that make `targets` (paths), in order, with all that those stand on."""
    wanted = set(targets)
    chosen = []
    for stage in reversed(stages):
        if wanted & set(stage.outputs):
            chosen.append(stage)
            wanted |= set(stage.inputs)
    return chosen[::-1]


def _summary(files):
    return [len(files), sum(p.stat().st_size for p in files)]


def _read_json(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _last_lines(path, count):
    with open(path, "rb") as stream:
        stream.seek(0, os.SEEK_END)
        stream.seek(max(0, stream.tell() - 8192))
        text = stream.read().decode("utf-8", "replace").replace("\r", "\n")
    return [line for line in text.split("\n") if line.strip()][-count:]


def _clock(seconds):
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes}:{seconds:02d}"


@contextmanager
def _locked(root):
    """Refuse a second run into the same folder: the lock goes with the process, however it ends."""
    root.mkdir(parents=True, exist_ok=True)
    with open(root / ".lock", "a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise StageError(f"{root}: process {lock.read().strip()} is at work there") from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield
