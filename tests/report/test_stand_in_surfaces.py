"""With the published weights of AlexNet alone, every surface names the rows of the other net as stand-in."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
from html_tables import Page
from page_server import serving
from small_run import BEST

from mindpics.inference.profile_page import gather
from mindpics.job import Job, refuse_another_crawl
from mindpics.nets.scales import MINI
from mindpics.published import Row
from mindpics.report.page import write_report
from mindpics.report.publish import publish_row
from mindpics.results.run_files import RunFiles
from mindpics.results.seeds import write_seeds
from mindpics.results.table3 import format_table, line_of, read_table3, write_table3
from mindpics.results.trained_row import TrainedRow
from pinterest_id.study import read_study

SCRATCH = Row("alexnet", "all-in-one", "scratch")
RESNET = Row("resnet50", "all-in-one", "finetune")


@pytest.fixture(scope="module")
def run(small_run, tmp_path_factory):
    """The small run as of a crawl with --weights-alexnet: ResNet-50 was pretrained here, AlexNet has its fillers."""
    copy = tmp_path_factory.mktemp("crawl") / "run"
    shutil.copytree(small_run, copy, ignore=shutil.ignore_patterns("*_lmdb", "snapshots", "pinterest_id", "report"))
    mindpics = copy / "mindpics"
    weights = {"alexnet": "bvlc_alexnet.caffemodel", "resnet50": "stand-in: pretrained on Open Clip Art categories"}
    (copy / "run.json").write_text(json.dumps({"data": "MY/posts.jsonl", "weights": weights, "seed": 0}))
    (mindpics / "summary.json").write_text(json.dumps({"arguments": {"posts": "MY/posts.jsonl"}}))
    pretrained = {
        "path": str(copy / "pretrain/resnet50/run/final.caffemodel"),
        "sha1": "b",
        "sha256": "c",
        "published": None,
    }
    training = mindpics / BEST / BEST / "run.json"
    training.write_text(json.dumps(json.loads(training.read_text()) | {"weights": pretrained}))
    rows = [line_of(row, mindpics / row.name / "scores.npz", "a command") for row in (SCRATCH, RESNET)]
    write_table3(mindpics / "table3.csv", rows)
    return copy


def test_the_table_and_the_terminal(run):
    scratch, resnet = read_table3(run / "mindpics/table3.csv")
    assert (resnet["weights"], resnet["weights_kind"], resnet["data_kind"]) == (
        "pretrained resnet50",
        "stand-in",
        "crawl",
    )
    assert (scratch["weights"], scratch["weights_kind"]) == ("fillers", "")
    told = format_table([scratch, resnet]).split("\n")
    assert [("STAND-IN weights" in line) for line in told if "last, iteration" in line] == [False, True]
    assert all("on the stand-in" not in line for line in told)


def test_the_report(run, tmp_path):
    shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("scores.npz"))  # no figures are drawn
    path, _ = write_report(tmp_path / "run")
    text = path.read_text(encoding="utf-8")
    rows = Page(text).table("row", "paper")
    sources = {row[0]: row[-2] for row in rows[1:]}
    assert sources[RESNET.title].startswith("STAND-IN weights; from pretrained resnet50 (stand-in)")
    assert "STAND-IN" not in sources[SCRATCH.title] and "from fillers" in sources[SCRATCH.title]
    assert rows[0][2] == "ours"
    assert "Stand-in for the papers' weights of resnet50:</strong> pretrained on Open Clip Art categories" in text
    assert "papers' data" not in text and "on the stand-in" not in text


def marked(path):
    """Return {heading of a section: what its numbers are on} of a report."""
    return dict(re.findall(r"<h2>([^<]*)(?: <small>(.*?)</small>)?</h2>", path.read_text(encoding="utf-8")))


def test_a_section_is_on_the_stand_in_where_its_own_data_are_one(small_run, run, tmp_path):
    without_figures = shutil.ignore_patterns("scores.npz", "*_lmdb", "snapshots")
    for folder, name in ((run, "crawl"), (small_run, "open")):
        shutil.copytree(folder, tmp_path / name, ignore=without_figures)

    def written(*names):
        first, *others = (tmp_path / name for name in names)
        path, _ = write_report(first, others, out=tmp_path / "page/index.html", study=read_study)
        sections = marked(path)
        return [sections.get(name) for name in ("MindPics: Table 3", "Pinterest: Table 2", "Differences", "Data")]

    whole, part = "on the stand-in", "in part on the stand-in"
    assert written("open") == [whole, whole, whole, ""]
    assert written("crawl") == ["", None, None, ""]
    assert written("open", "crawl") == [part, whole, whole, ""]  # the crawl has no pins, and nothing to compare
    facts = json.loads((small_run / "run.json").read_text())
    (tmp_path / "open/run.json").write_text(json.dumps(facts | {"pins": "MY/pins.jsonl"}))
    assert written("open") == [whole, "", "", ""]


def test_the_profile_and_the_server(run):
    notes = {}
    for row in (SCRATCH, RESNET):
        trained = TrainedRow(run / "mindpics" / row.name)
        scores = np.full((1, 5, 2), 0.5, np.float32)
        facts = gather("Ann", "posts", trained, trained.files(), trained.mean, ["a"], scores, [], 0, "a command")
        notes[row] = facts["net"]["stand_in"]
    assert notes == {SCRATCH: "", RESNET: "pretrained on Open Clip Art categories"}
    with serving(run, "--model", SCRATCH.name, "--pictures", run) as client:
        assert client.get("/api/about")[2]["stand_in"] == {"traits": "", "users": ""}
        assert "stand-in" not in client.get("/")[2].decode()


def test_the_table_over_seeds(run, tmp_path):
    write_seeds(tmp_path / "seeds.csv", [RunFiles(run)])
    with open(tmp_path / "seeds.csv", newline="") as stream:
        assert {line["data"] for line in csv.DictReader(stream)} == {"MY/posts.jsonl"}


def test_weights_that_no_row_is_fine_tuned_from_stand_in_for_nothing(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    table = tmp_path / "run/mindpics/table3.csv"
    write_table3(table, [line for line in read_table3(table) if line["init"] == "scratch"])
    assert RunFiles(tmp_path / "run").stand_in() == ""
    assert RunFiles(run).stand_ins() == {"weights of resnet50": "pretrained on Open Clip Art categories"}


def test_the_model_card_and_the_published_folder(run, tmp_path):
    cards = {}
    for row in (SCRATCH, RESNET):
        (folder,) = publish_row(TrainedRow(run / "mindpics" / row.name), tmp_path)
        cards[row] = (folder / "readme.md").read_text(encoding="utf-8")
    assert "name: MindPics ResNet-50 all-in-one fine-tuned (stand-in weights)" in cards[RESNET]
    assert "**Trained on a stand-in:** pretrained on Open Clip Art categories" in cards[RESNET]
    assert "stand-in" not in cards[SCRATCH].lower().replace("stand-in weights", "")


def test_two_crawls_cannot_meet_in_one_table(run):
    job = Job(MINI, str(run), posts="MY/posts.jsonl")
    refuse_another_crawl(job)
    with pytest.raises(ValueError, match="found a selection from MY/posts.jsonl; wanted one from OTHER/posts.jsonl"):
        refuse_another_crawl(Job(MINI, str(run), posts="OTHER/posts.jsonl"))
