"""tools/setup and tools/caffe: what they say when something is missing, and that a second run is quick."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import caffe
import pytest

ROOT = Path(__file__).resolve().parents[2]
PATCHES = sorted((ROOT / "tools/caffe/patches").glob("*.patch"))


@pytest.fixture
def checkout(tmp_path):
    """What tools/setup needs, in a folder of its own, without a .venv."""
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "tools", copy / "tools")
    shutil.copy(ROOT / "setup.py", copy)
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def setup(folder, *args, **environment):
    return subprocess.run(
        [folder / "tools/setup", *args], capture_output=True, text=True, timeout=120, env={**os.environ, **environment}
    )


def fake_python(folder, version):
    """A program that answers as a Python of another version does."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "Python {version}" && exit 0\nexit 1\n')
    path.chmod(0o755)
    return str(path)


def test_second_run_does_nothing():
    setup(ROOT)  # up to date already, unless a file that it depends on was edited since
    done = setup(ROOT)
    assert (done.returncode, done.stderr) == (0, "tools/setup: nothing to do, .venv is up to date\n")


@pytest.mark.parametrize(
    ("python", "line"),
    [("no-such-python", "no Python at no-such-python"), ("3.10.4", "is Python 3.10.4; needed is Python 3.11 to 3.13")],
)
def test_wrong_python_is_named(checkout, python, line):
    if python[0] == "3":
        python = fake_python(checkout, python)
    done = setup(checkout, PYTHON=python)
    assert done.returncode == 1
    assert line in done.stderr.splitlines()[-1]


def test_a_second_setup_waits_for_the_first_and_says_so(checkout):
    command, environment = [checkout / "tools/setup"], {**os.environ, "PYTHON": "no-such-python"}
    with open(checkout / "tools/setup") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        second = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        assert "another tools/setup is at work in" in second.stderr.readline()
        assert second.poll() is None
    assert "no Python at no-such-python" in second.communicate(timeout=120)[1] and second.returncode == 1


def test_python_once_chosen_is_kept(checkout):
    (checkout / ".venv").mkdir()
    (checkout / ".venv/python").write_text(fake_python(checkout, "3.10.4") + "\n")
    done = setup(checkout, PYTHON="")
    assert done.returncode == 1
    assert f"{checkout / 'python'} is Python 3.10.4; needed is" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_what_is_no_environment_of_its_own_is_not_emptied(checkout, tmp_path, kind):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "bin").mkdir(parents=True)
    (elsewhere / "bin" / "thesis").write_text("years of work")
    if kind == "link":
        (elsewhere / "pyvenv.cfg").touch()
        (checkout / ".venv").symlink_to(elsewhere)
    else:
        elsewhere.rename(checkout / ".venv")
    done = setup(checkout)
    assert done.returncode == 1 and "which would be emptied" in done.stderr.replace("and would", "which would")
    assert (checkout / ".venv/bin/thesis").read_text() == "years of work"


def test_own_caffe_is_used_and_named(checkout):
    """This environment's Caffe plays the user's own; with nothing locked the rest comes from it as well."""
    (checkout / "tools/requirements.lock").write_text("")
    for name in ("README.md", "mindpics", "pinterest_id"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, checkout / name)
    done = setup(checkout, PYTHON=sys.executable, MINDPICS_CACHE=str(checkout / "no-wheels-here"))
    folder = Path(caffe.__file__).parents[1]
    assert f"tools/setup: using your own Caffe in {folder}\n" in done.stderr
    assert done.returncode == 0, done.stderr
    assert (checkout / ".venv/python").read_text() == f"{sys.executable}\n"
    script = "import caffe, mindpics; print(caffe.__file__, mindpics.__file__)"
    found = subprocess.run([checkout / ".venv/bin/python", "-c", script], capture_output=True, text=True, cwd="/")
    assert found.stdout.split() == [caffe.__file__, str(checkout / "mindpics/__init__.py")]


def test_registry_out_of_reach_is_one_line(checkout):
    nowhere = {
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_FIND_LINKS": "",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_RETRIES": "0",
        "PIP_CONFIG_FILE": "/dev/null",
    }
    done = setup(checkout, **nowhere)
    assert done.returncode == 1
    assert "is the package registry in reach?" in done.stderr.splitlines()[-1]


def test_help_and_unknown_argument():
    assert "tools/setup" in setup(ROOT, "--help").stdout
    assert setup(ROOT, "--help").returncode == 0
    assert setup(ROOT, "--fast").returncode != 0


def test_cached_wheel_is_used_again():
    """A second environment needs no compiler: the wheel is found by the hash of all that made it."""
    done = subprocess.run(
        [sys.executable, ROOT / "tools/caffe/build"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": "/nowhere"},
    )
    assert re.fullmatch(r".*/caffe-1\.0\.0\+mindpics\.[0-9a-f]{12}-cp3\d+-cp3\d+-linux_\w+\.whl\n", done.stdout)
    assert Path(done.stdout.strip()).is_file()


@pytest.mark.parametrize("patch", PATCHES, ids=lambda path: path.name)
def test_patch_gives_its_reason(patch):
    reason = patch.read_text(encoding="latin1").split("\n--- ")[0]
    assert len(reason.split()) >= 15


def test_sdist_is_pinned_by_hash():
    pins = (ROOT / "tools/caffe/requirements.txt").read_text().splitlines()
    assert [re.sub("[0-9a-f]{64}$", "HASH", pin) for pin in pins if not pin.startswith("#")] == [
        "brocolli-caffe==3.0.0 --hash=sha256:HASH"
    ]


def test_every_locked_package_has_hashes():
    lock = (ROOT / "tools/requirements.lock").read_text()
    entries = re.split(r"\n(?=[a-z])", lock.strip())
    assert entries
    assert not [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry]
