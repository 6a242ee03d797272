"""The READMEs: every command is one that its tool takes, every link leads somewhere, the first page stays one."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tool_module import load_tool

from mindpics import cli

ROOT = Path(__file__).resolve().parents[1]
READMES = sorted(path for path in ROOT.rglob("README.md") if not {".venv", "runs", "data", "build"} & set(path.parts))
QUICK = (
    "mindpics",
    "mindpics train_net --help",
    "tools/make_nets --normalization",
    "tools/make_nets --loss",
    "tools/lint_net solvers/alexnet_all-in-one_scratch.prototxt",
    "tools/run_experiment --plan",
)


def commands(path):
    """Return the commands of the indented blocks of a README, lines that end in a backslash joined, comments gone."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^    ((?:tools/|mindpics\b).*)$", text, re.MULTILINE)
    return [shlex.join(shlex.split(line, comments=True)) for line in lines]


CONTRIBUTING = ROOT / ".github/CONTRIBUTING.md"
CASES = [(path.relative_to(ROOT), command) for path in [*READMES, CONTRIBUTING] for command in commands(path)]


def test_every_readme_of_the_house_is_looked_at():
    assert {str(path.parent.relative_to(ROOT)) for path in READMES} >= {
        ".",
        "mindpics",
        "mindpics/benchmarks",
        "pinterest_id",
        "prototxt",
        "tests",
        "tests/faults",
        "tools",
    }
    assert len(CASES) > 40


def test_the_first_page_is_a_page():
    assert (ROOT / "README.md").stat().st_size <= 8192


@pytest.mark.parametrize(("readme", "command"), CASES, ids=lambda value: str(value)[:60])
def test_a_command_is_one_that_its_tool_takes(readme, command):
    program, *arguments = shlex.split(command.removeprefix("mindpics ") if command != "mindpics" else "tools/setup")
    name = "run_experiment" if program == "tools/reproduce" else program.removeprefix("tools/")
    if name not in cli.paths():  # a shell script, or a program of tools/caffe
        assert (ROOT / program).is_file()
        return
    tool = load_tool(ROOT / "tools" / name)
    if "--help" not in arguments:
        cli.parser_of(tool.__doc__, tool.add_arguments).parse_args(arguments)


@pytest.mark.parametrize("command", [c for _, c in CASES if c in QUICK or c.startswith(QUICK[2:4])])
def test_a_quick_command_runs_as_it_stands(command, tmp_path):
    for name in ("tools", "prototxt", "solvers"):
        (tmp_path / name).symlink_to(ROOT / name)
    program, *arguments = shlex.split(command)
    run = ["-m", "mindpics.cli", *arguments] if program == "mindpics" else [ROOT / program, *arguments]
    done = subprocess.run([sys.executable, *run], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", [*READMES, CONTRIBUTING], ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target
