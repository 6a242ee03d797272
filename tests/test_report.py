"""The report: its numbers are the CSVs', nothing in it leaves the machine, and values are escaped."""

import csv
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mindpics.report import write_report
from mindpics.report_facts import readable
from mindpics.table3 import row, write_table

ROOT = Path(__file__).resolve().parent.parent
EVIL = "<script>alert('x')</script>"
MODEL = ("alexnet", "all-in-one", "scratch")


class Page(HTMLParser):
    """Headings and tables of a page as text, and where every src and href points."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.links, self.scripts, self.cell = [], [], 0, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("src", "href")]
        self.scripts += tag == "script"
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.cell = ""

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.tables[-1][-1].append(self.cell)
            self.cell = None

    def handle_data(self, data):
        if self.cell is not None:
            self.cell += data

    def table(self, *headings):
        return next(table for table in self.tables if table[0][: len(headings)] == list(headings))


def make_run(folder):
    """Make a run with one row of Table 3 of six, 40 pictures, and text that would break a careless page."""
    mindpics, pictures = folder / "run" / "mindpics", folder / "emoji"
    model = mindpics / "_".join(MODEL)
    (model / model.name).mkdir(parents=True)
    (pictures / "images").mkdir(parents=True)
    labels, rng = np.arange(40) % 10, np.random.default_rng(0)
    high = rng.uniform(0.05, 0.95, (40, 5))
    ids = [f"p{i}" for i in range(40)]
    scores = np.stack([1 - high, high], axis=-1).astype(np.float32)
    np.savez(model / "scores.npz", ids=np.array(ids), labels=labels, scores=scores)
    with open(mindpics / "mindpics.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("id", "image", "trait", "pole", "word", "label", "split", "group"))
        for i, label in enumerate(labels):
            Image.new("RGB", (8, 8), (i * 6, 99, 0)).save(pictures / "images" / f"{i}.png")
            row_ = (f"p{i}", f"images/{i}.png", "OCEAN"[label // 2], ("low", "high")[label % 2], EVIL, label, "test", i)
            writer.writerow(row_)
    (mindpics / "summary.json").write_text(json.dumps({"arguments": {"posts": str(pictures / "posts.jsonl")}}))
    (mindpics / "rejected.jsonl").write_text(json.dumps({"id": "q", "reason": f"broken {EVIL}"}) + "\n")
    (model / model.name / "run.json").write_text(json.dumps({"iterations": 7, "caffemodel_sha256": "ab12"}))
    (model / model.name / "train.csv").write_text("iteration,lr,loss_O\n0,0.1,0.7\n1,0.1,0.6\n")
    (folder / "run" / "run.json").write_text(json.dumps({"data": "stand-in: emoji", "seed": 3, "gpu": None}))
    write_table(mindpics / "table3.csv", [row(*MODEL, model / "scores.npz", f"tools/reproduce {EVIL}")])
    return folder / "run"


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(run, page, its text, what was left out) of a run that no test changes."""
    folder = make_run(tmp_path_factory.mktemp("made"))
    return folder, *page_of(folder)


def page_of(run, **options):
    path, left_out = write_report(run, **options)
    text = path.read_text(encoding="utf-8")
    return Page(text), text, left_out


def test_table_3_is_the_csv_beside_the_paper(made):
    run, page, text, _ = made
    with open(run / "mindpics" / "table3.csv", newline="") as stream:
        (ours,) = csv.DictReader(stream)
    table = page.table("row", "paper", "ours, on the stand-in")
    avg, paper = float(ours["avg"]), 63.4
    assert table[1] == [
        "alexnet all-in-one scratch", f"{paper}", f"{avg:.1f}", f"{avg - paper:+.1f}",
        f"{float(ours['low95']):.1f} to {float(ours['high95']):.1f}", f"{float(ours['larger_pole_avg']):.1f}",
        "40", "3", ours["command"],
    ]  # fmt: skip
    traits = {line[1]: line[3] for line in page.table("row", "trait")[1:]}
    assert traits == {trait: f"{float(ours[trait]):.1f}" for trait in "OCEAN"}
    assert "Of Table 3&#39;s six rows 1 are here" in text or "Of Table 3's six rows 1 are here" in text


def test_nothing_leaves_the_machine(made):
    _, page, text, _ = made
    assert page.links and all(link.startswith("data:") for link in page.links)
    assert "default-src 'none'" in text
    assert not re.search(r"url\(|@import|\bfetch\b|https?://", text)


def test_values_are_escaped(made):
    _, page, text, _ = made
    assert EVIL not in text
    assert page.scripts == 1
    assert EVIL in page.table("row", "paper")[1][-1]
    assert any(EVIL in line[2] for line in page.table("list", "rejected")[1:])


def test_every_figure_has_its_three_files_and_is_in_the_page(made):
    run, _, text, left_out = made
    names = {path.stem for path in (run / "report" / "figures").glob("*.csv")}
    assert names >= {"figure1", "figure3", "figure4", "figure8", "figure10", "confusion", "words"}
    assert f"training_{'_'.join(MODEL)}" in names
    for name in names:
        assert all((run / "report" / "figures" / f"{name}.{kind}").is_file() for kind in ("png", "svg"))
        assert f'download="{name}.csv"' in text
    assert [figure for figure, _ in left_out] == ["Figures 4c to 8c and 9 (t-SNE)"]


def test_with_features_the_maps_are_drawn(run):
    name = run / "mindpics" / "_".join(MODEL) / "pool5"
    np.save(f"{name}.npy", np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32))
    Path(f"{name}.ids.txt").write_text("".join(f"p{i}\n" for i in range(40)))
    _, text, left_out = page_of(run)
    assert left_out == [] and "Figure 9" in text and "Figure 4c" in text


def test_pinterest_beside_mindpics(run):
    folder = run / "pinterest_id"
    (folder / "figures").mkdir(parents=True)
    (folder / "table2.csv").write_text(
        "model,accuracy,f1_macro,recall_at_10,low95,high95,n,published_accuracy,published_f1,command\n"
        "CF,36.0,35.22,81.33,30.67,41.33,300,37.34,36.16,make\nlearned,50.0,50.0,87.0,45.0,55.0,300,,,make\n"
    )
    Image.new("RGB", (8, 8)).save(folder / "figures" / "figure4.png")
    page, text, _ = page_of(run, pictures=run / "none")
    table = page.table("model", "paper")
    assert table[1][:5] == ["CF", "37.34", "36.00", "-1.34", "30.67 to 41.33"]
    assert table[2][:4] == ["learned", "", "50.00", ""]
    assert "F1 of each user" in text


def test_an_unfinished_run_without_pictures_says_so(run):
    (run / "run.json").unlink()
    (run / "mindpics" / "summary.json").unlink()
    page, text, left_out = page_of(run)
    assert "run.json is not there" in text and page.table("row", "paper", "ours")
    assert left_out == [("Figures 1, 4 to 10", "the pictures' folder is not there: not recorded (--pictures)")]


def test_what_cannot_be_reported_is_said(run, tmp_path):
    with pytest.raises(ValueError, match="no scores of resnet50_x; found alexnet_all-in-one_scratch"):
        write_report(run, model="resnet50_x")
    done = subprocess.run([sys.executable, ROOT / "tools/report", tmp_path / "no"], capture_output=True, text=True)
    assert done.returncode == 1 and "found no table3.csv and no table2.csv" in done.stderr
    (run / "run.json").write_text("{")
    with pytest.raises(ValueError, match="run.json: not JSON"):
        write_report(run)


def test_settings_read_as_words():
    assert readable("{('alexnet', 'pretrain'): Schedule(epochs=10, step_epochs=8)}") == (
        "alexnet pretrain: epochs=10, step_epochs=8"
    )
    assert readable("{broken") == "{broken" and readable("None") == "none" and readable(0.95) == "0.95"
