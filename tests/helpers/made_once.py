"""Folder that the first of pytest's workers to want it makes, for all of them."""

import fcntl
import os
import shutil


def made_once(tmp_path_factory, name, make):
    """Return a folder of this run of pytest, filled by ``make(folder)``; it is to be read only.

    Parameters
    ----------
    tmp_path_factory : pytest.TempPathFactory
    name : str
    make : callable
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    done = folder.with_suffix(".done")
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed
            folder.mkdir()
            make(folder)
            done.touch()
    return folder
