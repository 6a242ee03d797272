"""Shared: one row of the tiny job, left alone, for those that are killed or run out of disk to be held against."""

import pytest
from killed_jobs import ROW, contents, left_alone
from made_once import made_once


@pytest.fixture(scope="session")
def left_alone_row(tmp_path_factory):
    """What one row of the tiny job makes when nothing happens to it."""
    folder = made_once(tmp_path_factory, "alone", lambda folder: left_alone(folder / "job", ROW))
    return contents(folder / "job/run")
