"""Versions of what a result depends on."""

import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

NAMES = ("numpy", "lmdb", "opencv-python", "scikit-learn", "protobuf", "caffe")


def environment():
    """Return {"code", "python", "machine", "versions": {name: version}}."""
    return {
        "code": code_version(),
        "python": sys.version.split()[0],
        "machine": platform.platform(),
        "versions": {name: _version(name) for name in NAMES},
    }


def code_version():
    """Return the version of this package, with the commit of a checkout and whether that was changed since."""
    version = f"mindpics {_version('mindpics')}"
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(git, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return version
    return f"{version}, commit {done.stdout.strip()}" if done.returncode == 0 and _is_ours() else version


def _is_ours():
    """A pip-installed package may lie in somebody else's checkout."""
    return (Path(__file__).resolve().parents[2] / ".git").exists()


def _version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed by pip"
