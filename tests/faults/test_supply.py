"""What others give this project to run: locked by hash, checked before it runs, under known licences; and no pickle."""

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from tool_module import load_tool

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "tools/requirements.lock"

# Permissive, or weak copyleft that reaches no further than the library (MPL, LGPL); anything else is looked at first.
ALLOWED = re.compile(
    r"(3-clause |2-clause )?BSD( License|-[23]-Clause)?|MIT( License|-CMU|-0)?|Apache([ -]Software License|[- ]2\.0)"
    r"|PSF-2\.0|CNRI-Python|Python Software Foundation License|MPL-2\.0|Mozilla Public License.*"
    r"|0BSD|Zlib|CC0-1\.0|ISC.*|OLDAP-2\.8"
    r"|HPND|Unlicense|Zope Public License|.*\(LGPL\)|LGPL.*",
    re.IGNORECASE,
)
READ = {"resvg_py": "MIT", "skops": "MIT"}  # their metadata name none; read in their LICENSE files


def locked():
    """Return {name: lines of its entry} of the lock file."""
    entries = [entry for entry in re.split(r"\n(?=\S)", LOCK.read_text(encoding="utf-8").strip()) if entry[0] != "#"]
    return {re.match(r"[\w.-]+", entry).group().lower().replace("_", "-"): entry for entry in entries}


def test_every_dependency_is_locked_by_version_and_hash():
    for name, entry in locked().items():
        assert re.match(r"[\w.-]+==\S+", entry), name
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), name
    assert "--require-hashes" in (ROOT / "tools/setup").read_text()


def test_licences_are_known_ones():
    done = subprocess.run(
        [Path(sys.executable).with_name("pip-licenses"), "--format=json", "--with-system"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = {row["Name"].lower().replace("_", "-"): (row["Name"], row["License"]) for row in json.loads(done.stdout)}
    assert len(set(locked()) & set(found)) > 30
    for name in set(locked()) & set(found):
        own_name, licence = found[name]
        for part in re.split(r" AND | OR |; ", READ.get(own_name, licence)):
            assert ALLOWED.fullmatch(part) or part == "License", f"{own_name}: {licence}"


@pytest.mark.parametrize(
    "licence",
    [
        "AGPL-3.0",
        "GNU Affero General Public License v3",
        "SSPL-1.0",
        "GPL-3.0-only",
        "GNU General Public License v3 (GPLv3)",
        "UNKNOWN",
        "BUSL-1.1",
    ],
)
def test_other_licences_are_not(licence):
    assert not ALLOWED.fullmatch(licence)


@pytest.fixture
def other_sdist(tmp_path):
    """A source distribution under the pinned name, whose setup.py would leave a mark."""
    folder = tmp_path / "links"
    folder.mkdir()
    script = f"open({str(tmp_path / 'ran')!r}, 'w')\nfrom setuptools import setup\nsetup()\n".encode()
    with tarfile.open(folder / "brocolli-caffe-3.0.0.tar.gz", "w:gz") as tar:
        for name, data in (("setup.py", script), ("PKG-INFO", b"Name: brocolli-caffe\nVersion: 3.0.0\n")):
            member = tarfile.TarInfo(f"brocolli-caffe-3.0.0/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return folder


def test_nothing_of_an_sdist_of_another_hash_runs(tmp_path, other_sdist):
    cache = tmp_path / "cache"
    done = subprocess.run(
        [sys.executable, ROOT / "tools/caffe/build", "--cache", cache],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(other_sdist)},
    )
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert not (tmp_path / "ran").exists()
    assert not list(cache.glob("caffe/*/source"))


def test_the_file_that_is_unpacked_is_looked_at_again(tmp_path, other_sdist, monkeypatch):
    source = load_tool(ROOT / "tools/caffe/source")
    monkeypatch.setattr(source, "run", lambda *args: None)  # pip has found nothing wrong
    with pytest.raises(SystemExit, match=r"brocolli-caffe-3.0.0.tar.gz has the SHA-256 \w+; ad7ba487552f4343df25"):
        source.fetch(other_sdist)


def test_no_pickle_is_loaded_anywhere():
    """Not by name, and each np.load says so; pebble's own pipes carry what this process has made."""
    modules = "pickle|dill|cloudpickle|shelve|marshal"
    joblib = r"import joblib\b|from joblib import .*\b(load|dump)\b"  # its backends read nothing
    bad = re.compile(rf"\b((import|from) ({modules})\b|{joblib}|torch\.load|read_pickle|(?<![_.])eval\(|exec\()")
    for path in [*ROOT.glob("mindpics/*.py"), *ROOT.glob("pinterest_id/*.py"), *ROOT.glob("tools/*")]:
        if not path.is_file() or path.suffix in (".lock", ".in"):
            continue
        text = path.read_text(encoding="utf-8")
        assert not bad.search(text), path
        for call in re.findall(r"np\.load\(.*", text):
            assert "allow_pickle=False" in call, f"{path}: {call}"
        assert "allow_pickle=True" not in text, path


def test_a_wheel_that_is_not_as_it_was_built_is_not_given_to_pip(tmp_path):
    build = load_tool(ROOT / "tools/caffe/build")
    wheel = tmp_path / "caffe-1-cp311-cp311-linux_x86_64.whl"
    for recorded, found, kept in ((b"built", b"built", True), (b"built", b"planted", False), (None, b"planted", False)):
        wheel.write_bytes(found)
        build.record_of(wheel).unlink(missing_ok=True)
        if recorded:
            build.record_of(wheel).write_text(hashlib.sha256(recorded).hexdigest())
        assert build.kept_wheel(tmp_path, "caffe-1-*.whl") == (wheel if kept else None)
        assert wheel.exists() == kept


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """tools/caffe/build as a module, and a cache that holds the wheel it looks for."""
    build = load_tool(ROOT / "tools/caffe/build")
    wheel = tmp_path / f"cache/wheels/caffe-1-{build.ABI}-{build.ABI}-linux.whl"
    for folder in (wheel.parent, tmp_path / "cache/caffe" / build.ABI):
        folder.mkdir(parents=True)
    wheel.write_bytes(b"built")
    build.record_of(wheel).write_text(hashlib.sha256(b"built").hexdigest())
    monkeypatch.setattr(build, "version_of", lambda args: "1")
    monkeypatch.setattr("sys.argv", ["build", "--cache", str(tmp_path / "cache")])
    umask = os.umask(0o022)
    yield build, wheel
    os.umask(umask)


def test_a_wheel_in_a_cache_of_ones_own_is_used_again(cached, capsys):
    build, wheel = cached
    build.main()
    assert capsys.readouterr().out == f"{wheel}\n"


@pytest.mark.parametrize("place", ["", "wheels", "caffe", "the wheel"])
@pytest.mark.parametrize("fault", ["owner", "mode"])
def test_a_cache_that_others_own_or_may_write_to_is_refused(place, fault, cached, monkeypatch):
    build, wheel = cached
    path = wheel if place == "the wheel" else wheel.parents[1] / place
    if fault == "mode":
        path.chmod(path.stat().st_mode | 0o020)
    elif os.getuid() == 0:
        os.chown(path, 65534, 65534)
    else:  # only root can give a file away
        monkeypatch.setattr(build.os, "getuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(SystemExit, match=r"found owner \d+, mode \d+; wanted owner \d+ and chmod go-w, or another"):
        build.main()


def test_a_wheel_that_is_a_link_is_refused(cached, tmp_path):
    build, wheel = cached
    wheel.rename(tmp_path / "elsewhere")
    wheel.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SystemExit, match="mode 777; wanted"):
        build.main()
