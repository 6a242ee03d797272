"""The source that is built is BVLC's but for the files that tools/caffe/README.md lists."""

import filecmp
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from tool_module import load_tool

FOLDER = Path(__file__).resolve().parents[2] / "tools/caffe"


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """(the sdist's tree, the tree that is compiled)"""
    folder, source = tmp_path_factory.mktemp("source"), load_tool(FOLDER / "source")
    abi = f"cp{sys.version_info.major}{sys.version_info.minor}"
    cached = Path(os.environ.get("MINDPICS_CACHE") or Path.home() / ".cache/mindpics") / "caffe" / abi
    cached.mkdir(parents=True, exist_ok=True)
    sdist = source.fetch(cached)
    shutil.unpack_archive(sdist, folder / "sdist")
    return next((folder / "sdist").iterdir()), source.unpack_and_mend(sdist, folder / "mended")


def files_of(tree):
    return {
        str(path.relative_to(tree))
        for path in tree.rglob("*")
        if path.is_file() and not {".git", "__pycache__"} & set(path.relative_to(tree).parts)
    }


def differing(one, other):
    both = files_of(one) & files_of(other)
    unequal = {name for name in both if not filecmp.cmp(one / name, other / name, shallow=False)}
    return unequal | files_of(one) ^ files_of(other)


def listed():
    """{file: numbers of its patches} of the README."""
    section = (FOLDER / "README.md").read_text(encoding="utf-8").split("\n## ")[1]
    rows = re.findall(r"^\| `([^`]+)` \|.*\| ([^|]*) \|$", section, re.MULTILINE)
    return dict(rows)


def test_the_list_of_differences_is_whole(trees):
    assert differing(*trees) == set(listed())


def test_each_file_names_its_patches():
    wanted = {}
    for patch in sorted((FOLDER / "patches").glob("*.patch")):
        for name in re.findall(r"^\+\+\+ b/(\S+)", patch.read_text(), re.MULTILINE):
            wanted.setdefault(name, []).append(patch.name[:2])
    for name, numbers in listed().items():
        first, to, last = numbers.partition(" to ")
        found = [f"{n:02}" for n in range(int(first), int(last) + 1)] if to else numbers.split(", ")
        assert found == wanted.get(name, ["none"]), name


def test_the_number_of_changed_lines_is_the_one_given():
    lines = [line for patch in (FOLDER / "patches").glob("*.patch") for line in patch.read_text().splitlines()]
    changed = sum(bool(re.match("[+-][^+-]", line)) for line in lines)
    assert f"{changed} changed lines in all" in (FOLDER / "README.md").read_text(encoding="utf-8")
    assert changed <= 750


def test_what_is_no_difference_of_bvlcs_is_told_from_it(tmp_path):
    for name, text in (("one/a", "1"), ("one/b", "2"), ("other/a", "1"), ("other/b", "3"), ("other/c/d", "4")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert differing(tmp_path / "one", tmp_path / "other") == {"b", "c/d"}
