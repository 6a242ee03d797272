"""tools/caffe/boost: Boost.Python's source by apt, here from a mirror in a folder that holds a Boost of three files."""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from tool_module import load_tool

CAFFE = Path(__file__).resolve().parents[2] / "tools/caffe"
FORMS = {
    "a.list": "# deb http://127.0.0.1:9 old main\ndeb [trusted=yes] file:{} ./\n",
    "b.sources": "Types: deb\nURIs: file:{}\nSuites: ./\nTrusted: yes\n\nEnabled: no\nTypes: deb\n"
    "URIs: http://127.0.0.1:9\nSuites: old\nComponents: main\n",
}
PATCH = """--- a/libs/{0}
+++ b/libs/{0}
@@ -1 +1 @@
-before
+after
"""


def write_tar(path, files):
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))


@pytest.fixture
def mirror(tmp_path):
    """A mirror with the source of the Boost that is installed here."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    name, version = load_tool(CAFFE / "boost").installed_boost()
    upstream = version.rpartition("-")[0]
    write_tar(
        folder / f"{name}_{upstream}.orig.tar.gz",
        {
            "boost_1/libs/python/src/list.cpp": "before\n",
            "boost_1/libs/python/src/object/enum.cpp": "before\n",
            "boost_1/libs/mpi/src/python.cpp": "before\n",
        },
    )
    write_tar(
        folder / f"{name}_{version}.debian.tar.gz",
        {
            "debian/patches/series": "# of two parts of Boost\nother.patch\nenum.patch\n",
            "debian/patches/other.patch": PATCH.format("mpi/src/python.cpp"),  # of a file that is not unpacked
            "debian/patches/enum.patch": PATCH.format("python/src/object/enum.cpp"),
        },
    )
    (folder / f"{name}_{version}.dsc").write_text("of no use without dpkg-dev\n")
    rows = [
        f" {hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_size} {path.name}\n"
        for path in sorted(folder.iterdir())
    ]
    (folder / "Sources").write_text(
        f"Package: {name}\nBinary: {name}\nVersion: {version}\nFormat: 3.0 (quilt)\n"
        f"Directory: .\nChecksums-Sha256:\n{''.join(rows)}\n"
    )
    return folder


@pytest.fixture(params=FORMS)
def apt(request, mirror, monkeypatch):
    """Let this machine's apt know that mirror alone, in one of the two forms."""
    parts = mirror.parent / "parts"
    parts.mkdir()
    (parts / request.param).write_text(FORMS[request.param].format(mirror))
    (mirror.parent / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{mirror.parent / "none.list"}"; Dir::Etc::sourceparts "{parts}";'
    )
    monkeypatch.setenv("APT_CONFIG", str(mirror.parent / "apt.conf"))


def fetch(cache):
    return subprocess.run([sys.executable, CAFFE / "boost", "--cache", cache], capture_output=True, text=True)


def test_source_is_debians_with_its_patches(apt, mirror, tmp_path):
    done = fetch(tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    found = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert found == {"list.cpp": "before\n", "object/enum.cpp": "after\n"}
    assert os.listdir(tmp_path / "cache") == [folder.name]
    (mirror / "Sources").unlink()
    again = fetch(tmp_path / "cache")
    assert (again.returncode, again.stdout, again.stderr) == (0, done.stdout, "")


def test_damaged_source_is_refused(apt, mirror, tmp_path):
    tar = next(mirror.glob("*.orig.tar.gz"))
    tar.write_bytes(tar.read_bytes()[:-1] + b"x")  # of the same size
    done = fetch(tmp_path / "cache")
    assert done.returncode == 1
    assert "Hash Sum mismatch" in done.stderr
    assert [name.endswith(".part") for name in os.listdir(tmp_path / "cache")] == [True]


def test_another_version_is_one_line(apt, mirror, tmp_path):
    text = (mirror / "Sources").read_text()
    (mirror / "Sources").write_text(text.replace("\nVersion: ", "\nVersion: 9"))
    done = fetch(tmp_path / "cache")
    assert done.returncode == 1
    assert "apt has no source of boost" in done.stderr.splitlines()[-1]


def test_source_only_where_debian_has_no_library(apt, tmp_path, monkeypatch):
    build = load_tool(CAFFE / "build")
    monkeypatch.setattr(build, "find_library", {"boost_python311": "libboost_python311.so"}.get)
    monkeypatch.setattr(build, "PYTHON", "311")
    assert build.fetch_boost(tmp_path / "cache") == "-DBOOST_PYTHON_SOURCE:PATH="
    monkeypatch.setattr(build, "PYTHON", "312")
    folder = Path(build.fetch_boost(tmp_path / "cache").removeprefix("-DBOOST_PYTHON_SOURCE:PATH="))
    assert (folder / "object/enum.cpp").is_file()
