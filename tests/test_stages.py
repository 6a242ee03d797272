"""Stages: order, skipping, change, failure, resume after a kill, one run a folder."""

import json
import subprocess
import sys
import textwrap

import pytest

from mindpics.runner import Runner
from mindpics.stages import Stage, StageError, stages_for, ways_left


@pytest.fixture
def tool(tmp_path):
    """A script that appends its name to `ran` and copies its inputs' text to its output."""
    path = tmp_path / "tool.py"
    path.write_text(
        textwrap.dedent("""
        import pathlib, sys
        folder, output, *inputs = map(pathlib.Path, sys.argv[1:])
        with open(folder / "ran", "a") as ran:
            ran.write(output.name + "\\n")
        output.write_text("".join(p.read_text() for p in inputs) + output.name)
        """)
    )
    return path


def chain(tmp_path, tool):
    a, b, c = (str(tmp_path / name) for name in "abc")
    given = str(tmp_path / "given")
    return [
        Stage("c", (str(tool), str(tmp_path), c, a, b), (a, b), (c,)),
        Stage("a", (str(tool), str(tmp_path), a, given), (given,), (a,)),
        Stage("b", (str(tool), str(tmp_path), b, a), (a,), (b,)),
    ]


def ran(tmp_path):
    path = tmp_path / "ran"
    names = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return names


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_stage_waits_for_what_it_reads_and_is_skipped_when_nothing_changed(tmp_path, tool, jobs):
    stages = chain(tmp_path, tool)
    (tmp_path / "given").write_text("x")
    Runner(stages, tmp_path / "run", jobs).run()
    assert ran(tmp_path) == ["a", "b", "c"]
    assert (tmp_path / "c").read_text() == "xaxabc"
    Runner(stages, tmp_path / "run", jobs).run()
    assert ran(tmp_path) == []


def test_a_changed_input_a_changed_command_or_a_lost_output_runs_what_depends_on_it(tmp_path, tool):
    stages = chain(tmp_path, tool)
    (tmp_path / "given").write_text("x")
    Runner(stages, tmp_path / "run").run()
    ran(tmp_path)
    (tmp_path / "given").write_text("y")
    Runner(stages, tmp_path / "run").run()
    assert ran(tmp_path) == ["a", "b", "c"]
    (tmp_path / "b").unlink()
    Runner(stages, tmp_path / "run").run()
    assert ran(tmp_path) == ["b"]  # c's inputs are the same again
    stages[0] = Stage("c", (*stages[0].command, str(tmp_path / "a")), stages[0].inputs, stages[0].outputs)
    Runner(stages, tmp_path / "run").run()
    assert ran(tmp_path) == ["c"]


def test_failure_names_the_stage_its_command_and_the_end_of_its_log(tmp_path):
    script = tmp_path / "fail.py"
    script.write_text("import sys; print('line of the log'); sys.exit('the reason')")
    stage = Stage("bad", (str(script),), (), (str(tmp_path / "never"),))
    expected = r"(?s)stage bad failed \(exit status 1\).*fail.py.*line of the log.*the reason"
    with pytest.raises(StageError, match=expected):
        Runner([stage], tmp_path / "run").run()
    script.write_text("")
    with pytest.raises(StageError, match="it made no"):
        Runner([stage], tmp_path / "run").run()


def test_missing_input_that_no_stage_makes_is_named(tmp_path, tool):
    with pytest.raises(StageError, match="given: is not there, and no stage makes it"):
        Runner(chain(tmp_path, tool), tmp_path / "run").run()


def test_a_stage_that_was_killed_on_the_same_inputs_is_resumed(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(
        "import pathlib, sys\n"
        f"pathlib.Path({str(tmp_path / 'args')!r}).write_text(' '.join(sys.argv[1:]))\n"
        f"if '--resume' not in sys.argv: sys.exit(9)\n"
        f"pathlib.Path({str(tmp_path / 'model')!r}).write_text('m')\n"
    )
    stage = Stage("train", (str(script),), (), (str(tmp_path / "model"),), resumable=True)
    with pytest.raises(StageError, match="exit status 9"):
        Runner([stage], tmp_path / "run").run()
    Runner([stage], tmp_path / "run").run()
    assert (tmp_path / "args").read_text() == "--resume"
    other = Stage("train", (str(script), "other"), (), (str(tmp_path / "model"),), resumable=True)
    with pytest.raises(StageError):  # another command: nothing to resume
        Runner([other], tmp_path / "run").run()
    assert (tmp_path / "args").read_text() == "other"


def test_a_second_run_into_the_same_folder_is_refused_with_the_firsts_pid(tmp_path):
    code = (
        "import os, sys, time; from mindpics.runner import _locked; from pathlib import Path\n"
        f"with _locked(Path({str(tmp_path)!r})): print(os.getpid(), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        pid = first.stdout.readline().strip()
        with pytest.raises(StageError, match=f"process {pid} is at work there"):
            Runner([], tmp_path).run()
        first.stdin.close()
    Runner([], tmp_path).run()


def test_stamp_holds_command_and_seconds(tmp_path, tool):
    (tmp_path / "given").write_text("x")
    Runner(chain(tmp_path, tool), tmp_path / "run").run()
    stamp = json.loads((tmp_path / "run" / ".stages" / "a.done.json").read_text())
    assert stamp["command"][0] == str(tool)
    assert stamp["seconds"] >= 0


def test_the_longest_chain_starts_first():
    quick = Stage("quick", ("x",), (), ("q",), cost=5)
    first = Stage("first", ("x",), (), ("f",), cost=1)
    then = Stage("then", ("x",), ("f",), ("t",), cost=10)
    assert ways_left([quick, first, then]) == {"quick": 5, "first": 11, "then": 10}


def test_stages_for_takes_only_what_a_target_stands_on(tmp_path, tool):
    stages = chain(tmp_path, tool)[1:]
    assert [s.name for s in stages_for(stages, [str(tmp_path / "a")])] == ["a"]
    assert [s.name for s in stages_for(stages, [str(tmp_path / "b")])] == ["a", "b"]
