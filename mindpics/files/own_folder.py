"""Ownership of folders: what a tool of ours did not make is neither emptied nor written over, also with --force.

A folder is known by the names of all that is in it: what no tool of ours names so is the user's.
"""

import math
import os
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from mindpics.files import lock
from mindpics.files.atomic import atomic_write

KEY = "key"  # of `take_over`

_TEMPORARY = re.compile(r"\.(.+?)(\.\d+)?\.tmp")  # of mindpics.files.atomic, today's and the earlier with a process id


@dataclass(frozen=True)
class Kind:
    """What a tool writes into a folder.

    Attributes
    ----------
    name : str
        For messages: "a run of train_net".
    files : tuple of str
        Patterns of the paths in it, part by part: "snapshots/*.caffemodel"; a last "**" is all that is below.
    proof : tuple of str
        Patterns of which every such folder has one, and a user's folder with files of the same names has none.
        What is written first and removed last; () where the names will do.
    """

    name: str
    files: tuple = ()
    proof: tuple = ()

    def under(self, folder):
        """Return the patterns of such a folder inside another."""
        return tuple(f"{folder}/{pattern}" for pattern in self.files)


def require(folder, kind, adds=False, beside=()):
    """Raise ValueError unless a folder may be written to: it is absent, empty, or of this kind.

    Parameters
    ----------
    folder : path
        One that holds no file, or only a lock, is empty.
    kind : Kind
    adds : bool
        Nothing in it will be removed: with a proof, what else lies there may stay.
    beside : collection of str
        Names of another tool's files or folders that may lie there before the first of this kind.
    """
    folder = Path(folder)
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise ValueError(f"{folder}: found no folder under that name; wanted {kind.name}")
    depth = max((pattern.count("/") + 1 for pattern in kind.proof), default=0)
    proven = not kind.proof or any(entry.proves(kind.proof) for entry in _entries(folder, depth))
    if proven and adds:
        return
    for entry in _entries(folder):  # it may be a home, of which the first file says enough
        is_strange = not entry.fits(kind.files) or not (proven or entry.is_folder)
        if is_strange and entry.parts != (lock.NAME,) and entry.parts[0] not in beside:
            name = "/".join(entry.parts)
            raise ValueError(
                f"{folder}: found {name!r} in it; wanted an empty folder, or {kind.name}; nothing is changed"
            )


def clear(folder, kind, keep=()):
    """Remove the files of a folder of this kind by their names, and the folders in it that are empty then.

    Parameters
    ----------
    folder : path
    kind : Kind
    keep : tuple of str
        Names in the folder that stay, with what is in them. A lock stays.

    Raises
    ------
    ValueError
        As `require` does, before anything is removed.
    """
    require(folder, kind)
    if not os.path.lexists(folder):
        return
    entries = [entry for entry in _entries(Path(folder)) if entry.parts[0] not in (*keep, lock.NAME)]
    for entry in sorted(entries, key=lambda entry: entry.proves(kind.proof)):  # a killed call leaves the proof
        if not entry.is_folder:
            entry.path.unlink(missing_ok=True)
    for entry in entries:
        if entry.is_folder and not any(entry.path.iterdir()):
            entry.path.rmdir()


def remove(folder, kind):
    """Remove a folder of this kind, if it is there: `clear` it, then take it away; a link is refused."""
    if os.path.islink(folder):
        raise ValueError(f"{folder}: found a link; wanted {kind.name}; remove the link yourself")
    clear(folder, kind)
    if os.path.lexists(folder):
        (Path(folder) / lock.NAME).unlink(missing_ok=True)
        os.rmdir(folder)


def take_over(folder, kind, key):
    """Keep what a call of the same key left in a folder; clear away what another one did.

    Parameters
    ----------
    folder : path
        Its file ``key`` says whose it is.
    kind : Kind
    key : str

    Raises
    ------
    ValueError
        When the folder is not of this kind.
    """
    stamp = Path(folder) / KEY
    require(folder, kind)
    if not (stamp.is_file() and stamp.read_text(encoding="utf-8") == key):
        clear(folder, kind)
        with atomic_write(stamp) as stream:
            stream.write(key)


@dataclass(frozen=True)
class _Entry:
    """A file, a link, or a folder, below the folder in question."""

    path: Path
    parts: tuple  # of its path in the folder, as they are when they are whole
    is_folder: bool
    leads_to_folder: bool  # so does a link to one, which may stand where a folder of ours would

    def fits(self, patterns):
        return any(self._fits(pattern.split("/")) for pattern in patterns)

    def _fits(self, pattern):
        """A file has all parts of a pattern; a folder has those before the last, or fewer."""
        n_parts = len(self.parts) + self.leads_to_folder
        if pattern[-1] == "**":
            pattern = pattern[:-1] + ["*"] * max(1, n_parts - len(pattern) + 1)
        enough = len(pattern) >= n_parts if self.leads_to_folder else len(pattern) == n_parts
        return enough and all(map(fnmatchcase, self.parts, pattern))

    def proves(self, patterns):
        return any(_same(self.parts, pattern.split("/")) for pattern in patterns)


def _same(parts, pattern):
    """Part by part: "*.txt" is no "below/a.txt"."""
    return len(parts) == len(pattern) and all(map(fnmatchcase, parts, pattern))


def _entries(folder, depth=math.inf, inside=()):
    """Yield the `_Entry` of all that is below a folder, a folder after what is in it; links are not followed."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            temporary = _TEMPORARY.fullmatch(entry.name)
            parts = (*inside, temporary.group(1) if temporary else entry.name)
            is_folder = entry.is_dir(follow_symlinks=False)
            if is_folder and len(parts) < depth:
                yield from _entries(entry.path, depth, parts)
            yield _Entry(Path(entry.path), parts, is_folder, os.path.isdir(entry.path))  # of a link in a circle, False
