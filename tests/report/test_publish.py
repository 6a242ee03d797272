"""Folders of Caffe's model zoo: read as Caffe reads them, and used as their readme says."""

import gzip
import hashlib
import json
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import yaml
from caffe.proto import caffe_pb2
from example_posts import POST
from small_run import BEST

from mindpics.caffe_files.messages import read_message, write_message
from mindpics.inference.infer import TraitNets, save_scores, score_lmdb
from mindpics.nets.solvers import Schedule, solver
from mindpics.nets.whole import Data, deploy, train_val
from mindpics.published import Row
from mindpics.report import publish
from mindpics.report.model_card import card_facts, render_card
from mindpics.results.metrics import load_scores
from mindpics.results.table3 import line_of, read_table3, write_table3
from mindpics.results.trained_row import TrainedRow
from mindpics.training.train import solve
from mindpics.traits import TRAITS, trait_of

TOOL = Path(__file__).resolve().parents[2] / "tools" / "publish_model"
FILES = {"readme.md", "deploy.prototxt", "train_val.prototxt", "solver.prototxt", "mean.binaryproto", "mean.npy"}


def front_matter(folder):
    """As Caffe's scripts/download_model_binary.py does it: YAML between the first two lines of dashes."""
    lines = [line.strip() for line in (folder / "readme.md").read_text(encoding="utf-8").splitlines()]
    top = lines.index("---")
    found = yaml.safe_load("\n".join(lines[top + 1 : lines.index("---", top + 1)]))
    assert {"caffemodel", "caffemodel_url", "sha1"} <= set(found)
    return found


def snippets(folder):
    return re.findall(r"```python\n(.*?)```", (folder / "readme.md").read_text(encoding="utf-8"), re.DOTALL)


def run_snippet(code, folder):
    """Run a snippet of the readme in its folder; return {output: scores} of what it prints."""
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    return {name: [float(score) for score in scores] for name, *scores in rows}


@pytest.fixture(scope="module")
def published(small_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("models")
    subprocess.run(
        [
            sys.executable,
            TOOL,
            small_run / "mindpics" / BEST,
            "--out",
            out,
            "--url",
            "https://example.org/zoo/",
            "--license",
            "CC BY 4.0: see below",
        ],
        check=True,
        capture_output=True,
    )
    return out / BEST


def test_caffes_download_script_would_take_it(published):
    assert {path.name for path in published.iterdir()} == FILES | {f"{BEST}.caffemodel"}
    found = front_matter(published)
    assert found["name"] == "MindPics ResNet-50 all-in-one fine-tuned (stand-in data)"
    assert found["caffemodel"] == f"{BEST}.caffemodel"
    assert found["caffemodel_url"] == f"https://example.org/zoo/{BEST}.caffemodel"
    assert found["license"] == "CC BY 4.0: see below"
    assert found["sha1"] == hashlib.sha1((published / found["caffemodel"]).read_bytes()).hexdigest()
    assert re.fullmatch("[0-9a-f]{40}", found["caffe_commit"])


def test_the_card_has_the_runs_numbers_and_escapes_what_it_says(small_run, published):
    card = (published / "readme.md").read_text(encoding="utf-8")
    table = next(row for row in read_table3(small_run / "mindpics/table3.csv") if row["net"] == "resnet50")
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in card.splitlines() if line.startswith("| ")]
    mean = next(row for row in cells if row[0] == "mean")
    assert mean == [
        "mean",
        f"{table['avg']:.1f}",
        f"{table['low95']:.1f} to {table['high95']:.1f}",
        "40",
        f"{table['larger_pole_avg']:.1f}",
        "71.9",
    ]
    assert [row[0] for row in cells if row[-1] in ("69.8", "72.4", "77.7", "69.6")] == [
        "Openness",
        "Conscientiousness",
        "Extraversion",
        "Agreeableness",
        "Neuroticism",
    ]
    assert "**Trained on a stand-in:** drawn stripes &lt;script&gt;" in card and "<script>" not in card
    assert "names <code>train_lmdb</code>, <code>test_lmdb</code> and <code>mean.binaryproto</code>" in card
    assert "160 pictures to learn from, 40 to test on, split by image, seed 0." in card
    for path in published.iterdir():
        if path.name != "readme.md":
            assert f"| {path.name} | {hashlib.sha1(path.read_bytes()).hexdigest()} |" in card


def test_the_folder_scores_a_picture_by_opencv_without_caffe_and_by_caffe(small_run, published, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(published, folder)
    pixels = cv2.imread(str(small_run.parent / "emoji/images/163.png"))
    cv2.imwrite(str(folder / "picture.jpg"), cv2.resize(pixels, (120, 90)))
    by_opencv, by_caffe = snippets(folder)
    without = run_snippet("import sys; sys.modules['caffe'] = None\n" + by_opencv, folder)
    with_caffe = run_snippet(by_caffe, folder)
    row = TrainedRow(small_run / "mindpics" / BEST)
    seen = cv2.resize(cv2.imread(str(folder / "picture.jpg")), (75, 75)).transpose(2, 0, 1)[None]
    wanted = TraitNets(row.files(), row.mean).scores(seen)[0]
    for trait, scores in zip(TRAITS, wanted, strict=True):
        np.testing.assert_allclose(without[f"prob_{trait}"], scores, atol=1e-4)
        np.testing.assert_allclose(with_caffe[f"prob_{trait}"], scores, atol=1e-4)
    assert np.ptp(wanted[:, 1]) > 0.01


def test_with_onnx_the_folder_scores_a_picture_by_onnxruntime_too(small_run, tmp_path):
    done = subprocess.run(
        [sys.executable, TOOL, small_run / "mindpics" / BEST, "--out", tmp_path, "--onnx"],
        check=True,
        capture_output=True,
        text=True,
    )
    folder = tmp_path / BEST
    assert done.stdout.splitlines()[-1] == str(folder)
    assert {path.name for path in folder.iterdir()} == FILES | {f"{BEST}.caffemodel", f"{BEST}.onnx"}
    digest = hashlib.sha1((folder / f"{BEST}.onnx").read_bytes()).hexdigest()
    assert f"| {BEST}.onnx | {digest} |" in (folder / "readme.md").read_text(encoding="utf-8")
    pixels = cv2.imread(str(small_run.parent / "emoji/images/163.png"))
    cv2.imwrite(str(folder / "picture.jpg"), cv2.resize(pixels, (120, 90)))
    _, by_caffe, by_onnx = snippets(folder)
    without = run_snippet("import sys; sys.modules['caffe'] = None\n" + by_onnx, folder)
    with_caffe = run_snippet(by_caffe, folder)
    assert sorted(without) == sorted(with_caffe) == [f"prob_{trait}" for trait in sorted(TRAITS)]
    for name, scores in with_caffe.items():
        np.testing.assert_allclose(without[name], scores, atol=1e-5)


def test_the_published_solver_trains_the_net_again_in_its_folder(small_run, published, tmp_path, monkeypatch):
    folder = tmp_path / "copy"
    shutil.copytree(published, folder)
    for name in ("train_lmdb", "test_lmdb"):
        shutil.copytree(small_run / "mindpics" / name, folder / name)
    monkeypatch.chdir(folder)
    solve("solver.prototxt", "again", iterations=1, tensorboard=False, progress=False)
    trained = read_message("again/net.prototxt", caffe_pb2.NetParameter())
    original = read_message(small_run / "mindpics" / BEST / BEST / "net.prototxt", caffe_pb2.NetParameter())
    assert [layer.name for layer in trained.layer] == [layer.name for layer in original.layer]


@pytest.fixture(scope="module")
def independent(small_run, tmp_path_factory):
    """A run with the row alexnet independent scratch: five nets of one iteration each, scored, in its table."""
    run = tmp_path_factory.mktemp("run")
    name, size = "alexnet_independent_scratch", {"width": 0.0625}
    mindpics = run / "mindpics"
    mindpics.mkdir()
    shutil.copy(small_run / "run.json", run)
    for path in ("mean.binaryproto", "mindpics.csv", "summary.json"):
        shutil.copy(small_run / "mindpics" / path, mindpics)
    paths = [str(small_run / "mindpics" / path) for path in ("train_lmdb", "test_lmdb", "mean.binaryproto")]
    nets = []
    for trait in TRAITS:
        folder, out = mindpics / "nets/prototxt" / f"{name}_{trait}", mindpics / name / f"{name}_{trait}"
        lmdbs = [mindpics / f"{split}_{trait}_lmdb" for split in ("train", "test")]
        for lmdb, whole in zip(lmdbs, paths[:2], strict=True):
            lmdb.symlink_to(whole)
        data = Data(*map(str, lmdbs), paths[2], 4, 4, 67)
        write_message(train_val("alexnet", data, (trait,), **size), folder / "train_val.prototxt")
        write_message(deploy("alexnet", (trait,), crop=67, **size), folder / "deploy.prototxt")
        message = solver(
            str(folder / "train_val.prototxt"),
            Schedule(1, 1, 0.01),
            train=4,
            batch=4,
            test=4,
            test_batch=4,
            prefix="",
            seed=1,
        )
        nets.append((folder / "deploy.prototxt", solve(message, out, progress=False).caffemodel))
    scores = mindpics / name / "scores.npz"
    save_scores(scores, *score_lmdb(nets, paths[2], paths[1]))
    write_table3(mindpics / "table3.csv", [line_of(Row("alexnet", "independent", "scratch"), scores, "a command")])
    return mindpics / name


def test_independent_nets_get_a_folder_each(independent, tmp_path):
    folders = publish.publish_row(TrainedRow(independent), tmp_path)
    assert [folder.name for folder in folders] == [f"alexnet_independent_scratch_{trait}" for trait in TRAITS]
    assert len({front_matter(folder)["sha1"] for folder in folders}) == 5
    found = front_matter(folders[2])
    assert found["name"] == "MindPics AlexNet independent E trained from scratch (stand-in data)"
    assert found["caffemodel_url"] == ""
    card = (folders[2] / "readme.md").read_text(encoding="utf-8")
    assert "| Extraversion |" in card and "| Openness |" not in card
    net = read_message(folders[2] / "train_val.prototxt", caffe_pb2.NetParameter())
    assert [layer.data_param.source for layer in net.layer[:2]] == ["train_E_lmdb", "test_E_lmdb"]
    assert "names <code>train_E_lmdb</code>, <code>test_E_lmdb</code> and <code>mean.binaryproto</code>" in card
    assert "| mean of the row's five nets |" in card.replace("&#39;", "'")


def write_crawl(path):
    """A crawl of the run's 200 pictures, each with a licence of its trait, and of one that was not selected."""
    posts = [POST | {"id": f"p{i}", "license": f"CC of {trait_of(i % 10)[0]}"} for i in range(200)]
    posts.insert(100, POST | {"license": "all rights reserved"})
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pa.Table.from_pylist(posts), path, row_group_size=70)
        return
    half = POST | {"id": "half", "text": "\ud83d", "license": "half a pair"}
    lines = "\n\n".join(map(json.dumps, [half, *posts])).encode()
    path.write_bytes(gzip.compress(lines) if path.suffix == ".gz" else lines)


def licenses(card):
    return re.findall(r"^- (.*(?: of the pictures: |licences).*)$", card.replace("&#39;", "'"), re.MULTILINE)


@pytest.mark.parametrize("named", ["mine.jsonl.gz", "other.jsonl", "posts.parquet", "years"])
def test_the_card_has_the_licences_of_the_nets_pictures_from_the_manifest_they_were_selected_from(
    independent, tmp_path, monkeypatch, named
):
    shutil.copytree(independent.parent.parent, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "crawl").mkdir()
    (tmp_path / "crawl/posts.jsonl").write_text("of another crawl, and broken")
    summary = {"arguments": {"posts": f"crawl/{named}", "split": "image"}}
    (tmp_path / "run/mindpics/summary.json").write_text(json.dumps(summary))

    def card_licenses(number):
        row = TrainedRow(tmp_path / "run/mindpics" / independent.name)
        net = row.nets[number]
        return licenses(render_card(card_facts(row, net), {f"{net.model.name}.caffemodel": "0"}))

    assert card_licenses(2) == ["The pictures' licences were not at hand."]
    made = tmp_path / "crawl" / (f"{named}/2015/a.parquet" if named == "years" else named)
    write_crawl(made)
    assert card_licenses(2) == ["40 of the pictures: CC of E"]
    assert card_licenses(3) == ["40 of the pictures: CC of A"]
    made.unlink()
    assert card_licenses(2) == ["The pictures' licences were not at hand."]


EVIL = "CC0\n\n## Intended use\n\nHiring decisions. [Weights](https://evil.example) ` | *x* ann@home.org"
SHOWN = r"CC0\\n\\n## Intended use\\n\\nHiring decisions. \[Weights\](https\://evil.example) \` \| \*x\* ann@…"


def test_a_strangers_text_is_shown_in_the_card_and_is_no_markdown_of_it(independent, tmp_path):
    shutil.copytree(independent.parent.parent, tmp_path / "run")
    posts = tmp_path / "crawl/posts.jsonl"
    write_crawl(posts)
    posts.write_text(posts.read_text().replace(json.dumps("CC of E"), json.dumps(EVIL)))
    summary = {"arguments": {"posts": str(posts), "split": f"# {EVIL}"}}
    (tmp_path / "run/mindpics/summary.json").write_text(json.dumps(summary))
    facts = json.loads((tmp_path / "run/run.json").read_text())
    (tmp_path / "run/run.json").write_text(json.dumps(facts | {"data": f"## {EVIL}", "seed": EVIL}))
    row = TrainedRow(tmp_path / "run/mindpics" / independent.name)
    net = row.nets[2]
    told = json.loads((net.folder / "run.json").read_text())
    weights = {"path": f"/home/{EVIL.replace('/', '')}", "sha256": "a"}
    told |= {"versions": {"caffe": EVIL}, "python": EVIL, "iterations": EVIL, "weights": weights}
    (net.folder / "run.json").write_text(json.dumps(told))
    table = tmp_path / "run/mindpics/table3.csv"
    write_table3(table, [line | {"command": EVIL} for line in read_table3(table)])
    row = TrainedRow(row.run.mindpics.row(independent.name).folder)
    card = render_card(card_facts(row, row.nets[2]), {f"{net.model.name}.caffemodel": "0"})
    assert f"- 40 of the pictures: {SHOWN}\n" in card and f"- \\## {SHOWN}\n" in card
    assert card.count(SHOWN) == 9  # of the run: data, split, seed twice, command; of the net: 3; of the manifest
    lines = card.splitlines()
    assert [line for line in lines if line.startswith("#")] == [
        f"## {name}" for name in ("Data", "Intended use", "Limits", "Numbers", "Training", "Use", "Files")
    ]
    assert not re.search(r"(?<!\\)[\[`]", re.sub("```.*?```|, each \\[N, 2]", "", card, flags=re.DOTALL))
    assert "https://" not in card and "home.org" not in card


def touch_onnx(_deploy, _caffemodel, out, _mean):
    out.write_bytes(b"onnx")


@pytest.mark.parametrize("write_onnx", [None, touch_onnx])
def test_what_does_not_belong_together_is_not_published(independent, tmp_path, write_onnx):
    publish_row = partial(publish.publish_row, write_onnx=write_onnx)
    row = TrainedRow(independent)
    publish_row(row, tmp_path / "models")
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match="alexnet_independent_scratch_O: found it there already"):
        publish_row(row, tmp_path / "models")
    with pytest.raises(ValueError, match="no row of Table 3; wanted RUN/mindpics/NAME"):
        TrainedRow(independent.parent)
    copy = tmp_path / "run"
    shutil.copytree(independent.parent.parent, copy)
    there = copy / "mindpics" / independent.name
    table = read_table3(copy / "mindpics/table3.csv")
    write_table3(copy / "mindpics/table3.csv", [table[0] | {"avg": 99.0}])
    with pytest.raises(ValueError, match=r"mean accuracy .*; wanted table3.csv's 99"):
        publish_row(TrainedRow(there), tmp_path / "other")
    whole = (there / "scores.npz").read_bytes()
    save_scores(there / "scores.npz", *load_scores(there / "scores.npz"), iterate=[("best on the test set", 2)])
    with pytest.raises(ValueError, match="scores.npz: found scores of best on the test set; wanted those of the last"):
        publish_row(TrainedRow(there), tmp_path / "other")
    (there / "scores.npz").write_bytes(whole)
    write_table3(copy / "mindpics/table3.csv", table)
    net = TrainedRow(there).nets[3]
    facts = json.loads((net.folder / "run.json").read_text()) | {"caffemodel_sha256": "0" * 64}
    (net.folder / "run.json").write_text(json.dumps(facts))
    with pytest.raises(ValueError, match="scratch_A/final.caffemodel: found the SHA-256 .*; wanted run.json's 000"):
        publish_row(TrainedRow(there), tmp_path / "other")
    assert list((tmp_path / "other").iterdir()) == []


def test_why_a_net_was_not_published_is_told_and_a_killed_call_does_not_stop_the_next(independent, tmp_path):
    row, name = TrainedRow(independent), "alexnet_independent_scratch_O"

    def fail(deploy, caffemodel, out, mean):
        touch_onnx(deploy, caffemodel, out, mean)
        if strange:
            (out.parent / "notes.txt").touch()
        raise ValueError("an output differs")

    for strange in (False, True):
        with pytest.raises(ValueError, match="an output differs"):
            publish.publish_row(row, tmp_path / "models", write_onnx=fail)
        assert list((tmp_path / "models").iterdir()) == [tmp_path / "models" / f".{name}.partial"] * strange
    with pytest.raises(ValueError, match="found 'notes.txt' in it"):
        publish.publish_row(row, tmp_path / "models")
    (tmp_path / f"models/.{name}.partial/notes.txt").unlink()
    assert (tmp_path / f"models/.{name}.partial/{name}.onnx").is_file()
    publish.publish_row(row, tmp_path / "models", write_onnx=touch_onnx)
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == [f"{name[:-1]}{trait}" for trait in "ACENO"]
