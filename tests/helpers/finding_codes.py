"""The checks that modules name in their findings, read from the source: for each a planted fault is wanted."""

import ast
from itertools import pairwise
from pathlib import Path

from mindpics.files.findings import SEVERITIES

ROOT = Path(__file__).resolve().parents[2]
FINDERS = ("finding", "Finding")  # called with severity and check
BY_CHECK = ("summed", "guarded")  # called with the check first
GOOD = ("ok", "note")


def codes_of(*patterns):
    """Return {(severity, check)} of what modules can find wrong; severity "" where it is not a constant."""
    found = set()
    for path in (path for pattern in patterns for path in sorted(ROOT.glob(pattern))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            pair = _pair(node)
            if pair and isinstance(pair[1], ast.Constant):
                severity = pair[0].value if isinstance(pair[0], ast.Constant) else ""
                found.add((severity, pair[1].value))
    return {(severity, check) for severity, check in found if severity not in GOOD}


def _pair(node):
    """Return the nodes of severity and check of a finding; None of anything else."""
    if isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple) and len(node.value.elts) > 2:
        return node.value.elts[:2]
    if isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name in FINDERS and len(node.args) > 2:
            return node.args[:2]
        if name in BY_CHECK:
            return ast.Constant("error"), node.args[0]
    return None


def planted_in(pattern):
    """Return {(severity, check)} that tests want of a planted fault.

    They stand side by side in a tuple or a call, or a finding's check is compared with one.
    """
    found = set()
    for path in sorted(ROOT.glob(pattern)):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            parts = node.elts if isinstance(node, ast.Tuple) else node.args if isinstance(node, ast.Call) else []
            texts = [part.value if isinstance(part, ast.Constant) else None for part in parts]
            found |= {pair for pair in pairwise(texts) if pair[0] in SEVERITIES}
            if isinstance(node, ast.Compare) and getattr(node.left, "attr", "") == "check":
                found |= {(severity, getattr(node.comparators[0], "value", None)) for severity in SEVERITIES}
    return found
