"""Tail of a log, and a clock, for status lines."""

import os
import re

from mindpics.files.printable import shortened

ASKED = "$ "  # before the command, in the first line of a stage's log
LEAST = 24  # columns of a stage in one that stays on a terminal
WIDTH = 150  # of a status line in a file
_BAR = re.compile(r"(?P<done>\d+%)\|.*\[[^],]*(?:, [^],]*/s)?(?:, (?P<measured>[^]]*))?\]")  # of tqdm
_NAMED_BAR = re.compile(r"^[^:]*: +(?=\d+%)")


def last_said(log):
    """Return what a stage last wrote into its log, a bar without its name, which the status line has."""
    lines = [line for line in last_lines(log, 1) if not line.startswith(ASKED)]
    return _NAMED_BAR.sub("", "".join(lines).strip())


def brief(text, room):
    """Return what a stage said in so many characters: of a bar how far it is, and what it measures where that fits."""
    bar = _BAR.match(text)
    if not bar:
        return shortened(text, room)
    whole = f"{bar['done']}, {bar['measured']}" if bar["measured"] else bar["done"]
    return whole if len(whole) <= room else bar["done"]


def status_line(head, stages, columns):
    """Return the status of a job in one line of a terminal: its head, and as many stages as there is room for.

    Parameters
    ----------
    head : str
    stages : list of (name, text)
        Each that runs, and what it said last.
    columns : int
    """
    shown = stages[: max(1, (columns - len(head)) // LEAST)]
    tail = f" +{len(stages) - len(shown)}" if len(shown) < len(stages) else ""
    room = (columns - len(head) - len(tail)) // len(shown) - len(" | ")
    return (" | ".join([head, *(fitted(name, text, room) for name, text in shown)]) + tail)[:columns]


def fitted(name, text, room):
    """Return a stage's name and what it said in so many characters; the name gives way, down to eight of them.

    Parameters
    ----------
    name, text : str
    room : int
    """
    state = brief(text, max(5, room - 9))
    return f"{shortened(name, max(8, room - len(state) - 1))} {state}".strip()


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
