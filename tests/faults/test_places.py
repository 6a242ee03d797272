"""A place that cannot be written, or a disk that is full: one line, before anything is computed, and nothing left."""

import argparse
import os
import resource
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tool_module import load_tool

from mindpics import cli

TOOLS = {path.name: path for path in cli.paths().values()}
PLACES = ("out", "json", "folder")
EXAMPLES = {"net": "alexnet", "kind": "csv", "row": "alexnet/all-in-one/scratch"}  # what an argument may be
NO_PLACE = {"lint_net", "mutate", "serve", "verify", "eval_identification"}  # they write nothing, or into their input
BESIDES = {  # of which argparse wants one
    "create_lmdb": ["absent", "--split", "train"],
    "extract_features": ["--csv", "absent"],
    "make_nets": ["--csv", "absent"],
    "profile_user": ["--pictures", "absent", "--row", "absent"],
}
BESIDES |= {  # what each would do without, they are told to fail at
    "run_experiment": ["--posts", "absent"],
    "sensitivity": ["--posts", "absent"],
    "gpu_check": ["--gpu", "99"],
}
NO_INPUT = {"benchmark", "fetch_open_pictures", "make_table3"}  # nothing of theirs can be absent


def arguments(name, place):
    """Return a command line of a tool whose inputs are not there and that writes to a place; None where it does not."""
    tool = load_tool(TOOLS[name])
    words, writes = [], False
    for action in cli.parser_of(tool.__doc__, tool.add_arguments)._actions:
        is_place = action.dest == "out" or action.dest in PLACES and action.option_strings and action.nargs != 0
        value = str(place) if is_place else next(iter(action.choices or [EXAMPLES.get(action.dest, "absent")]))
        count = action.nargs if isinstance(action.nargs, int) else 1
        if is_place or action.required and not isinstance(action, argparse._SubParsersAction):
            words += [*action.option_strings[:1], *[value] * count]
        elif action.required:
            words.append(value)
        writes = writes or is_place
    return [*words, *BESIDES.get(name, [])] if writes else None


WRITERS = [name for name in sorted(TOOLS) if arguments(name, "x")]


def said_by(name, words, monkeypatch):
    monkeypatch.setattr(sys, "argv", [name, *words])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(TOOLS[name]), run_name="__main__")
    return ended.value.code


def test_every_tool_that_writes_is_tried_here():
    assert set(TOOLS) == set(WRITERS) | NO_PLACE


@pytest.mark.parametrize("name", WRITERS)
def test_a_place_that_takes_no_file_is_said_before_the_inputs_are_looked_at(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    said = said_by(name, arguments(name, tmp_path / "file/made"), monkeypatch)
    assert f"{tmp_path}/file/made: found {tmp_path}/file, which takes no file; wanted a place to write to" in said
    assert "\n" not in said and os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("name", [name for name in WRITERS if name not in NO_INPUT])
def test_a_tool_that_fails_leaves_no_empty_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said_by(name, arguments(name, tmp_path / "new/made"), monkeypatch)
    assert os.listdir(tmp_path) == []


def test_a_folder_of_anothers_is_said_too():
    """As another user where this is root, who may write anywhere."""
    other = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        code = (
            "import sys; from mindpics import cli; from pathlib import Path\n"
            "sys.argv = ['a_tool', '--out', sys.argv[1]]\n"
            "cli.run('A tool.', lambda parser: parser.add_argument('--out'), lambda args: print('at work'))"
        )
        command = [sys.executable, "-c", code, f"{folder}/made"]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"HOME": folder}, **other)
        os.chmod(folder, 0o755)
    assert done.returncode == 1 and not done.stdout
    assert done.stderr == (
        f"a_tool: --out {folder}/made: found {folder}, which takes no file; wanted a place to write to\n"
    )


@pytest.fixture
def full(tmp_path):
    """A folder whose disk is full, and options of a command under which it is: a tmpfs, or a limit on files."""
    folder = tmp_path / "full"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", folder], capture_output=True).returncode:
        yield folder, {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))}
        return
    (folder / "much").write_bytes(b"x" * 4096)
    yield folder, {}
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize(
    "words",
    [
        "make_nets --out {full}/nets",
        "make_pins csv {full}/crawl.csv --out {full}/pins.jsonl",
        "compute_mean {pictures}/train_lmdb {full}/mean.binaryproto",
        "create_lmdb --copy {pictures}/train_lmdb --trait E --out {full}/e_lmdb",
        "plot_training_log {log} --out {full}/curves",
    ],
)
def test_a_full_disk_is_one_line(words, full, pictures, tmp_path):
    folder, options = full
    (tmp_path / "caffe.log").write_text("I0101 00:00:00.000000     1 solver.cpp:239] Iteration 0, loss = 0.69\n" * 3)
    rows = "".join(f"ann,{number}.png,a cake of many words\n" for number in range(1 if options else 20))
    (folder / "crawl.csv").write_text(f"user,image,text\n{rows}")
    (folder / "1.png").touch()
    name, *words = words.format(full=folder, pictures=pictures, log=tmp_path / "caffe.log").split()
    done = subprocess.run([sys.executable, TOOLS[name], *words], capture_output=True, text=True, **options)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and last.startswith(f"{name}: ") and str(folder) in last, done.stderr
    assert "Traceback" not in done.stderr
