"""Mutation testing: a bug planted in a copy of the tree, and whether the related tests notice it."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SEVERITIES = ("error", "warning", "differs", "note")  # of findings that a planted fault must bring about
KILLED, SURVIVED = "killed", "survived"


@dataclass(frozen=True)
class Bug:
    """One change of one file.

    Attributes
    ----------
    path : str
        Relative to the root of the tree.
    kind : str
        Like "leak" or "wiring".
    old, new : str
        `old` stands in the file once.
    tests : tuple of str
        Those that should notice, for pytest.
    equivalent : str
        Why no test can notice it; "" for a bug.
    """

    path: str
    kind: str
    old: str
    new: str
    tests: tuple
    equivalent: str = ""

    @property
    def package(self):
        """As "pinterest_id" or "mindpics/results"."""
        folder = Path(self.path).parent
        return str(folder) if len(folder.parts) < 3 else "/".join(folder.parts[:2])

    def __str__(self):
        return f"{self.path}: {self.kind}: {_short(self.old)} -> {_short(self.new)}"


def read_bugs(table, root):
    """Return the `Bug`s of a table like tests/mutations.toml, each of which fits the tree.

    Raises
    ------
    ValueError
        When an `old` does not stand in its file exactly once, or nothing would change.
    """
    bugs, misfits = [], []
    for of_file in tomllib.loads(Path(table).read_text(encoding="utf-8"))["file"]:
        path, tests = of_file["path"], tuple(of_file["tests"])
        text = (Path(root) / path).read_text(encoding="utf-8")
        if of_file.get("findings"):
            bugs += silenced(path, text, tests)
        for entry in of_file.get("bugs", []):
            bug = Bug(
                path,
                entry["kind"],
                entry["old"],
                entry["new"],
                tuple(entry.get("tests", tests)),
                entry.get("equivalent", ""),
            )
            bugs.append(bug)
            if text.count(bug.old) != 1 or bug.old == bug.new:
                misfits.append(f"{bug.old!r} {text.count(bug.old)} times in {path}")
    if misfits:
        raise ValueError(f"{table}: found {'; '.join(misfits)}; wanted each once, and a change")
    return bugs


def silenced(path, text, tests):
    """Return a `Bug` for each finding that a module yields: it is said no more.

    Parameters
    ----------
    path, text : str
        A module's path in the tree, and what stands in it.
    tests : tuple of str
        That must notice.
    """
    lines, bugs = text.splitlines(keepends=True), []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Yield) and _is_finding(node.value) and severity_of(node.value) in (*SEVERITIES, None):
            first, last = node.lineno - 1, node.end_lineno
            indent = lines[first][: node.col_offset]
            begin = first
            while text.count("".join(lines[begin:last])) > 1:  # a line alone may stand there twice
                begin -= 1
            before = "".join(lines[begin:first])
            bugs.append(Bug(path, "finding", "".join(lines[begin:last]), f"{before}{indent}yield from ()\n", tests))
    return bugs


def severity_of(value):
    """Return the severity of what is yielded, a Finding or a tuple that begins with one; None where it is computed."""
    first = value.elts[0] if isinstance(value, ast.Tuple) else next(iter(getattr(value, "args", [])), None)
    return first.value if isinstance(first, ast.Constant) else None


def _is_finding(value):
    if isinstance(value, ast.Tuple):
        return severity_of(value) is not None
    named = getattr(value, "func", None)
    return getattr(named, "attr", getattr(named, "id", "")) in ("finding", "Finding")


def copy_tree(root, folder):
    """Copy what git tracks, and new files that it does not ignore, into a folder."""
    listed = (
        subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=root,
            capture_output=True,
            check=True,
        )
        .stdout.decode()
        .split("\0")
    )
    for name in filter(None, listed):
        source, target = Path(root) / name, Path(folder) / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


@contextmanager
def planted(tree, bug):
    """Hold a bug in a tree."""
    path = Path(tree) / bug.path
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace(bug.old, bug.new, 1), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(whole, encoding="utf-8")


def passes(tree, tests, limit):
    """Tell whether tests pass in a tree; what takes longer than `limit` seconds does not.

    Parameters
    ----------
    tree : path
    tests : sequence of str
        As pytest takes them, relative to the tree.
    limit : float
        Seconds.

    Raises
    ------
    ValueError
        When pytest could not run them.
    """
    # a compiled file is held against a whole second and a size, both of which a bug may leave as they are
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return False
    if done.returncode not in (0, 1, 2):  # 2: a module that can no longer be imported
        raise ValueError(
            f"{' '.join(tests)}: found no tests that run; wanted some: {done.stdout[-500:]}{done.stderr[-500:]}"
        )
    return done.returncode == 0


def outcome(tree, bug, limit):
    """Return KILLED or SURVIVED.

    Parameters
    ----------
    tree : path
    bug : Bug
    limit : float
        Seconds that its tests may take.
    """
    with planted(tree, bug):
        return SURVIVED if passes(tree, bug.tests, limit) else KILLED


def format_outcomes(outcomes):
    """Return the survivors by file, and how many of each package and kind were killed.

    Parameters
    ----------
    outcomes : list of (Bug, str)
    """
    lines, survivors = [], [bug for bug, how in outcomes if how == SURVIVED]
    for path in dict.fromkeys(bug.path for bug in survivors):
        lines.append(path)
        for bug in (bug for bug in survivors if bug.path == path):
            why = f" (equivalent: {bug.equivalent})" if bug.equivalent else ""
            lines.append(f"    {bug.kind}: {_short(bug.old)} -> {_short(bug.new)}{why}")
    real = [(bug, how) for bug, how in outcomes if not bug.equivalent]
    for group_of in (lambda bug: bug.package, lambda bug: bug.kind, lambda bug: "all"):
        lines.append("")
        planted_, killed = (
            Counter(group_of(bug) for bug, _ in real),
            Counter(group_of(bug) for bug, how in real if how == KILLED),
        )
        lines += [
            f"{name:<24}{killed[name]:>5} of {count:>4} killed{killed[name] / count:>8.1%}"
            for name, count in sorted(planted_.items())
        ]
    return "\n".join(lines)


def _short(text):
    line = " ".join(text.split())
    return line if len(line) <= 90 else f"{line[:42]} ... {line[-42:]}"
