"""With the published weights of AlexNet alone, every surface names the rows of the other net as stand-in."""

import json
import shutil

import pytest
from html_tables import Page
from small_run import BEST

from mindpics.job import Job, refuse_another_crawl
from mindpics.nets.scales import MINI
from mindpics.published import Row
from mindpics.report.page import write_report
from mindpics.report.publish import publish_row
from mindpics.results.table3 import format_table, line_of, read_table3, write_table3
from mindpics.results.trained_row import TrainedRow

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
    assert "Stand-in for the papers" in text and "pretrained on Open Clip Art categories" in text


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
