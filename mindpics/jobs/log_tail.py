"""Tail of a log, and a clock, for status lines."""

import os
import re

ASKED = "$ "  # before the command, in the first line of a stage's log
WIDTH = 150  # of a status line in a file
_NAMED_BAR = re.compile(r"^[^:]*: +(?=\d+%)")


def last_said(log):
    """Return what a stage last wrote into its log, a bar without its name, which the status line has."""
    lines = [line for line in last_lines(log, 1) if not line.startswith(ASKED)]
    return _NAMED_BAR.sub("", "".join(lines).strip())


def last_lines(path, count):
    """Return the last lines of a file that are not empty, at most `count`, from its last 8 KB."""
    with open(path, "rb") as stream:
        stream.seek(0, os.SEEK_END)
        stream.seek(max(0, stream.tell() - 8192))
        text = stream.read().decode("utf-8", "replace").replace("\r", "\n")
    return [line for line in text.split("\n") if line.strip()][-count:]


def clock(seconds):
    """Return seconds as text: 4:05, or 1:04:05."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
