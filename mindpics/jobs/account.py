"""Account of a job: each step in logs/job.log, and on the terminal one line that redraws itself, or a few in a file."""

import os
import sys
import time
from pathlib import Path

from mindpics.jobs.log_tail import WIDTH, clock, status_line

FIRST = 20  # seconds until the first line in a file
PARTS = 3  # of the time that a job takes, each of which has another line there


class Account:
    """What a job says.

    Parameters
    ----------
    root : path
        Folder of the job.
    """

    def __init__(self, root):
        self.log = Path(root) / "logs" / "job.log"
        self.started = self.shown = time.time()
        self.next_part = 0  # of PARTS

    @property
    def passed(self):
        """Time since the job began, as text."""
        return clock(time.time() - self.started)

    def note(self, text):
        """Write a line into the log alone."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "a", encoding="utf-8") as log:
            log.write(f"{self.passed}  {text}\n")

    def say(self, text):
        """Write a line into the log and onto the terminal."""
        self.note(text)
        self.clear_line()
        print(f"{self.passed}  {text}", flush=True)

    def show(self, done, time_left, stages):
        """Show how far the job is: on a terminal every second, in a file after `FIRST` seconds and each part.

        Parameters
        ----------
        done : str
            Stages that are done, of all.
        time_left : callable
            Returns the seconds left, roughly.
        stages : callable
            Returns (name, what it said last) of each stage that runs.
        """
        now, live = time.time(), sys.stdout.isatty()
        if now - self.shown < (1 if live else FIRST):
            return
        self.shown, seconds_left = now, time_left()
        if live:
            head = f"[{done}, about {clock(seconds_left)} left]"
            self._line(status_line(head, stages(), os.get_terminal_size().columns - 1))
        elif self._is_due(now - self.started, seconds_left):
            head = f"[{done}, {self.passed}, about {clock(seconds_left)} left]"
            print(status_line(head, stages(), WIDTH), flush=True)

    def _is_due(self, passed, seconds_left):
        """Tell whether another part of the job is behind it, or its first seconds."""
        parts = int(PARTS * passed / (passed + seconds_left)) if seconds_left else PARTS
        if parts < self.next_part:
            return False
        self.next_part = parts + 1
        return True

    def clear_line(self):
        """Leave the terminal without a status line."""
        self._line("")

    def _line(self, text):
        if sys.stdout.isatty():
            print(f"\r\x1b[K{text}", end="", flush=True)
