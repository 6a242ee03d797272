"""Shared: one row of the tiny job, left alone, for those that are killed or run out of disk to be held against."""

import pytest
from killed_jobs import ROW, left_alone


@pytest.fixture(scope="session")
def left_alone_row(tmp_path_factory):
    """What one row of the tiny job makes when nothing happens to it."""
    return left_alone(tmp_path_factory.mktemp("alone") / "job", ROW)
