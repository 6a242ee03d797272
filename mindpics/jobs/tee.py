"""Tee of what Caffe writes to file descriptor 2: all of it to a log, its fatal lines to the terminal as well.

A program of its own, which `mindpics.jobs.quiet` starts with every tool that makes nets. It imports little, and
nothing of this package, so that it runs without site-packages: a third of the processor time.
"""

import os
import re
import signal
import sys
from contextlib import suppress

# after which nothing comes, though a child of the tool may hold its end of the pipe open
FAILED, END = b"\0failed\n", b"\0end\n"
FATAL = re.compile(rb"F\d{4,8} \d\d:|\*\*\* Check failure|\[libprotobuf FATAL|terminate called")
LAST = 5  # lines before the fatal one that are shown

# glog 0.6 puts the year before month and day; Caffe's parse_log.py knows the older form only.
_YEAR = re.compile(rb"^([IWEF])20\d\d(\d{4} \d\d:)")


def tee(log=None, *places):
    """Copy standard input to standard output; show on the terminal what glog calls fatal, and the lines before it.

    Parameters
    ----------
    log : str, optional
        Where standard output goes, to be given a place at the end.
    places : str
        What was to be made, the log's place if that is a folder, and if it is a file.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # they are for the process that is at work
        signal.signal(number, signal.SIG_IGN)
    count, last, fatal = 0, [], False
    for line in sys.stdin.buffer:
        if line.endswith((END, FAILED)):
            _write(1, line.removesuffix(END).removesuffix(FAILED))
            places = () if line.endswith(FAILED) else places
            break
        line = _YEAR.sub(rb"\1\2", line)
        _write(1, line)
        if FATAL.match(line) and not fatal:
            fatal = True
            _write(2, b"".join(last))
        if fatal:
            _write(2, line)
        count += 1
        last = [*last[1 - LAST :], line]
    if log:
        _keep(log, _place(*places) if places and count else None, fatal)


def _write(descriptor, data):
    with suppress(OSError):  # a full disk, of which the tool tells: it must not lose the reader of its pipe
        os.write(descriptor, data)


def _keep(log, place, fatal):
    """Give a log its place; drop one that says nothing, or that nobody would look for."""
    if place:
        try:
            with open(log, "rb") as source, open(place, "wb") as copy:
                copy.writelines(source)
        except OSError:  # a full disk, of which the tool tells
            place = None
    if fatal:
        _write(2, os.fsencode(f"Caffe's log: {place or log}\n"))
    if place or not fatal:
        os.unlink(log)


def _place(out, in_folder, beside):
    """Return where the log of what a tool makes belongs, None where it has made nothing."""
    if os.path.isdir(out):
        return in_folder if os.listdir(out) else None
    return beside if os.path.isdir(os.path.dirname(beside)) else None


if __name__ == "__main__":
    tee(*sys.argv[1:])
