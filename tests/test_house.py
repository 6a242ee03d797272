"""The house rules that a machine can hold: import floors, lint, names of variables, sections of docstrings."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mindpics.api

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PRONOUNS = set(
    re.findall(r"\w+", "both found given got left more of one others own said seen some they wanted what which")
)
CAFFE_SIGNATURES = {"backward"}  # of a Python layer: what Caffe gives it


@pytest.mark.parametrize("command", [("lint-imports",), ("ruff", "check"), ("ruff", "format", "--check")], ids=" ".join)
def test_the_checker_has_no_complaint(command):
    done = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mindpics_does_not_name_what_pinterest_id_writes():
    theirs = re.compile(r"pinterest_id[/.]|table2\.csv|mcnemar\.csv|CF\+Ref|PINTEREST")
    code = sorted((ROOT / "mindpics").rglob("*.py"))
    assert code and not [path for path in code if theirs.search(path.read_text(encoding="utf-8"))]


def modules():
    """Return the path and the syntax tree of each module and of each tool in Python."""
    paths = [path for package in ("mindpics", "pinterest_id") for path in sorted((ROOT / package).rglob("*.py"))]
    paths += [path for path in sorted((ROOT / "tools").iterdir()) if path.is_file() and is_python(path)]
    return [(path.relative_to(ROOT), ast.parse(path.read_text(encoding="utf-8"))) for path in paths]


def test_rooms_and_functions_stay_small():
    """pinterest_id is flat; its modules are as short."""
    by_package = {}
    for path in (ROOT / "mindpics").rglob("*.py"):
        by_package.setdefault(path.parent.relative_to(ROOT), []).append(path.name)
    full = {package: names for package, names in by_package.items() if len(set(names) - {"__init__.py"}) > 16}
    long = [path for path, _ in modules() if len((ROOT / path).read_text(encoding="utf-8").splitlines()) > 300]
    defined = [node for _, tree in modules() for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    lengths = sorted(node.end_lineno - node.lineno + 1 for node in defined)
    assert not full and not long
    assert lengths[len(lengths) // 2] <= 10 and lengths[len(lengths) * 9 // 10] <= 30


def is_python(path):
    return path.suffix == ".py" or path.read_bytes().startswith(b"#!/usr/bin/env python3\n")


def named(tree):
    """Return (line, name) of each variable, parameter and attribute that a tree sets."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(getattr(node, "ctx", None), ast.Store) and isinstance(node, (ast.Name, ast.Attribute)):
            yield node.lineno, node.id if isinstance(node, ast.Name) else node.attr


def test_no_variable_is_named_by_a_pronoun():
    """A left edge beside a top one is no pronoun."""
    bad = []
    for path, tree in modules():
        names = list(named(tree))
        tops = {line for line, name in names if name == "top"}
        pronouns = [(line, name) for line, name in names if name.strip("_") in PRONOUNS]
        bad += [f"{path}:{line} {name}" for line, name in pronouns if not (name == "left" and line in tops)]
    assert not bad, "\n".join(bad)


def functions(tree):
    """Return the public functions of a module, and the public methods of its classes."""
    for node in tree.body:
        body = node.body if isinstance(node, ast.ClassDef) else [node]
        yield from (item for item in body if isinstance(item, ast.FunctionDef) and not item.name.startswith("_"))


def parameters(function):
    arguments = function.args
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    names += [argument.arg for argument in (arguments.vararg, arguments.kwarg) if argument]
    return [name for name in names if name not in ("self", "cls")]


def undescribed(function):
    docstring = ast.get_docstring(function) or ""
    return function.name not in CAFFE_SIGNATURES and "Parameters\n----------" not in docstring


def test_a_public_function_of_three_parameters_describes_them():
    bad = [
        f"{path}:{function.lineno} {function.name}"
        for path, tree in modules()
        for function in functions(tree)
        if len(parameters(function)) >= 3 and undescribed(function)
    ]
    assert not bad, "\n".join(bad)


def references(tree):
    """Return what a module's docstrings name between backticks."""
    nodes = (node for node in ast.walk(tree) if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)))
    return set(re.findall(r"`([\w.]+)", "\n".join(ast.get_docstring(node) or "" for node in nodes)))


def test_a_function_that_a_docstring_or_the_python_surface_sends_one_to_describes_its_parameters():
    trees = modules()
    everywhere, surface = set().union(*(references(tree) for _, tree in trees)), mindpics.api.__all__
    bad = []
    for path, tree in trees:
        module, here = ".".join(path.with_suffix("").parts), references(tree)
        for function in functions(tree):
            sent_to = function.name in (*here, *surface) or f"{module}.{function.name}" in everywhere
            if sent_to and parameters(function) and undescribed(function):
                bad.append(f"{path}:{function.lineno} {function.name}")
    assert not bad, "\n".join(bad)


def test_importing_pinterest_id_and_each_of_its_modules_imports_no_caffe():
    modules = [f"pinterest_id.{path.stem}" for path in (ROOT / "pinterest_id").glob("[!_]*.py")]
    command = [sys.executable, "-X", "importtime", "-c", f"import {', '.join(['pinterest_id', *sorted(modules)])}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert set(modules) <= imported
    assert not {name for name in imported if name.partition(".")[0] == "caffe"}
