"""The terminal of each tool on a normal run: its answer, never Caffe's account of every layer."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_job import make_crawl
from tool_module import load_tool, run_tool

from mindpics.cli import parser_of, paths
from mindpics.jobs.account import PARTS
from mindpics.jobs.quiet import quiet
from mindpics.jobs.runner import Runner
from mindpics.published import ROWS
from mindpics.results.table3 import read_table3, write_table3

ROOT = Path(__file__).resolve().parents[1]
NET = "resnet50_all-in-one_finetune"
GLOG = re.compile(r"^[IWEF]\d{4,8} \d\d:\d\d:\d\d", re.MULTILINE)
FILES = "{run}/mindpics/nets/prototxt/{net}/deploy.prototxt {run}/mindpics/{net}/{net}/final.caffemodel"
RUNS = {
    "score_net": f"--net {FILES} --lmdb {{run}}/mindpics/test_lmdb --mean {{mean}} --out {{out}}/scores.npz",
    "extract_features": f"{FILES} --csv {{run}}/mindpics/mindpics.csv --root {{run}}/../emoji --mean {{mean}} "
    "--blob pool5 --out {out}/pool5",
    "finetune_fc7": "--pins {run}/../clipart/pins.jsonl --split {run}/pinterest_id/split.csv --scale tiny "
    "--weights {run}/mindpics/alexnet_all-in-one_scratch/alexnet_all-in-one_scratch/final.caffemodel --out {out}/tuned",
    "lint_net": "prototxt/alexnet_all-in-one_finetune/train_val.prototxt solvers/alexnet_all-in-one_finetune.prototxt",
    "make_nets": "--out {out}/nets",
    "train_net": "{solver} --out {out}/trained --iterations 40",
    "export_onnx": f"{FILES} --mean {{mean}} --out {{out}}/net.onnx",
    "publish_model": "{run}/mindpics/{net} --out {out}/models",
    "profile_user": "--pictures {run}/../emoji/images --row {run}/mindpics/{net} --out {out}/profile",
    "sweep": "{solver} --out {out}/sweep --set base_lr=.01,.001 --set max_iter=4",
    "select_mindpics": "{out}/job/crawl/posts.jsonl --out {out}/mindpics",
    "create_lmdb": "--copy {run}/mindpics/test_lmdb --trait E --out {out}/e_lmdb",
    "compute_mean": "{run}/mindpics/test_lmdb {out}/mean.binaryproto",
    "eval_traits": "{run}/mindpics/{net}/scores.npz",
    "make_table3": "--row resnet50/all-in-one/finetune {run}/mindpics/{net}/scores.npz again --out {out}/table3.csv",
    "plot_training_log": "{run}/mindpics/{net}/{net}/caffe.log --out {out}/curves",
    "report": "{run} --out {out}/report/index.html",
    "make_pins": "posts {out}/job/data/open/clipart/posts.jsonl --pins-per-user 5 9 --keep-empty-text "
    "--out {out}/job/data/open/clipart/pins.jsonl",
    "run_identification": "--pins {run}/../clipart/pins.jsonl --features {run}/pinterest_id/fc7 --split 8 2 2 "
    "--out {out}/identified",
    "eval_identification": "{out}/pinterest_id",
}
# they run for long, fetch, or want a GPU; the main job is below, two in test_sensitivity.py and test_verify.py
ELSEWHERE = {
    *("benchmark", "fetch_open_pictures", "gpu_check", "label_categories", "make_pretraining_net", "mutate", "serve"),
    *("run_experiment", "sensitivity", "verify"),
}
KEEPS = {  # Caffe speaks in these, and its log stays there
    "score_net": "scores.caffe.log",
    "extract_features": "pool5.caffe.log",
    "finetune_fc7": "tuned/caffe.log",
    "export_onnx": "net.caffe.log",
    "publish_model": None,
    "profile_user": "profile/caffe.log",
    "train_net": "trained/caffe.log",
}


def run(name, arguments, **options):
    command = [sys.executable, ROOT / "tools" / name, *arguments]
    return subprocess.run(command, capture_output=True, text=True, **options)


def test_every_tool_is_run_here_or_named():
    assert set(paths()) == set(RUNS) | ELSEWHERE


@pytest.mark.parametrize("name", RUNS)
def test_a_normal_run_says_little(name, small_run, small_job, tmp_path):
    mean = small_run / "mindpics" / "mean.binaryproto"
    if "{out}/job" in RUNS[name]:
        make_crawl(tmp_path / "job")
    if "{out}/pinterest_id" in RUNS[name]:
        shutil.copytree(small_run / "pinterest_id", tmp_path / "pinterest_id")
    words = RUNS[name].format(run=small_run, net=NET, mean=mean, out=tmp_path, solver=small_job[0])
    done = run(name, words.split(), cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)})
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert len(said.splitlines()) < 30, said  # a bar that is redrawn would count each time
    assert not GLOG.search(said)
    if KEEPS.get(name):
        log = (tmp_path / KEEPS[name]).read_text()
        assert GLOG.search(log)
        assert name == "train_net" or f"tools/{name} " in log.splitlines()[0]
    assert not list(tmp_path.glob("mindpics-*.log"))


def test_the_main_job_says_little(small_run, tmp_path, monkeypatch, capsys):
    """Its stages are unchanged here, and have left a row of each kind; those that run have an `Account`'s lines."""
    root, row = tmp_path / "run", read_table3(small_run / "mindpics/table3.csv")[0]
    (root / ".stages").mkdir(parents=True)
    (root / "mindpics").mkdir()
    rows = [row | {"net": of.net, "heads": of.heads, "init": of.init} for of in ROWS]
    write_table3(root / "mindpics/table3.csv", rows)
    (root / "pinterest_id").mkdir()
    shutil.copy(small_run / "pinterest_id/table2.csv", root / "pinterest_id")
    monkeypatch.setattr(Runner, "key", lambda *_: "")
    monkeypatch.setattr(Runner, "is_done", lambda *_: True)
    assert run_tool("run_experiment", "--out", root) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) + PARTS + 1 < 30, said
    assert all(sum(line.startswith(row.title) for line in said) == 1 for row in ROWS)
    assert [line.split()[0] for line in said[-5:]] == ["made", "look", "try", "check", "more"]


def test_label_categories_says_the_largest(tmp_path, capsys):
    post = {"image": "a.png", "author": "", "text": "", "tags": [], "source": "", "license": ""}
    posts = [post | {"id": f"{i}_{k}", "folder": f"f{i:02d}"} for i in range(40) for k in range(4 + i % 2)]
    (tmp_path / "posts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in posts))
    (tmp_path / "a.png").write_bytes(b"")
    words = ["--min-per-category", "2", "--per-category", "0", "--out", tmp_path / "c.csv"]
    assert not run_tool("label_categories", tmp_path / "posts.jsonl", *words)
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 22 and said[20] == "      and 20 more" and said[21].startswith("180 pictures in 40 categories")
    assert {line.split()[0] for line in said[:20]} == {"5"}


def test_verbose_shows_caffes_log(small_run, tmp_path):
    words = RUNS["score_net"].format(run=small_run, net=NET, mean=small_run / "mindpics/mean.binaryproto", out=tmp_path)
    done = run("score_net", [*words.split(), "--verbose"])
    assert done.returncode == 0 and len(GLOG.findall(done.stderr)) > 100
    assert not (tmp_path / "scores.caffe.log").exists()


def test_every_tool_that_sets_caffes_device_is_quiet_in_the_one_way():
    sources = {name: path.read_text() for name, path in paths().items()}
    assert not [name for name, text in sources.items() if "GLOG" in text]
    makes_nets = [name for name, text in sources.items() if "device.set_device" in text or "lint_file" in text]
    assert len(makes_nets) >= 6
    for name in set(makes_nets) - {"train_net"}:  # whose caffe.log is the run's
        tool = load_tool(paths()[name])
        assert "--verbose" in parser_of(tool.__doc__, tool.add_arguments).format_help(), name


ABORTS = """
import os, sys
import caffe
from mindpics.jobs.quiet import quiet
os.chdir(sys.argv[1])
with quiet("a_tool", "made"):
    print("ours", file=sys.stderr)
    open("net.prototxt", "w").write("layer { name: 'odd' type: 'Odd' }")
    caffe.Net("net.prototxt", caffe.TEST)
"""


def test_where_caffe_ends_the_process_its_last_lines_and_its_log_are_shown(tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "begun").touch()
    done = subprocess.run([sys.executable, "-c", ABORTS, tmp_path], capture_output=True, text=True)
    assert done.returncode < 0
    assert "ours\n" in done.stderr and "Creating layer odd" in done.stderr  # the lines before the fatal one
    assert "Check failed" in done.stderr and "Odd" in done.stderr
    log = tmp_path / "made" / "caffe.log"
    assert f"Caffe's log: {log}" in done.stderr
    assert log.read_text().startswith("a_tool\n") and "Check failed" in log.read_text()


def test_what_python_says_stays_on_the_terminal_and_the_block_may_be_entered_again(tmp_path, capfd):
    for turn in "ab":
        with quiet("a tool", tmp_path / f"{turn}.npz"):
            print(f"{turn}: ours", file=sys.stderr)
            os.write(2, f"{turn}: Caffe's\nFor a child's last words, no glog's\n".encode())
        os.write(2, f"{turn}: after\n".encode())
    assert capfd.readouterr().err == "a: ours\na: after\nb: ours\nb: after\n"
    assert [(tmp_path / f"{turn}.caffe.log").read_text() for turn in "ab"] == [
        f"a tool\n{turn}: Caffe's\nFor a child's last words, no glog's\n" for turn in "ab"
    ]
