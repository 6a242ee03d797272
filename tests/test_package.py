"""`pip install .` brings both packages, their data and every prototxt."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"  # a build leaves folders behind; not in the checkout
    tracked = ["setup.py", "README.md", "LICENSE", "pyproject.toml", "mindpics", "pinterest_id", "prototxt", "solvers"]
    copy.mkdir()
    subprocess.run(["cp", "-r", *(str(ROOT / name) for name in tracked), str(copy)], check=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, copy],
        check=True,
    )  # fmt: skip
    return zipfile.ZipFile(next(folder.glob("*.whl"))).namelist()


def test_both_packages_and_their_data(names):
    assert {"mindpics/layers.py", "pinterest_id/cascade.py"} <= set(names)
    assert {"mindpics/data/published.json", "pinterest_id/data/published.json"} <= set(names)
    modules = {str(path.relative_to(ROOT)) for package in ("mindpics", "pinterest_id")
               for path in (ROOT / package).rglob("*.py")}  # fmt: skip
    assert modules <= set(names)


def test_every_prototxt(names):
    shared = {name.split("share/mindpics/")[1] for name in names if "share/mindpics/" in name}
    paths = [*(ROOT / "prototxt").rglob("*.prototxt"), *(ROOT / "solvers").rglob("*.prototxt")]
    committed = {str(path.relative_to(ROOT)) for path in paths}
    assert shared == committed
    assert len(committed) >= 54
