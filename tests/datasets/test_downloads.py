"""Fetching: what is there is kept, what is wrong is refused, what fails is one clear line."""

import base64
import hashlib
import os
import stat

import pytest

from mindpics.datasets.downloads import FetchError, Package, check_digest, fetch_deb, fetch_npm, unpack_deb


def digest(data, algorithm="sha512"):
    return f"{algorithm}-{base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A PATH with nothing but what a test plants: `tools("npm", "echo hi")`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def plant(name, script):
        path = folder / name
        path.write_text(f"#!/bin/bash\nexport PATH={os.defpath}\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return plant


PACKAGE = Package("@scope/thing", "1.2.3", digest(b"good"))


def test_digest(tmp_path):
    (tmp_path / "x").write_bytes(b"good")
    assert check_digest(tmp_path / "x", digest(b"good")) and check_digest(tmp_path / "x", digest(b"good", "sha256"))
    assert not check_digest(tmp_path / "x", digest(b"bad"))


def test_npm_is_asked_once(tools, tmp_path):
    tools("npm", f'echo "$@" >> {tmp_path}/calls; printf good > {tmp_path}/d/scope-thing-1.2.3.tgz')
    for _ in range(2):
        assert fetch_npm([PACKAGE], tmp_path / "d") == [tmp_path / "d/scope-thing-1.2.3.tgz"]
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == 1 and "@scope/thing@1.2.3" in calls[0] and "--ignore-scripts" in calls[0]


def test_another_file_than_the_pinned_is_refused_and_removed(tools, tmp_path):
    tools("npm", f"printf evil > {tmp_path}/d/scope-thing-1.2.3.tgz")
    with pytest.raises(FetchError, match="scope-thing-1.2.3.tgz: found another file; wanted the pinned one"):
        fetch_npm([PACKAGE], tmp_path / "d")
    assert not list((tmp_path / "d").iterdir())


def test_a_registry_out_of_reach_is_one_line(tools, tmp_path):
    tools("npm", "echo 'npm warn old' >&2; echo 'npm error code ENOTFOUND' >&2; exit 1")
    with pytest.raises(FetchError) as error:
        fetch_npm([PACKAGE], tmp_path / "d")
    assert str(error.value) == "npm failed: npm error code ENOTFOUND; is the npm registry within reach?"


def test_apt_without_lists_says_what_to_do(tools, tmp_path):
    tools("apt-get", "echo 'E: Unable to locate package thing' >&2; exit 100")
    with pytest.raises(FetchError, match="E: Unable to locate package thing; run `apt-get update`, or put thing.deb"):
        fetch_deb(Package("thing", "1", digest(b"good", "sha256")), "thing.deb", tmp_path / "d")


def test_a_missing_tool_is_named(tools, tmp_path):
    with pytest.raises(FetchError, match="no apt-get on this machine"):
        fetch_deb(Package("thing", "1", digest(b"x")), "thing.deb", tmp_path / "d")


def test_a_deb_put_there_by_hand_needs_no_tool(tools, tmp_path):
    (tmp_path / "thing.deb").write_bytes(b"good")
    package = Package("thing", "1", digest(b"good", "sha256"))
    assert fetch_deb(package, "thing.deb", tmp_path) == tmp_path / "thing.deb"


def test_unpacking_is_whole_or_not_at_all(tools, tmp_path):
    tools("dpkg", 'mkdir -p "$3"; echo half > "$3/file"; echo "dpkg: no space" >&2; exit 2')
    with pytest.raises(FetchError, match="dpkg failed: dpkg: no space"):
        unpack_deb(tmp_path / "thing.deb", tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
    tools("dpkg", 'mkdir -p "$3"; echo whole > "$3/file"')
    unpack_deb(tmp_path / "thing.deb", tmp_path / "tree")
    assert (tmp_path / "tree/file").read_text() == "whole\n"
