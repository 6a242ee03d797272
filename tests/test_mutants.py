"""The table of domain bugs fits the tree, and tools/mutate tells a test that notices from one that does not."""

import subprocess
from pathlib import Path

import pytest
from finding_codes import codes_of
from tool_module import run_tool

from mindpics.benchmarks.mutants import KILLED, SURVIVED, format_outcomes, outcome, planted, read_bugs, silenced

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "tests" / "mutations.toml"
BUGS = """
[[file]]
path = "pairs/sums.py"
tests = ["tests/test_sums.py"]
bugs = [
    {kind = "number", old = 'a + b', new = 'a - b'},
    {kind = "number", old = 'a * b', new = 'a / b'},
    {kind = "number", old = 'import math', new = 'import maths'},
    {kind = "number", old = '"sums"', new = '"sum"', equivalent = "nobody reads it"},
]
"""
SUMS = 'import math\n\nNAME = "sums"\n\n\ndef add(a, b):\n    return a + b\n\n\ndef times(a, b):\n    return a * b\n'


@pytest.fixture
def tree(tmp_path):
    """A checkout with one module whose product no test looks at."""
    test = "from pairs.sums import add\n\n\ndef test():\n    assert add(2, 1) == 3\n"
    for name, text in (
        ("pairs/sums.py", SUMS),
        ("table.toml", BUGS),
        ("pairs/__init__.py", ""),
        ("tests/test_sums.py", test),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_every_bug_of_the_table_fits_the_tree_and_names_tests_that_are_there():
    bugs = read_bugs(TABLE, ROOT)
    assert len(bugs) >= 300 and len({(bug.path, bug.old, bug.new) for bug in bugs}) == len(bugs)
    assert not [name for bug in bugs for name in bug.tests if not (ROOT / name.partition("::")[0]).is_file()]
    kinds = {bug.kind for bug in bugs}
    assert kinds == {"leak", "wiring", "option", "number", "column", "constant", "state", "finding"}


def test_a_bug_that_no_longer_fits_is_named(tree):
    (tree / "pairs/sums.py").write_text(SUMS.replace("a * b", "b * a"))
    with pytest.raises(ValueError, match=r"found 'a \* b' 0 times in pairs/sums.py; wanted each once, and a change"):
        read_bugs(tree / "table.toml", tree)


def test_the_tests_kill_what_they_look_at_and_the_file_is_as_before(tree):
    bugs = read_bugs(tree / "table.toml", tree)
    outcomes = [(bug, outcome(tree, bug, 60)) for bug in bugs]
    assert [how for _, how in outcomes] == [KILLED, SURVIVED, KILLED, SURVIVED]
    assert (tree / "pairs/sums.py").read_text() == SUMS
    said = format_outcomes(outcomes)
    assert "number: a * b -> a / b\n" in said and "(equivalent: nobody reads it)" in said
    assert "pairs                       2 of    3 killed   66.7%" in said


def test_each_finding_of_a_module_is_silenced_once():
    for pattern in ("mindpics/lint/data.py", "pinterest_id/verify.py"):
        text = (ROOT / pattern).read_text()
        bugs = silenced(pattern, text, ())
        assert len(bugs) >= len(codes_of(pattern)) - 1  # paper-counts is made by a function
        for bug in bugs:
            changed = text.replace(bug.old, bug.new, 1)
            assert text.count(bug.old) == 1 and "yield from ()" in changed
            compile(changed, pattern, "exec")


def test_the_tool_leaves_the_checkout_alone(tree, monkeypatch, capsys):
    before = subprocess.run(["git", "status", "--short"], cwd=ROOT, capture_output=True, text=True).stdout
    assert run_tool("mutate", "--kind", "state", "--list") == 0
    assert "bugs" in capsys.readouterr().out
    with planted(tree, read_bugs(tree / "table.toml", tree)[0]):
        assert "a - b" in (tree / "pairs/sums.py").read_text()
    assert subprocess.run(["git", "status", "--short"], cwd=ROOT, capture_output=True, text=True).stdout == before
