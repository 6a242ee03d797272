"""Commands that are printed: quoted, and run as pasted from the folder they are printed in."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mindpics.job import Job, row_command
from mindpics.jobs.commands import as_typed, python_of
from mindpics.nets.scales import TINY
from mindpics.published import ROWS

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.mark.parametrize("words", [["layer[fc6].lr=1"], ["a b", "it's", "$HOME", "*"], [7, Path("MY pictures")]])
def test_a_shell_reads_back_the_words_that_were_meant(words):
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {as_typed(['x', *words])}"], capture_output=True, text=True)
    assert done.stdout.split("\0")[1:-1] == list(map(str, words))


def test_where_no_tools_are_the_one_beside_the_running_tool_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(TOOLS / "sweep")])
    monkeypatch.chdir(TOOLS.parent)
    assert as_typed(["tools/train_net", "a"]) == "tools/train_net a"
    monkeypatch.chdir(tmp_path)
    assert as_typed(["tools/train_net", "a"]) == f"{TOOLS}/train_net a"
    assert as_typed(["tools/reproduce", "a"]) == f"{TOOLS}/reproduce a"
    (tmp_path / "share").mkdir()
    (tmp_path / "share/train_net").touch()  # as pip installs it: a file of no checkout
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "share/train_net")])
    assert as_typed(["tools/train_net", "a"]) == "mindpics train_net a"
    assert as_typed(["tools/reproduce", "a"]) == "mindpics run_experiment a"


def test_stages_and_the_reader_of_caffes_log_import_nothing_of_the_folder_that_they_are_called_from(tmp_path):
    for name in ("mindpics", "random", "caffe"):
        (tmp_path / f"{name}.py").write_text("import sys; sys.exit('what lies here')")
    fatal = "import os; from mindpics.jobs.quiet import quiet\nwith quiet(): os.write(2, b'F0101 10:00 fatal\\n')"
    for command in (python_of(["tools/verify", "--help"]), [sys.executable, "-P", "-c", fatal]):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0 and "usage: " in done.stdout or "F0101 10:00 fatal" in done.stderr, done.stderr


def test_the_command_of_a_row_is_quoted():
    job = Job(TINY, "MY runs/tiny", posts="MY crawl/posts.jsonl", weights={"alexnet": "a (1).caffemodel"})
    words = shlex.split(row_command(job, ROWS[0]))
    for switch, path in (("--posts", job.posts), ("--out", job.root), ("--weights-alexnet", job.weights["alexnet"])):
        assert words[words.index(switch) + 1] == path


def test_reproduce_takes_paths_of_the_folder_that_it_is_called_from(tmp_path):
    """A house whose set-up is done, with a job that tells where it is and what it was given."""
    house, here = tmp_path / "a house", tmp_path / "here"
    (house / "tools").mkdir(parents=True)
    (house / ".venv/bin").mkdir(parents=True)
    here.mkdir()
    shutil.copy(TOOLS / "reproduce", house / "tools/reproduce")
    (house / "tools/setup").write_text("#!/bin/sh\n")
    (house / "tools/setup").chmod(0o755)
    (house / ".venv/bin/python").symlink_to(sys.executable)
    (house / "tools/run_experiment").write_text("import os, sys\nprint(os.getcwd(), *sys.argv[1:], sep='\\n')\n")
    command = [house / "tools/reproduce", "--posts", "MY crawl/posts.jsonl"]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True)
    assert done.stdout.splitlines() == [str(here), "--posts", "MY crawl/posts.jsonl"], done.stderr
