"""Versions of what a result depends on."""

import platform
import sys
from importlib import metadata

NAMES = ("numpy", "lmdb", "opencv-python", "scikit-learn", "protobuf", "caffe")


def environment():
    """Return {"python", "machine", "versions": {name: version}}."""
    return {
        "python": sys.version.split()[0],
        "machine": platform.platform(),
        "versions": {name: _version(name) for name in NAMES},
    }


def _version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed by pip"
