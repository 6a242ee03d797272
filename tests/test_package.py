"""`pip install .` brings both packages, their data and every prototxt."""

import os
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


TRACKED = (
    "setup.py",
    "README.md",
    "LICENSE",
    "pyproject.toml",
    "mindpics",
    "pinterest_id",
    "prototxt",
    "solvers",
    "tools",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"  # a build leaves folders behind; not in the checkout
    copy.mkdir()
    subprocess.run(["cp", "-r", *(str(ROOT / name) for name in TRACKED), str(copy)], check=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, copy],
        check=True,
    )
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def names(wheel):
    return zipfile.ZipFile(wheel).namelist()


def test_both_packages_and_their_data(names):
    assert {"mindpics/layers.py", "pinterest_id/cascade.py"} <= set(names)
    assert {"mindpics/data/published.json", "pinterest_id/data/published.json"} <= set(names)
    modules = {
        str(path.relative_to(ROOT))
        for package in ("mindpics", "pinterest_id")
        for path in (ROOT / package).rglob("*.py")
    }
    assert modules <= set(names)


def test_every_prototxt(names):
    shared = {name.split("share/mindpics/")[1] for name in names if name.endswith(".prototxt")}
    paths = [*(ROOT / "prototxt").rglob("*.prototxt"), *(ROOT / "solvers").rglob("*.prototxt")]
    committed = {str(path.relative_to(ROOT)) for path in paths}
    assert shared == committed
    assert len(committed) >= 54


def test_the_command_works_after_pip_install_from_another_folder(wheel, tmp_path):
    """With the Caffe and the libraries of this environment, and nothing of the checkout."""
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--ignore-installed",
            "--no-warn-script-location",
            "--prefix",
            tmp_path / "there",
            wheel,
        ],
        check=True,
    )
    packages = next((tmp_path / "there").glob("lib/python*/site-packages"))
    run = partial(
        subprocess.run, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(packages)}, capture_output=True, text=True
    )
    command = tmp_path / "there/bin/mindpics"
    assert "train_net" in run([command]).stdout
    made = run([command, "make_nets", "--scale", "tiny", "--out", "nets"])
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "nets/solvers/alexnet_all-in-one_scratch.prototxt").is_file()
    where = run([sys.executable, "-c", "import mindpics.cli; print(mindpics.cli.folder())"]).stdout.strip()
    assert where == str(tmp_path / "there/share/mindpics/tools")
    paper = ["--scale", "paper", "--pins", "MY/pins.jsonl", "--weights-alexnet", "a.caffemodel", "--plan"]
    planned = run([command, "run_experiment", *paper])
    assert planned.returncode == 0, planned.stderr
    net = tmp_path / "there/share/mindpics/prototxt/decaf_fc7/deploy.prototxt"
    assert f"mindpics extract_features {net} a.caffemodel" in planned.stdout and net.is_file()
