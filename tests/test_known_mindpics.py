"""The MindPics experiment whole, by its stages and tools, on pictures of which every number is known."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from known_mindpics import ROWS, SEED, SETTING, draw, job, right_by_trait, write_body, write_posts

from mindpics.jobs.runner import Runner
from mindpics.plan import plan
from mindpics.posts.whole_selection import Choices, select

REPOSITORY = Path(__file__).resolve().parents[1]


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def selection(tmp_path_factory):
    """(folder, rows of its mindpics.csv): the selection is known before the pictures are drawn, since it is seeded."""
    folder = tmp_path_factory.mktemp("known")
    write_posts(folder / "crawl")
    select(folder / "crawl" / "posts.jsonl", folder / "before", Choices(1100, 30, seed=SEED), workers=1)
    rows = rows_of(folder / "before" / "mindpics.csv")
    draw(folder / "crawl", rows)
    write_body(folder / "weights")
    return folder, rows


@pytest.fixture(scope="module")
def run(selection):
    folder, _ = selection
    (folder / "tools").symlink_to(REPOSITORY / "tools")
    here = os.getcwd()
    os.chdir(folder)
    try:
        Runner(plan(job("."), ROWS), "run", 2).run()
    finally:
        os.chdir(here)
    return folder / "run" / "mindpics"


def test_x(run, selection):
    _, rows = selection
    assert rows_of(run / "mindpics.csv") == rows
    print((run / "table3.csv").read_text())
    print(right_by_trait(rows))
    assert 0
