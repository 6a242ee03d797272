"""The MindPics experiment whole, by its stages and tools, on pictures of which every number is known."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from caffe.proto import caffe_pb2
from html_tables import Page
from known_mindpics import ROWS, SEED, colour, draw, job, liars, right_by_trait, write_posts, write_weights
from tool_module import run_tool

from mindpics.caffe_files.lmdbs import read_lmdb, read_mean
from mindpics.caffe_files.messages import read_message
from mindpics.plan import plan
from mindpics.posts.whole_selection import Choices, select
from mindpics.results.metrics import load_scores
from mindpics.traits import TRAITS, label_of

PUBLISHED = {"independent": 69.2, "all-in-one": 69.4}  # Table 3, AlexNet fine-tuned


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def selection(tmp_path_factory):
    """(folder, rows of its mindpics.csv): the split is seeded, so that pictures can be drawn by it."""
    folder = tmp_path_factory.mktemp("known")
    write_posts(folder / "crawl")
    select(folder / "crawl" / "posts.jsonl", folder / "before", Choices(1100, 30, seed=SEED), workers=1)
    rows = rows_of(folder / "before" / "mindpics.csv")
    draw(folder / "crawl", rows)
    write_weights(folder / "weights")
    return folder, rows


@pytest.fixture(scope="module")
def stages(selection):
    """The stages of the job, run one after another in this process, as their commands say."""
    folder, here = selection[0], os.getcwd()
    os.chdir(folder)
    try:
        stages = plan(job("."), ROWS)
        for stage in stages:
            tool, *arguments = stage.command
            assert run_tool(Path(tool).name, *arguments) == 0, stage.name
    finally:
        os.chdir(here)
    return {stage.name: stage for stage in stages}


@pytest.fixture(scope="module")
def run(selection, stages):
    return selection[0] / "run" / "mindpics"


def test_the_selection_takes_thirty_a_pole_and_a_fifth_for_testing(run, selection):
    rows = rows_of(run / "mindpics.csv")
    assert rows == selection[1]
    counts = {
        trait: [sum((row["trait"], row["pole"]) == (trait, pole) for row in rows) for pole in ("low", "high")]
        for trait in TRAITS
    }
    assert counts == {"O": [30, 15], "C": [10, 30], "E": [30, 30], "A": [20, 10], "N": [15, 30]}
    assert sum(row["split"] == "test" for row in rows) == 44 and len(rows) == 220
    assert {row["id"] for row in rows_of_json(run / "rejected.jsonl")} == {"broken"}


def rows_of_json(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("trait", ["", *TRAITS])
@pytest.mark.parametrize("split", ["train", "test"])
def test_each_lmdb_holds_the_pictures_of_its_split_and_trait_alone(run, selection, split, trait):
    wanted = {
        row["id"]: (label_of(row["trait"], row["pole"]), colour(row, liars(selection[1])))
        for row in selection[1]
        if row["split"] == split and trait in ("", row["trait"])
    }
    found = {}
    for key, datum in read_lmdb(run / f"{split}{'_' * bool(trait)}{trait}_lmdb"):
        pixels = np.frombuffer(datum.data, np.uint8).reshape(3, 72 * 72)
        assert np.ptp(pixels, axis=1).max() == 0
        found[key[9:]] = (datum.label, pixels[:, 0].tolist())
    assert found == wanted and len(wanted) > 5


def test_the_mean_is_of_the_training_pictures(run, selection):
    colours = [colour(row, ()) for row in selection[1] if row["split"] == "train"]
    np.testing.assert_allclose(read_mean(run / "mean.binaryproto")[:, 30, 30], np.mean(colours, axis=0), atol=0.01)


@pytest.mark.parametrize("name", ["all-in-one_finetune", *(f"independent_finetune_{trait}" for trait in TRAITS)])
def test_each_net_learned_from_its_training_lmdb_and_was_tested_on_its_own(run, selection, name):
    row = "all-in-one_finetune" if name.startswith("all") else "independent_finetune"
    trait = name[-2:] if name[-2] == "_" else ""
    folder = run / f"alexnet_{row}" / f"alexnet_{name}"
    net = read_message(folder / "net.prototxt", caffe_pb2.NetParameter())
    data = [layer for layer in net.layer if layer.type == "Data"]
    sources = [(layer.include[0].phase, layer.data_param.source, layer.transform_param.mean_file) for layer in data]
    folder_of = "./run/mindpics"
    assert sources == [
        (phase, f"{folder_of}/{split}{trait}_lmdb", f"{folder_of}/mean.binaryproto")
        for phase, split in enumerate(("train", "test"))
    ]
    solver = read_message(folder / "solver.prototxt", caffe_pb2.SolverParameter())
    own = [row for row in selection[1] if trait in ("", f"_{row['trait']}")]
    train = sum(row["split"] == "train" for row in own)
    assert (solver.random_seed, solver.max_iter) == (SEED, -(-5 * train // 7))
    assert solver.test_iter[0] == -(-sum(row["split"] == "test" for row in own) // 6)
    facts = json.loads((folder / "run.json").read_text())
    assert facts["weights"]["path"] == "weights/alexnet.caffemodel" and facts["max_iter"] == facts["iterations"]


def test_the_scores_are_of_the_test_lmdb_and_only_liars_are_wrong(run, selection):
    lying = liars(selection[1])
    order = [key[9:] for key, _ in read_lmdb(run / "test_lmdb")]
    for row in ROWS:
        ids, labels, scores = load_scores(run / row.name / "scores.npz")
        assert list(ids) == order
        right = {
            id_
            for id_, label, own in zip(ids, labels, scores, strict=True)
            if own[label // 2, label % 2] > own[label // 2, 1 - label % 2]
        }
        assert right == set(order) - lying, row


def test_table_3_cell_by_cell(run, selection):
    right = right_by_trait(selection[1])
    accuracies = {trait: 100 * hits / n for trait, (hits, n) in right.items()}
    tested = [row for row in selection[1] if row["split"] == "test"]
    larger = [
        max(sum((row["trait"], row["pole"]) == (trait, pole) for row in tested) for pole in ("low", "high"))
        / right[trait][1]
        for trait in TRAITS
    ]
    assert right == {"O": (6, 9), "C": (7, 8), "E": (8, 12), "A": (5, 6), "N": (7, 9)}
    table = rows_of(run / "table3.csv")
    assert [(row["net"], row["heads"], row["init"]) for row in table] == [tuple(row) for row in ROWS]
    for row in table:
        assert {trait: float(row[trait]) for trait in TRAITS} == pytest.approx(accuracies, abs=0.006)
        assert float(row["avg"]) == pytest.approx(np.mean(list(accuracies.values())), abs=0.006)
        assert float(row["larger_pole_avg"]) == pytest.approx(100 * np.mean(larger), abs=0.006)
        assert float(row["published_avg"]) == PUBLISHED[row["heads"]] and row["n"] == "44"
        assert f"--row alexnet/{row['heads']}/finetune" in row["command"] and f"--seed {SEED}" in row["command"]
        pooled = 100 * sum(hits for hits, _ in right.values()) / 44
        assert abs(pooled - float(row["avg"])) > 0.5  # a mean over traits is not one over pictures


def test_the_report_shows_them_and_the_figures_csvs_are_of_these_scores(run, selection):
    run_tool("report", run.parent, "--pictures", run / "none", "--model", ROWS[1].name)
    page = Page((run.parent / "report" / "index.html").read_text(encoding="utf-8"))
    figures, right, lying = run.parent / "report" / "figures", right_by_trait(selection[1]), liars(selection[1])
    average = np.mean([100 * hits / n for hits, n in right.values()])
    for line, row in zip(page.table("row", "paper", "ours")[1:], ROWS, strict=True):
        paper = PUBLISHED[row.heads]
        assert line[:4] == [row.title, str(paper), f"{average:.1f}", f"{average - paper:+.1f}"]
    traits = page.table("row", "trait")[1:]
    assert [line[3] for line in traits] == [f"{100 * right[trait][0] / right[trait][1]:.1f}" for trait in TRAITS] * 2

    def tested(**values):
        """Return how many test pictures of these values are right, and how many lie."""
        own = [row for row in selection[1] if all(row[key] == value for key, value in values.items())]
        lies = sum(row["split"] == "test" and row["id"] in lying for row in own)
        return sum(row["split"] == "test" for row in own) - lies, lies

    for row in rows_of(figures / "confusion.csv"):
        true, lies = tested(trait=row["trait"], pole=row["true"])
        assert int(row["pictures"]) == (true if row["predicted"] == row["true"] else lies), row
    for row in rows_of(figures / "figure3.csv"):
        high, n = sum(tested(trait=row["trait"], pole="high")), right[row["trait"]][1]
        assert float(row["share_of_high"]) == pytest.approx(high / n, abs=1e-4)
    for row in rows_of(figures / "words.csv"):
        true, lies = tested(trait=row["trait"], pole=row["pole"], word=row["word"])
        assert (int(row["n"]), int(row["right"])) == (true + lies, true)
