"""Fingerprints of files and folders, to see whether they have changed."""

import hashlib
from pathlib import Path

from mindpics.files.bounded import digest

HASHED_WHOLE = 16 << 20  # bytes; larger files count by size and time of change
LISTED = 100  # files; folders of more count by how many and how large


def sha256(path):
    """Return the SHA-256 of a file, read in pieces."""
    return digest(path, "sha256")


def fingerprint(path):
    """Return what a file's or a folder's content is told by; a folder counts by its files.

    Raises
    ------
    FileNotFoundError
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and p.name != "lock.mdb")
        return [str(path), [fingerprint(p) for p in files] if len(files) < LISTED else _summary(files)]
    if not path.is_file():
        raise FileNotFoundError(f"{path}: found no such file; wanted a file or a folder")
    status = path.stat()
    if status.st_size > HASHED_WHOLE:
        return [str(path), status.st_size, status.st_mtime_ns]
    return [str(path), hashlib.sha256(path.read_bytes()).hexdigest()]


def _summary(files):
    return [len(files), sum(p.stat().st_size for p in files)]
