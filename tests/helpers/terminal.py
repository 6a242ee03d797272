"""A command on a terminal of so many columns: every line that it draws there."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios


def lines_on_terminal(command, columns, **options):
    """Return (exit status, lines as they were drawn, without control sequences); `options` are Popen's."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, **options)
    os.close(theirs)
    drawn = b"".join(iter(lambda: _read(ours), b""))
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", drawn.decode())
    return process.wait(), [line for line in re.split(r"[\r\n]+", text) if line.strip()]


def _read(descriptor):
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # the other end has closed
        return b""
