"""The `mindpics` command: its list, its completion, and how each tool ends."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tool_module import load_tool

from mindpics import cli
from mindpics.nets import switches

ROOT = Path(__file__).resolve().parents[1]
PYTHON_TOOLS = {
    path.name
    for path in (ROOT / "tools").iterdir()
    if path.is_file() and path.read_bytes().startswith(b"#!/usr/bin/env python3")
}
MINDPICS = [sys.executable, "-m", "mindpics.cli"]


def run(*command, **environment):
    return subprocess.run(command, capture_output=True, text=True, cwd="/", env=os.environ | environment)


def complete(line):
    """Return what bash would offer at the end of `line`."""
    done = run(
        sys.executable,
        "-c",
        "import os; os.dup2(1, 8)\nfrom mindpics.cli import main; main()",
        _ARGCOMPLETE="1",
        COMP_LINE=line,
        COMP_POINT=str(len(line)),
        _ARGCOMPLETE_IFS="\n",
        _ARGCOMPLETE_STDOUT_FILENAME="/dev/stdout",
    )
    return {word.strip() for word in done.stdout.splitlines()}


def test_every_tool_is_listed_once_with_a_line():
    listed = [name for named in cli.tools().values() for name in named]
    assert sorted(listed) == sorted(PYTHON_TOOLS)
    done = run(*MINDPICS)
    assert done.returncode == 0
    for stage, named in cli.tools().items():
        assert cli.STAGES[stage] in done.stdout
        assert all(f"{name:<22}{line}" in done.stdout for name, line in named.items())


def test_a_reader_of_the_list_who_has_seen_enough_gets_no_traceback():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(MINDPICS, stdout=pipe, stderr=subprocess.PIPE, cwd=ROOT, text=True)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_tool_runs_as_in_its_file(tmp_path):
    missing = str(tmp_path / "no.npz")
    by_name, by_file = run(*MINDPICS, "eval_traits", missing), run(sys.executable, ROOT / "tools/eval_traits", missing)
    assert by_name.returncode == by_file.returncode == 1
    assert by_name.stderr == by_file.stderr
    assert by_name.stderr.startswith("eval_traits: ") and len(by_name.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", sorted(PYTHON_TOOLS))
def test_help_has_an_example_with_its_line_breaks(name):
    tool = load_tool(ROOT / "tools" / name)
    help_ = cli.parser_of(tool.__doc__, tool.add_arguments).format_help()
    named = "reproduce" if name == "run_experiment" else name  # which sets up first
    assert re.search(rf"^    tools/{named}\b", help_, re.MULTILINE)
    assert max(map(len, help_.splitlines())) <= 130


def imported(names):
    """Return the modules that --help of some tools imports, as a set of names."""
    done = run(
        sys.executable,
        "-c",
        "import sys\nfrom mindpics import cli\nfrom tool_module import load_tool\n"
        "for name in sys.argv[1:]:\n"
        "    tool = load_tool(cli.paths()[name])\n"
        "    cli.parser_of(tool.__doc__, tool.add_arguments).format_help()\n"
        "print('modules', *sys.modules)",
        *names,
        PYTHONPATH=os.pathsep.join([str(ROOT / "tests/helpers"), os.environ.get("PYTHONPATH", "")]),
    )
    said, *modules = done.stdout.splitlines()[-1].split()
    assert said == "modules" and "mindpics.cli" in modules, done.stdout + done.stderr
    return set(modules)


def test_help_waits_for_nothing_that_only_the_work_needs():
    """Each takes half a second to import, scikit-learn more than one."""
    slow = {"sklearn", "scipy.sparse", "scipy.stats", "scipy.optimize", "matplotlib", "joblib", "torch", "onnx"}
    assert not slow & imported(cli.paths())


def test_what_reads_no_pictures_starts_without_their_decoders():
    decoders = {"cv2", "PIL", "simplejpeg", "pebble", "tqdm", "scipy", "pyarrow"}
    assert not decoders & imported(["train_net", "lint_net", "compute_mean", "make_nets"])


def test_an_unknown_tool_is_named_beside_those_there_are():
    done = run(*MINDPICS, "train")
    assert done.returncode == 2
    assert "found no tool 'train'; wanted one of: " in done.stderr and "train_net" in done.stderr


def test_wrong_usage_is_status_2():
    assert run(*MINDPICS, "train_net").returncode == 2
    posts = run(*MINDPICS, "profile_user", "--posts", "posts.jsonl", "--out", "x")
    assert posts.returncode == 2 and "--posts takes --author" in posts.stderr


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("found epochs=0; wanted more than 0", "found --epochs 0; wanted more than 0"),
        ("found base_lr=1e-05; wanted", "found --base-lr 1e-05; wanted"),
        ("found frozen_batch_norm=True, and no layer", "found --frozen-batch-norm, and no layer"),
        ("unless you allow it (allow_python_layers=True)", "unless you allow it (--allow-python-layers)"),
        ("wanted resume=True, or overwrite=True", "wanted --resume, or --force"),
        ("wanted values, or draws=N", "wanted values, or --random N"),
        ("found base_lr='many'; wanted", "found base_lr='many'; wanted"),
    ],
)
def test_keywords_of_the_library_are_said_as_switches(said, shown):
    assert cli.as_switches(said) == shown
    assert set(cli.READINGS) == set(switches.SWITCHES)


def test_tools_and_their_arguments_are_completed():
    assert {"train_net"} == complete("mindpics train_")
    assert {"--iterations", "--weights"} <= complete("mindpics train_net --")


def test_a_reader_that_has_seen_enough_is_no_error():
    done = run("bash", "-c", f"{sys.executable} -m mindpics.cli train_net --help | head -1")
    assert done.stderr == ""


def test_memory_that_does_not_suffice_is_one_line(monkeypatch):
    monkeypatch.setattr("sys.argv", ["a_tool"])
    with pytest.raises(SystemExit, match=r"^a_tool: memory does not suffice \(Unable to allocate .* PiB"):
        cli.run("A tool.", lambda parser: None, lambda args: np.empty(1 << 50))


def test_a_place_that_takes_no_file_is_named_before_anything_is_computed(tmp_path):
    (tmp_path / "file").touch()
    done = run(*MINDPICS, "eval_traits", "absent.npz", "--json", str(tmp_path / "file" / "a.json"))
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"eval_traits: --json {tmp_path}/file/a.json: found {tmp_path}/file, which takes no")


OF_ONE_FILE = {
    "compute_mean": ["absent_lmdb", "FOLDER"],
    "eval_traits": ["absent.npz", "--json", "FOLDER"],
    "export_onnx": ["absent.prototxt", "absent.caffemodel", "--mean", "0", "--out", "FOLDER"],
    "label_categories": ["absent.jsonl", "--out", "FOLDER"],
    "make_pins": ["posts", "absent.jsonl", "--out", "FOLDER"],
    "make_table3": ["--row", "alexnet/all-in-one/scratch", "absent.npz", "", "--out", "FOLDER"],
    "report": ["absent", "--out", "FOLDER"],
    "score_net": ["--net", "a", "b", "--lmdb", "c", "--mean", "d", "--out", "FOLDER"],
    "gpu_check": ["--json", "FOLDER"],
    "benchmark": ["--json", "FOLDER", "pinterest"],
}


def test_every_tool_that_writes_a_file_is_among_them():
    tools = {name: parsers_of(name)._actions for name in PYTHON_TOOLS}
    of_file = {name for name, actions in tools.items() if any(action.metavar == "FILE" for action in written(actions))}
    assert of_file == set(OF_ONE_FILE)


def parsers_of(name):
    tool = load_tool(ROOT / "tools" / name)
    return cli.parser_of(tool.__doc__, tool.add_arguments)


def written(actions):
    return [action for action in actions if action.dest in cli.WRITTEN]


@pytest.mark.parametrize("name", OF_ONE_FILE)
def test_a_folder_in_a_files_place_is_named_before_anything_is_read(tmp_path, name, monkeypatch):
    words = [str(tmp_path) if word == "FOLDER" else word for word in OF_ONE_FILE[name]]
    tool = load_tool(ROOT / "tools" / name)
    monkeypatch.setattr(sys, "argv", [f"tools/{name}", *words])
    with pytest.raises(SystemExit, match=rf"{name}: .*{tmp_path}: found a folder; wanted the name of a file"):
        cli.run(tool.__doc__, tool.add_arguments, tool.main)


@pytest.mark.parametrize("name", ["data.mdb", "lock.mdb"])
def test_a_mean_is_not_written_over_the_lmdb_that_it_is_of(tmp_path, name):
    (tmp_path / "elsewhere").write_text("of the user")
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    done = run(*MINDPICS, "compute_mean", str(tmp_path), str(tmp_path / name))
    assert done.returncode == 1 and (tmp_path / name).is_symlink()
    assert f"{name}: found a file that is read as well; wanted another name" in done.stderr


@pytest.mark.parametrize("row", ["alexnet/all-in-one", "alexnet", "a/b/c/d", "resnet50/all-in-one/scratch"])
def test_a_row_that_is_none_of_table_3_is_wrong_usage(tmp_path, row):
    done = run(*MINDPICS, "make_table3", "--row", row, "absent.npz", "", "--out", str(tmp_path / "t.csv"))
    assert done.returncode == 2 and f"--row: found '{row}'; wanted one of alexnet/independent/scratch" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["eval_traits", "LINK", "--json", "FILE"],
        ["label_categories", "FILE", "--out", "FILE"],
        ["make_table3", "--row", "alexnet/all-in-one/scratch", "FILE", "", "--out", "FILE"],
        ["benchmark", "--json", "FILE", "agreement", "--pins", "FILE", "--features", "absent"],
    ],
)
def test_a_file_that_a_tool_reads_is_not_written_over(tmp_path, words):
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("of the user")
    link.symlink_to(file)
    done = run(*MINDPICS, *(str({"FILE": file, "LINK": link}.get(word, word)) for word in words))
    assert done.returncode == 1 and file.read_text() == "of the user"
    assert f"{file}: found a file that is read as well; wanted another name" in done.stderr
