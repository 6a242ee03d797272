"""The house rules that a machine can hold: import floors and lint."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


@pytest.mark.parametrize("command", [("lint-imports",), ("ruff", "check"), ("ruff", "format", "--check")], ids=" ".join)
def test_the_checker_has_no_complaint(command):
    done = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mindpics_does_not_name_what_pinterest_id_writes():
    theirs = re.compile(r"pinterest_id[/.]|table2\.csv|mcnemar\.csv|CF\+Ref|PINTEREST")
    code = sorted((ROOT / "mindpics").rglob("*.py"))
    assert code and not [path for path in code if theirs.search(path.read_text(encoding="utf-8"))]
