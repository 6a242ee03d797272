"""A folder of the user's is refused by every tool that writes folders, also with --force; an old run goes last."""

import hashlib
import json
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import caffe
import numpy as np
import pytest
from caffe_nets import write_lmdb, write_solver
from small_experiment import small_pins, write_data

from mindpics.caffe_files.lmdbs import read_lmdb
from mindpics.datasets.picture_lmdb import read_rows
from mindpics.datasets.picture_lmdb import write_lmdb as write_our_lmdb
from mindpics.files import own_folder
from mindpics.files.atomic import atomic_write
from mindpics.files.own_folder import Kind
from mindpics.files.tables import rows_of, write_table
from mindpics.jobs.cluster import Cluster
from mindpics.report.publish import publish_row
from mindpics.training.run_folder import RUN
from mindpics.training.train import solve
from pinterest_id.layout import IDENTIFICATION, ExperimentFiles

TOOLS = Path(__file__).resolve().parents[2] / "tools"
NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "fc7" type: "InnerProduct" bottom: "data" top: "fc7" inner_product_param { num_output: 2 } }
"""
TRAINED = """
layer { name: "data" type: "DummyData" top: "data" top: "wanted" dummy_data_param {
  shape { dim: 2 dim: 3 } shape { dim: 2 dim: 2 } data_filler { type: "gaussian" std: 1 } } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
  inner_product_param { num_output: 2 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "fc" bottom: "wanted" top: "loss" }
"""
# tool -> its arguments, P standing for the folder that it is to write
COMMANDS = {
    "train_net": "solver.prototxt --out P",
    "train_net, forced": "solver.prototxt --out P --force",
    "train_net, resumed": "solver.prototxt --out P --resume",
    "create_lmdb": "rows.csv --split train --out P",
    "create_lmdb, forced": "rows.csv --split train --out P --force",
    "create_lmdb, its unfinished folder": "rows.csv --split train --out unfinished --force",
    "extract_features": "deploy.prototxt net.caffemodel --jsonl pins.jsonl --mean 0 0 0 --size 1 --out shards",
    "finetune_fc7": "--pins pins.jsonl --split split.csv --weights net.caffemodel --out P",
    "fetch_open_pictures": "--out P",
    "fetch_open_pictures, a crawl": "--only emoji --out crawls",
    "make_nets": "--out P",
    "make_pretraining_net": "alexnet --csv rows.csv --data data --out P",
    "select_mindpics": "posts.jsonl --out P",
    "run_identification": "--pins pins.jsonl --features fc7 --out P",
    "eval_identification": "P",
    "report": "run --out P/index.html",
    "profile_user": "--pictures photos --out P",
    "run_experiment": "--posts posts.jsonl --out P",
    "run_experiment, later seeds": "--posts posts.jsonl --seeds 2 --out first",
    "sensitivity": "--posts posts.jsonl --out P",
    "sweep": "solver.prototxt --out P --set base_lr=.1,.2",
    "benchmark": "--folder P selection",
}
PRECIOUS = {  # which folder of such a command is the user's, where it is not P
    "create_lmdb, its unfinished folder": "unfinished.partial",
    "extract_features": "shards.shards",
    "fetch_open_pictures, a crawl": "crawls/emoji",
    "run_experiment, later seeds": "first-seed1",
}
ELSEWHERE = {"publish_model"}  # tests of their own here
NO_FOLDER = {  # they write single files, or nothing
    "compute_mean",
    "eval_traits",
    "export_onnx",
    "label_categories",
    "lint_net",
    "make_pins",
    "make_table3",
    "mutate",
    "plot_training_log",
    "score_net",
    "serve",
    "verify",
    "gpu_check",  # a folder with a name of its own, inside --folder
    "reproduce",
    "setup",
    "test",  # the shell: .venv, then tools that are above
}


def contents(folder):
    """Return path -> kind and bytes of all that is below a folder."""
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.name != ".lock"  # the id of who was there last
    }


def make_precious(folder):
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (folder / "thesis.tex").write_text("Chapter 1\n")
    return contents(folder)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A working directory with what the tools read."""
    monkeypatch.chdir(tmp_path)
    write_solver(tmp_path, TRAINED, max_iter=4, display=1, snapshot=2)
    Path("rows.csv").write_text("id,image,label,split\na,a.png,0,train\n")
    record = {"id": "a", "image": "a.png", "author": "ann", "text": "", "tags": [], "source": "s", "license": "CC0"}
    Path("posts.jsonl").write_text(json.dumps(record) + "\n")
    Path("pins.jsonl").write_text(json.dumps({"id": "a", "user": "u", "board": None, "image": "a.png", "text": ""}))
    np.save("fc7.npy", np.zeros((1, 2), np.float32))
    Path("fc7.ids.txt").write_text("a\n")
    Path("deploy.prototxt").write_text(NET.replace("dim: 2 dim: 3", "dim: 1 dim: 3 dim: 1 dim: 1"))
    caffe.Net("deploy.prototxt", caffe.TEST).save("net.caffemodel")
    return tmp_path


def said_by(tool, arguments, monkeypatch):
    """Run a tool here; return what it exits with, None where it just ends."""
    monkeypatch.setattr(sys, "argv", [tool, *arguments])
    try:
        runpy.run_path(str(TOOLS / tool), run_name="__main__")
    except SystemExit as exit_:
        return exit_.code
    return None


@pytest.mark.parametrize("command", COMMANDS)
def test_every_tool_refuses_a_folder_of_the_users(command, desk, monkeypatch):
    folder = desk / PRECIOUS.get(command, "precious")
    before, around = make_precious(folder), set(os.listdir(desk))
    arguments = COMMANDS[command].replace("P/", "precious/").split()
    said = said_by(command.split(",")[0], ["precious" if word == "P" else word for word in arguments], monkeypatch)
    assert isinstance(said, str)  # so the exit status is 1
    assert f"{folder.relative_to(desk)}: found '" in said.replace(f"{desk}/", "")
    assert "nothing is changed" in said
    assert "\n" not in said
    assert contents(folder) == before
    assert set(os.listdir(desk)) == around


def test_every_tool_is_in_the_table_above():
    tools = {path.name for path in TOOLS.iterdir() if path.is_file() and not path.suffix}
    assert tools == {command.split(",")[0] for command in COMMANDS} | ELSEWHERE | NO_FOLDER


def test_a_folder_in_the_place_of_a_model_is_refused(tmp_path):
    before = make_precious(tmp_path / "models" / "net")
    row = SimpleNamespace(nets=[SimpleNamespace(model=SimpleNamespace(name="net"))])
    with pytest.raises(ValueError, match="found it there already"):
        publish_row(row, tmp_path / "models")
    assert contents(tmp_path / "models" / "net") == before


def test_a_folder_in_the_place_of_a_clusters_shards_is_refused(tmp_path):
    before = make_precious(tmp_path / "out.shards")
    with pytest.raises(ValueError, match=r"out\.shards: found '\.git/HEAD' in it; wanted an empty folder, or shards"):
        next(Cluster(None).run_each(tmp_path / "out.shards", len, ["a"]))
    assert contents(tmp_path / "out.shards") == before


def test_the_status_is_one_and_the_words_are_one_line(desk):
    before = make_precious(desk / "precious")
    command = [sys.executable, TOOLS / "train_net", "solver.prototxt", "--out", "precious", "--force"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == (
        "train_net: precious: found '.git/HEAD' in it; wanted an empty folder, or a run of "
        "train_net; nothing is changed\n"
    )
    assert contents(desk / "precious") == before


def test_a_solver_named_like_a_main_job_leaves_that_alone(desk, monkeypatch):
    Path("mini.prototxt").write_bytes(Path("solver.prototxt").read_bytes())
    (desk / "runs/mini/mindpics").mkdir(parents=True)
    (desk / "runs/mini/mindpics/mindpics.csv").write_text("id\n")
    before = contents(desk / "runs/mini")
    assert not said_by("train_net", ["mini.prototxt"], monkeypatch)
    assert contents(desk / "runs/mini") == before
    assert (desk / "runs/nets/mini/final.caffemodel").is_file()


def test_a_net_and_a_solver_of_the_users_are_no_run(desk):
    own = {name: Path(name).read_bytes() for name in ("net.prototxt", "solver.prototxt")}
    (desk / "models").mkdir()
    for name, content in own.items():
        (desk / "models" / name).write_bytes(content)
    with pytest.raises(ValueError, match="wanted an empty folder, or a run of train_net"):
        solve("models/solver.prototxt", desk / "models", overwrite=True, progress=False)
    assert contents(desk / "models") == own


def test_a_thesis_put_into_a_run_is_kept_and_the_run_with_it(desk):
    solve("solver.prototxt", desk / "run", progress=False)
    (desk / "run/snapshots/thesis.tex").write_text("Chapter 1\n")
    before = contents(desk / "run")
    with pytest.raises(ValueError, match=r"run: found 'snapshots/thesis\.tex' in it"):
        solve("solver.prototxt", desk / "run", overwrite=True, progress=False)
    assert contents(desk / "run") == before
    solve("solver.prototxt", desk / "run", resume=True, iterations=6, progress=False)  # it removes nothing
    assert (desk / "run/snapshots/thesis.tex").read_text() == "Chapter 1\n"


def test_force_begins_a_run_anew_and_leaves_nothing_of_the_old(desk):
    solve("solver.prototxt", desk / "run", iterations=8, progress=False)
    solve("solver.prototxt", desk / "run", overwrite=True, progress=False)
    found = contents(desk / "run")
    assert {name for name in found if "iter_" in name} == {
        f"snapshots/net_iter_{i}.{end}" for i in (2, 4) for end in ("caffemodel", "solverstate", "random")
    }
    assert b"Iteration 3" in found["caffe.log"]
    assert b"Iteration 7" not in found["caffe.log"]
    assert f'net: "{desk}/run/net.prototxt"'.encode() in found["solver.prototxt"]


def test_weights_that_fit_no_layer_leave_the_old_run_as_it_was(desk):
    solve("solver.prototxt", desk / "run", progress=False)
    before = contents(desk / "run")
    with pytest.raises(ValueError):
        solve("solver.prototxt", desk / "run", "pins.jsonl", overwrite=True, progress=False)
    assert contents(desk / "run") == before


def test_a_net_that_caffe_refuses_leaves_the_old_run_as_it_was(desk):
    solve("solver.prototxt", desk / "run", progress=False)
    before = contents(desk / "run")
    # lint does not know this layer's demand: as many values in either bottom
    Path("net.prototxt").write_text(TRAINED.replace("num_output: 2", "num_output: 3"))
    command = [sys.executable, TOOLS / "train_net", "solver.prototxt", "--out", "run", "--force"]
    assert subprocess.run(command, capture_output=True).returncode != 0
    after = contents(desk / "run")
    assert {name: after[name] for name in before} == before
    Path("net.prototxt").write_text(TRAINED)
    assert solve("solver.prototxt", desk / "run", resume=True, iterations=6, progress=False).iteration == 6


@pytest.mark.parametrize("place", ["RunFolder.begin", "Snapshots.accept"])
def test_killed_before_its_first_snapshot_a_new_run_goes_on_or_the_old_one_is_there(place, desk):
    solve("solver.prototxt", desk / "run", progress=False)
    before = contents(desk / "run")
    killed = (
        "import os; from mindpics.training import run_folder, train; "
        f"run_folder.{place} = lambda *given: os.kill(os.getpid(), 9); "
        "train.solve('solver.prototxt', 'run', overwrite=True, progress=False)"
    )
    done = subprocess.run([sys.executable, "-c", killed], capture_output=True)
    assert done.returncode == -signal.SIGKILL
    if place == "RunFolder.begin":
        after = contents(desk / "run")
        assert {name: after[name] for name in before} == before
    history = solve("solver.prototxt", desk / "run", resume=True, progress=False)
    assert history.iteration == 4
    assert not (desk / "run/.begun").exists()


def test_links_are_removed_and_what_they_lead_to_is_not(tmp_path):
    run, disk = tmp_path / "run", tmp_path / "disk"
    (run / "snapshots").mkdir(parents=True)
    disk.mkdir()
    (disk / "net_iter_1.caffemodel").write_text("far away")
    (run / "run.json").symlink_to(disk / "net_iter_1.caffemodel")
    (run / "snapshots" / "aside").symlink_to(disk)
    own_folder.clear(run, RUN)
    assert not os.listdir(run)
    assert (disk / "net_iter_1.caffemodel").read_text() == "far away"


def test_a_link_that_leads_to_itself_is_the_users_like_any_other(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ValueError, match="found 'loop' in it; wanted an empty folder, or a run of train_net"):
        own_folder.require(tmp_path, RUN)
    (tmp_path / "loop").rename(tmp_path / "run.json")
    (tmp_path / "snapshots/aside").mkdir(parents=True)
    own_folder.clear(tmp_path, RUN)
    assert not os.listdir(tmp_path)


def test_a_large_folder_of_the_users_is_refused_by_its_first_file(tmp_path, monkeypatch):
    for name in ("a.txt", "home/b/c.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    seen, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: seen.append(Path(path)) or scandir(path))
    kind = Kind("a kind", ("**",), proof=("key", "of old.key"))
    for adds in (False, True):
        with pytest.raises(ValueError, match="found 'a.txt' in it"):
            own_folder.require(tmp_path, kind, adds=adds)
    assert set(seen) == {tmp_path}
    (tmp_path / "key").touch()
    own_folder.require(tmp_path, kind, adds=True)
    assert set(seen) == {tmp_path}


def test_a_link_in_the_place_of_an_lmdb_is_refused(desk):
    make_pictures(desk)
    write_lmdb(desk / "far", [np.zeros((3, 4, 4), np.uint8)], [0])
    (desk / "out").symlink_to(desk / "far")
    before = contents(desk)
    with pytest.raises(ValueError, match="out: found a link"):
        write_our_lmdb(read_rows(desk / "rows.csv", "train"), desk / "out", 4, force=True)
    assert contents(desk) == before


def make_pictures(desk):
    with open(desk / "a.png", "wb") as stream:
        stream.write(
            bytes.fromhex(
                "89504e470d0a1a0a0000000d49484452000000010000000108020000009077"
                "53de0000000c4944415408d763f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
            )
        )


def test_an_lmdb_takes_the_place_of_one_and_of_an_empty_folder(desk):
    make_pictures(desk)
    write_lmdb(desk / "old", [np.zeros((3, 4, 4), np.uint8)] * 3, [0, 1, 2])
    (desk / "old" / "key").write_text("of a call that was killed at its end")
    (desk / "empty").mkdir()
    for name in ("old", "empty"):
        assert write_our_lmdb(read_rows(desk / "rows.csv", "train"), desk / name, 4, workers=1, force=True) == (1, 0)
        assert [key for key, _ in read_lmdb(desk / name)] == ["00000000_a"]
        assert set(os.listdir(desk / name)) == {"data.mdb", "lock.mdb"}


def test_a_json_file_of_the_users_is_not_taken_for_that_of_features(desk, monkeypatch):
    make_pictures(desk)
    Path("package.json").write_text('{"name": "thesis"}')
    arguments = COMMANDS["extract_features"].replace("--out shards", "--out package").split()
    assert "package.json: found another's file" in said_by("extract_features", arguments, monkeypatch)
    assert Path("package.json").read_text() == '{"name": "thesis"}'


@pytest.mark.parametrize("name", ["train.csv", "train.png"])
def test_what_lies_beside_a_log_is_not_written_over_unless_it_is_its_curves(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("train.log").write_text("I0101 00:00:00.000000     1 solver.cpp:239] Iteration 0, loss = 0.69\n" * 3)
    Path(name).write_text("id,image,label,split\na,a.png,0,train\n")
    before = contents(tmp_path)
    for out in ([], ["--out", "train"]):
        said = said_by("plot_training_log", ["train.log", *out], monkeypatch)
        assert f"{name}: found another's file; wanted curves" in said
    assert said_by("plot_training_log", ["train.log", "--out", "train.log"], monkeypatch) is None  # train.log.csv
    for ending in ("csv", "png", "svg"):
        Path(f"train.log.{ending}").unlink()
    assert contents(tmp_path) == before
    Path(name).unlink()
    for _ in range(2):
        assert said_by("plot_training_log", ["train.log"], monkeypatch) is None
    assert set(os.listdir(tmp_path)) == {"train.log", "train.csv", "train.png", "train.svg"}


@pytest.mark.parametrize("there", [("own.npy", "own.ids.txt"), ("own.ids.txt",), ("own.rejected.jsonl",)])
def test_features_of_the_users_are_not_written_over(desk, monkeypatch, there):
    make_pictures(desk)
    for name in there:
        Path(name).write_text("of a library of ours")
    arguments = COMMANDS["extract_features"].replace("--out shards", "--out own").split()
    before = contents(desk)
    assert f"{there[0]}: found another's file; wanted one of" in said_by("extract_features", arguments, monkeypatch)
    assert contents(desk) == before


def test_features_that_were_killed_at_their_end_are_made_again(desk, monkeypatch):
    make_pictures(desk)
    arguments = COMMANDS["extract_features"].replace("--out shards", "--out own").split()
    for more in ([], ["--max-pixels", "1000000"]):  # the second over the first, which must not be taken for the first
        with monkeypatch.context() as killed:
            killed.setattr(Path, "replace", lambda *args: signal.raise_signal(signal.SIGINT))
            assert said_by("extract_features", arguments + more, killed) == "extract_features: interrupted"
        assert Path("own.ids.txt").is_file() and not Path("own.json").exists()
        assert said_by("extract_features", arguments + more, monkeypatch) is None
        assert Path("own.json").is_file() and not Path("own.shards").exists()


def test_what_is_removed_by_name_and_what_is_a_proof(tmp_path):
    kind = Kind("a kind", ("key", "part_*/data", "deep/**"), proof=("key",))
    for name in ("key", ".key.tmp", ".key.77.tmp", "part_1/data", "deep/a/b"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    own_folder.require(tmp_path, kind)
    for strange in ("data", "part_1/key", "Key", "part_1/more/data"):
        (tmp_path / strange).parent.mkdir(exist_ok=True)
        (tmp_path / strange).touch()
        with pytest.raises(ValueError, match=f"found '{strange}' in it|found 'part_1/more"):
            own_folder.clear(tmp_path, kind)
        own_folder.require(tmp_path, kind, adds=True)
        (tmp_path / strange).unlink()
    (tmp_path / "part_1/more").rmdir()
    own_folder.clear(tmp_path, kind, keep=("part_1",))
    assert contents(tmp_path) == {"part_1": False, "part_1/data": b""}
    (tmp_path / "part_1/data").unlink()
    own_folder.clear(tmp_path, kind)
    assert not os.listdir(tmp_path)
    (tmp_path / "part_1").touch()
    with pytest.raises(ValueError, match="found 'part_1'"):
        own_folder.require(tmp_path, kind)


def test_a_proof_is_as_deep_as_its_pattern(tmp_path):
    words = tmp_path / "mini/pinterest_id/words_by_user.csv"
    words.parent.mkdir(parents=True)
    words.write_text("user\n")
    (tmp_path / "mini/run.json").write_text("{}")
    with pytest.raises(ValueError, match="mini: found 'pinterest_id/words_by_user.csv' in it; wanted .* run_identif"):
        own_folder.require(tmp_path / "mini", IDENTIFICATION, adds=True)
    own_folder.require(tmp_path / "mini/pinterest_id", IDENTIFICATION, adds=True)


IDENTIFY = ("--pins", "pins.jsonl", "--features", "G", "--split", 12, 4, 4, "--C", 0.1)


def make_own_study(folder):
    """What a user may have who splits, fits and draws alone: names of ours, and none of them of a run."""
    write_data(folder, small_pins())
    (folder / "fc7.npy").rename(folder / "G.npy")
    (folder / "fc7.ids.txt").rename(folder / "G.ids.txt")
    (folder / "figures").mkdir()
    ids = (folder / "G.ids.txt").read_text().split()
    rows = [f"{id_},{('train', 'train', 'validation', 'test')[i % 4]},mine" for i, id_ in enumerate(ids)]
    (folder / "split.csv").write_text("\n".join(["id,split,note", *rows, ""]))
    for name in ("figures/figure1.pdf", "figures/figure2.png", "summary.json", "run.json", "table1.csv"):
        (folder / name).write_text("of years\n")


@pytest.mark.parametrize("left", [None, "split.csv", "G.ids.txt"])
def test_a_study_of_the_users_is_no_run_of_run_identification(left, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_own_study(tmp_path)
    out = "."
    if left:  # alone
        out = "alone"
        (tmp_path / out).mkdir()
        for name in {left, "run.json"}:
            (tmp_path / out / name).write_bytes((tmp_path / name).read_bytes())
    before = contents(tmp_path)
    arguments = [*IDENTIFY[:4], "--split-file", "split.csv", "--out", out]
    assert "wanted an empty folder, or a run of run_identification" in said_by(
        "run_identification", arguments, monkeypatch
    )
    assert contents(tmp_path) == before


def test_a_run_beside_its_features_is_run_again_and_what_else_lies_there_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path, small_pins())
    Path("run").mkdir()
    for ending in ("npy", "ids.txt"):
        Path(f"fc7.{ending}").rename(f"run/G.{ending}")
    Path("run/G.caffe.log").write_text("of tools/extract_features")
    Path("run/G.shards").mkdir()
    Path("run/G.shards/key").write_text("of one that was killed")
    arguments = [str(word) for word in (*IDENTIFY[:3], "run/G", *IDENTIFY[4:], "--out", "run")]
    for _ in range(2):
        assert said_by("run_identification", arguments, monkeypatch) is None
        drawn = sorted(path.name for path in Path("run/figures").iterdir() if path.name != "figure1.pdf")
        assert drawn == sorted(path.name for path in ExperimentFiles(Path("run")).drawn)
        Path("run/figures/figure1.pdf").write_text("of years")
    of_the_run = ["--split-file", "run/split.csv", "--out", "run", "--scores-only"]
    given = [*IDENTIFY[:3], "run/G", "--C", "0.1", *of_the_run]
    assert said_by("run_identification", given, monkeypatch) is None  # the split of the run itself
    rows = [[row["id"], row["split"], "mine"] for row in rows_of("run/split.csv")]
    write_table("run/split.csv", ["id", "split", "note"], rows)
    before = contents(tmp_path)
    assert "split.csv: found a split of one's own" in said_by("run_identification", given, monkeypatch)
    assert contents(tmp_path) == before
    Path("run/split.csv").unlink()  # the run is known without
    assert said_by("run_identification", [*arguments, "--C", "1", "--scores-only"], monkeypatch) is None
    assert [path.name for path in Path("run/figures").iterdir()] == ["figure1.pdf"]


def test_a_killed_write_leaves_nothing_once_the_file_is_written_again(tmp_path):
    script = (
        "import os, sys; from mindpics.files.atomic import atomic_write\n"
        "with atomic_write(sys.argv[1]) as stream:\n"
        "    stream.write('half'); stream.flush(); os.kill(os.getpid(), 9)"
    )
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", script, tmp_path / "table.csv"])
        assert done.returncode == -signal.SIGKILL
    assert os.listdir(tmp_path) == [".table.csv.tmp"]
    with atomic_write(tmp_path / "table.csv") as stream:
        stream.write("w")
    assert os.listdir(tmp_path) == ["table.csv"]
    assert (tmp_path / "table.csv").read_text() == "w"


def test_two_writers_of_one_file_write_one_after_the_other(tmp_path):
    script = (
        "import sys; from mindpics.files.atomic import atomic_write\n"
        "for i in range(200):\n"
        "    with atomic_write(sys.argv[1]) as stream:\n"
        "        stream.write(sys.argv[2] * 5000)\n"
        "    assert len(set(open(sys.argv[1]).read())) == 1"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, tmp_path / "file", letter]) for letter in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert os.listdir(tmp_path) == ["file"]


def test_a_table_writes_nothing_beside_the_scores(tmp_path, monkeypatch):
    (tmp_path / "scores").mkdir()
    scores = tmp_path / "scores/scores.npz"
    labels, low = np.arange(10), np.full((10, 5), 0.25, np.float32)
    np.savez(scores, ids=labels.astype(str), labels=labels, scores=np.stack([low, 1 - low], axis=2))
    digest = hashlib.sha256(scores.read_bytes()).hexdigest()
    arguments = ["--out", str(tmp_path / "out/table3.csv"), "--row", "alexnet/all-in-one/scratch", str(scores), "again"]
    assert said_by("make_table3", arguments, monkeypatch) is None
    assert os.listdir(tmp_path / "scores") == ["scores.npz"]
    assert hashlib.sha256(scores.read_bytes()).hexdigest() == digest
    assert os.listdir(tmp_path / "out") == ["table3.csv"]
