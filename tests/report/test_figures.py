"""Figures 1 to 10, confusions, words and training curves: what they show, from files alone."""

import csv
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mindpics.files.feature_files import read_features
from mindpics.report import figures, maps, sheets, training_curves
from mindpics.report.training_curves import draw_training, read_log, read_run

ROOT = Path(__file__).resolve().parents[2]
LOG = """\
I1122 13:49:36.813644  1758 solver.cpp:372] Iteration 0, Testing net (#0)
I1122 13:49:37.000000  1758 solver.cpp:424]     Test net output #0: accuracy_O = 0.5
I1122 13:49:37.000000  1758 solver.cpp:372] Iteration 0, Testing net (#1)
I1122 13:49:37.000000  1758 solver.cpp:424]     Test net output #0: accuracy_O = 0.25
I1122 13:49:37.859529  1758 solver.cpp:253] Iteration 0 (0 iter/s, 1.046s/20 iters), loss = 0.75
I1122 13:49:37.859600  1758 solver.cpp:272]     Train net output #0: loss_O = 0.7 (* 1 = 0.7 loss)
I1122 13:49:37.859833  1758 sgd_solver.cpp:106] Iteration 0, lr = 0.003
I1122 13:49:43.002813  1758 solver.cpp:253] Iteration 20, loss = nan
I1122 13:49:43.003124  1758 solver.cpp:253] Iteration 20, loss = 0.5
"""


def scores_of(odds):
    """Scores whose log odds are `odds` [N,5]."""
    high = 1 / (1 + np.exp(-np.asarray(odds, dtype=float)))
    return np.stack([1 - high, high], axis=-1).astype(np.float32)


@pytest.fixture
def scored():
    """Ids, labels and scores of 40 pictures, all right but one of low O; and their selection."""
    labels = np.arange(40) % 10
    odds = np.zeros((40, 5))
    odds[np.arange(40), labels // 2] = np.where(labels % 2, 1, -1) * (1 + np.arange(40) / 40)
    odds[0, 0] = 3.0
    ids = np.array([f"p{i}" for i in range(40)])
    selection = {
        f"p{i}": {"image": f"p{i}.png", "trait": "OCEAN"[label // 2], "pole": ("low", "high")[label % 2], "word": "$w$"}
        for i, label in enumerate(labels)
    }
    return ids, labels, scores_of(odds), selection


@pytest.fixture
def thumbnails(scored, tmp_path):
    selection = scored[3]
    for place, id_ in enumerate(selection):
        Image.new("RGB", (20, 10), (place * 6, 0, 0)).save(tmp_path / f"{id_}.png")
    return sheets.Thumbnails(selection, tmp_path, side=16)


def rows_of(path):
    with open(f"{path}.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def assert_drawn(path):
    with Image.open(f"{path}.png") as picture:
        assert min(picture.size) > 100
    assert ET.parse(f"{path}.svg").getroot().tag.endswith("svg")


def test_none_of_it_imports_caffe():
    code = "import sys, mindpics.report.page, mindpics.report.training_curves; sys.exit('caffe' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_areas_of_known_rankings(scored, tmp_path):
    _, labels, scores, _ = scored
    found = figures.draw_curves(labels, scores, tmp_path / "figure3")
    assert found["C"]["auc"] == found["C"]["ap"] == 1
    # O: four high at odds 1.x, four low of which one is above them all
    assert found["O"]["auc"] == pytest.approx(0.75)
    assert found["O"]["ap"] == pytest.approx(np.mean([1 / 2, 2 / 3, 3 / 4, 4 / 5]))
    assert found["O"]["high"] == 0.5
    assert {(row["trait"], row["curve"]) for row in rows_of(tmp_path / "figure3")} == {
        (trait, curve) for trait in "OCEAN" for curve in ("roc", "pr")
    }
    assert_drawn(tmp_path / "figure3")


def test_a_trait_of_one_pole_has_no_curve():
    labels = np.array([0, 1, 3, 3])
    assert set(figures.curves(labels, scores_of(np.ones((4, 5))))) == {"O"}


@pytest.mark.parametrize("turn", [1, -1])
def test_odds_rank_where_probabilities_saturate(turn):
    """Four pictures whose probabilities are 1 in float32; their complements differ, in whatever order they come."""
    rest = np.array([1e-9, 1e-12, 1e-15, 1e-10], np.float32)[::turn]
    for pole, pair in (("high", (rest, np.ones(4))), ("low", (np.ones(4), rest))):
        scores = np.stack([np.stack(pair, axis=1)] * 5, axis=1).astype(np.float32)
        assert len(set(scores[:, 0, int(pole == "high")])) == 1
        assert list(sheets.most_activating(sheets.odds_strengths(scores), "O", 2)[pole]) == list(np.argsort(rest)[:2])


def test_confusion_counts_true_by_predicted_and_a_tie_as_wrong(scored, tmp_path):
    _, labels, scores, _ = scored
    scores[[1, 10], 0] = 0.5  # a high O and a low one, undecided
    found = figures.draw_confusions(labels, scores, tmp_path / "confusion")
    assert found["O"].tolist() == [[2, 2], [1, 3]]
    assert found["N"].tolist() == [[4, 0], [0, 4]]
    assert sum(int(row["pictures"]) for row in rows_of(tmp_path / "confusion")) == 40


def test_words_of_a_trait_and_pole(scored, tmp_path):
    ids, labels, scores, selection = scored
    found = {(w["trait"], w["pole"]): w for w in figures.word_figures(ids, labels, scores, selection)}
    assert (found["O", "low"]["right"], found["O", "low"]["n"]) == (3, 4)
    assert found["O", "high"]["accuracy"] == 1 and found["O", "high"]["low95"] < 0.6
    figures.draw_words(list(found.values()), tmp_path / "words")  # "$w$" is no formula
    assert_drawn(tmp_path / "words")


def test_scores_of_another_selection_are_named(scored):
    ids, labels, scores, selection = scored
    selection["p3"]["pole"] = "low"
    with pytest.raises(ValueError, match="picture p3: found .*; wanted the label 3"):
        figures.word_figures(ids, labels, scores, selection)


def test_most_activating_are_apart_and_strongest_first(scored, thumbnails, tmp_path):
    ids, _, scores, _ = scored
    found = sheets.most_activating(sheets.odds_strengths(scores), "O", 50)
    assert len(found["high"]) == len(found["low"]) == 20
    assert not set(found["high"]) & set(found["low"])
    assert found["high"][0] == 0 and found["low"][0] == 30
    sheets.draw_activating(ids, sheets.odds_strengths(scores), "O", thumbnails, tmp_path / "figure4", 3)
    rows = rows_of(tmp_path / "figure4")
    assert [(row["activates"], row["id"]) for row in rows[:2]] == [("high", "p0"), ("high", "p31")]
    assert rows[0]["own_pole"] == "low"
    assert_drawn(tmp_path / "figure4")


def test_all_mindpics_are_ranked_by_the_output_unit_and_test_pictures_are_marked(scored, thumbnails, tmp_path):
    ids, _, _, selection = scored
    strengths = np.zeros((40, 5, 2), np.float32)
    strengths[:, 1, 1] = np.arange(40)  # the unit of High falls with no rise of Low's
    strengths[:, 1, 0] = np.arange(40) % 7
    found = sheets.most_activating(strengths, "C", 3)
    assert list(found["high"]) == [39, 38, 37] and list(found["low"]) == [6, 13, 20]
    for place, row in enumerate(selection.values()):
        row["split"] = "test" if place % 2 else "train"
    marks = sheets.Thumbnails(selection, thumbnails.root, thumbnails.side, marks=True)
    for id_, row in selection.items():
        changed = not np.array_equal(marks(id_), thumbnails(id_))
        assert changed == (row["split"] == "test")
    assert not marks(ids[1])[0, 0].any() and np.array_equal(marks(ids[1])[8:], thumbnails(ids[1])[8:])
    sheets.draw_activating(ids, strengths, "C", marks, tmp_path / "figure5", 3, "activation")
    rows = rows_of(tmp_path / "figure5")
    assert [(row["activation"], row["split"]) for row in rows[:2]] == [("39.0000", "test"), ("38.0000", "train")]


def test_tiles_stand_row_by_row():
    pictures = [np.full((2, 2, 3), value, np.uint8) for value in (10, 20, 30)]
    sheet = sheets.tile(pictures, columns=2, gap=1)
    assert sheet.shape == (7, 7, 3)
    assert [sheet[1, 1, 0], sheet[1, 4, 0], sheet[4, 1, 0], sheet[4, 4, 0], sheet[0, 0, 0]] == [10, 20, 30, 255, 255]


def test_a_thumbnail_is_rgb_and_a_broken_file_is_counted(scored, thumbnails, tmp_path):
    assert list(thumbnails("p10")[0, 0]) == [60, 0, 0]
    (tmp_path / "p1.png").write_text("no picture")
    assert thumbnails("p1").shape == (16, 16, 3)
    assert list(thumbnails.unreadable) == ["p1"]


def test_no_thumbnail_from_outside_the_root(scored, thumbnails):
    scored[3]["p1"]["image"] = "../secret.png"
    with pytest.raises(ValueError, match="wanted a path inside"):
        thumbnails("p1")


def test_samples_are_of_their_trait_and_pole_and_follow_the_seed(scored, thumbnails, tmp_path):
    selection = scored[3]
    drawn = sheets.random_samples(selection, "E", "high", 3, seed=1)
    assert len(set(drawn)) == 3 and {selection[id_]["trait"] + selection[id_]["pole"] for id_ in drawn} == {"Ehigh"}
    assert drawn == sheets.random_samples(selection, "E", "high", 3, seed=1)
    assert len(sheets.random_samples(selection, "E", "high", 99)) == 4
    sheets.draw_samples(selection, thumbnails, tmp_path / "figure1")
    sheets.draw_trait_samples(selection, "O", thumbnails, tmp_path / "figure10")
    assert len(rows_of(tmp_path / "figure1")) == 40
    assert_drawn(tmp_path / "figure10")


def test_projection_keeps_clusters_apart_and_repeats():
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(0, 1, (40, 8)), rng.normal(20, 1, (40, 8))])
    points = maps.project(features, seed=3)
    centres = points[:40].mean(axis=0), points[40:].mean(axis=0)
    assert np.linalg.norm(centres[0] - centres[1]) > 2 * max(points[:40].std(), points[40:].std())
    assert np.array_equal(points, maps.project(features, seed=3))


def test_map_borders_and_places():
    points = np.array([[0.0, 0.0], [1.0, 1.0]])
    pictures = [np.full((4, 4, 3), 9, np.uint8)] * 2
    canvas = maps.place_on_canvas(points, pictures, ["#E69F00", "#0072B2"], side=50)
    assert list(canvas[49, 0]) == [0xE6, 0x9F, 0x00] and list(canvas[0, 49]) == [0x00, 0x72, 0xB2]
    assert list(canvas[45, 4]) == [9, 9, 9] and list(canvas[25, 25]) == [255, 255, 255]


def test_maps_from_feature_files(scored, thumbnails, tmp_path):
    ids, _, scores, _ = scored
    np.save(tmp_path / "pool5.npy", np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32))
    (tmp_path / "pool5.ids.txt").write_text("\n".join(ids) + "\n")
    array, read_ids = read_features(tmp_path / "pool5")
    features = dict(zip(read_ids, array, strict=True))
    maps.draw_all_traits_map(ids, sheets.odds_strengths(scores), features, thumbnails, tmp_path / "figure9", count=4)
    rows = rows_of(tmp_path / "figure9")
    assert len(rows) == 40 and {row["panel"] for row in rows} == {"High", "Low"}
    assert_drawn(tmp_path / "figure9")
    del features["p0"]
    with pytest.raises(ValueError, match="found no features of 1 pictures, p0"):
        maps.draw_trait_map(ids, sheets.odds_strengths(scores), "O", features, thumbnails, tmp_path / "x", count=4)
    (tmp_path / "pool5.ids.txt").write_text("p0\n")
    with pytest.raises(ValueError, match=r"pool5.npy: found 1 ids for 40 rows of features; wanted an id a row"):
        read_features(tmp_path / "pool5")


def test_a_caffe_log(tmp_path):
    path = tmp_path / "caffe.log"
    path.write_text(LOG)
    rows = [
        ("test", "accuracy_O", 0, 0.5),
        ("test", "accuracy_O#1", 0, 0.25),
        ("train", "loss", 0, 0.75),
        ("train", "loss", 20, 0.5),
        ("train", "loss_O", 0, 0.7),
        ("train", "lr", 0, 0.003),
    ]
    assert read_log(path) == (rows, {"loss_O"}, 0)
    command = [sys.executable, ROOT / "tools/plot_training_log", path, "--out", tmp_path / "c"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "5 series, last iteration 20" in done.stdout, done.stderr
    assert_drawn(tmp_path / "c")
    path.write_text("nothing of Caffe's\n")
    with pytest.raises(ValueError, match="caffe.log: found no line of a Caffe training log"):
        read_log(path)


def test_what_is_a_loss_the_log_says_and_no_name(tmp_path, monkeypatch):
    """bvlc_googlenet's loss1/top-1 is an accuracy; the autoencoder's l2_error, a loss, has its weight behind it."""
    (tmp_path / "caffe.log").write_text(
        "Iteration 0, Testing net (#0)\n"
        "    Test net output #0: loss1/top-1 = 0.25\n"
        "    Test net output #1: l2_error = 12.5 (* 1 = 12.5 loss)\n"
        "Iteration 0, loss = 14\n"
        "    Train net output #0: l2_error = 12.5 (* 1 = 12.5 loss)\n"
        "    Train net output #1: loss = 1.5 (* 1 = 1.5 loss)\n"
    )
    rows, losses, _ = read_log(tmp_path / "caffe.log")
    assert losses == {"l2_error", "loss"}
    panels = {}
    monkeypatch.setattr(training_curves, "_panel", lambda axes, label, keys, names: panels.update({label: keys}))
    draw_training(rows, tmp_path / "curves", losses=losses)
    assert panels == {
        "train loss": [("train", "l2_error"), ("train", "loss"), ("train", "total_loss")],
        "test loss": [("test", "l2_error")],
        "test accuracy": [("test", "loss1/top-1")],
    }


def test_a_run_folder_gives_the_same_kind_of_rows(tmp_path):
    (tmp_path / "train.csv").write_text("iteration,lr,loss_O\n0,0.1,0.7\n1,0.1,\n2,0.1,0.6")
    (tmp_path / "test.csv").write_text("iteration,accuracy_O\n0,0.5\n")
    rows = read_run(tmp_path)  # without the row that a kill cut short
    assert rows == [
        ("test", "accuracy_O", 0, 0.5),
        ("train", "loss_O", 0, 0.7),
        ("train", "lr", 0, 0.1),
        ("train", "lr", 1, 0.1),
    ]
    draw_training(rows, tmp_path / "curves", "a $ sign")
    assert len(rows_of(tmp_path / "curves")) == 4
    (tmp_path / "test.csv").write_text("iteration,accuracy_O\n0,0.5\nten,\n")
    with pytest.raises(ValueError, match=r"test\.csv, line 3: found ten,; wanted an iteration and its numbers"):
        read_run(tmp_path)


def test_long_series_are_averaged_not_cut(tmp_path):
    rows = [("train", "loss", i, float(i % 2)) for i in range(100_000)]
    draw_training(rows, tmp_path / "curves")
    drawn = rows_of(tmp_path / "curves")
    assert len(drawn) == 60 and {round(float(row["value"]), 2) for row in drawn} == {0.5}
