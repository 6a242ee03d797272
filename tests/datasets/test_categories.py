"""Categories for pretraining: one a picture, none too small."""

import csv
from collections import Counter

import pytest

from mindpics.datasets import categories
from mindpics.datasets.picture_lmdb import read_rows


def posts(**counts):
    return [
        {"id": f"{folder}-{i}", "image": f"images/{folder}-{i}.png".replace("/", "_"), "folder": folder}
        for folder, n in counts.items()
        for i in range(n)
    ]


FOLDERS = {
    "animals": 5,
    "animals/birds": 30,
    "animals/birds/owls": 10,
    "animals/fish": 17,
    "food": 3,
    "unsorted": 50,
    "tools/axes": 25,
}


def test_small_folders_go_up_and_deep_ones_are_cut():
    listed = [folder for folder, n in FOLDERS.items() for _ in range(n)]
    counted = Counter(categories.categorise(listed, min_per_category=20))
    assert counted == {"animals/birds": 40, "animals": 22, "tools/axes": 25, None: 53}


def test_rows_hold_each_picture_once_capped_and_split():
    rows, left_out = categories.label_pictures(posts(**FOLDERS), per_category=24, test_fraction=0.25)
    assert Counter(r["category"] for r in rows) == {"animals": 22, "animals/birds": 24, "tools/axes": 24}
    assert left_out == {"no category": 53, "beyond the cap": 17}
    assert len({r["id"] for r in rows}) == len(rows)
    assert sorted({(r["label"], r["category"]) for r in rows}) == [
        (0, "animals"),
        (1, "animals/birds"),
        (2, "tools/axes"),
    ]
    assert Counter((r["label"], r["split"]) for r in rows)[1, "test"] == 6


def test_the_seed_decides_the_split_and_the_order_of_posts_does_not():
    some = posts(**FOLDERS)
    assert categories.label_pictures(some) == categories.label_pictures(some[::-1])
    assert categories.label_pictures(some)[0] != categories.label_pictures(some, seed=1)[0]


def test_the_csv_is_what_create_lmdb_reads(tmp_path):
    rows, _ = categories.label_pictures(posts(**FOLDERS))
    categories.write_categories(tmp_path / "c.csv", rows)
    read = read_rows(tmp_path / "c.csv", "train") + read_rows(tmp_path / "c.csv", "test")
    assert {(r["id"], r["label"]) for r in rows} == {(post_id, label) for post_id, _, label in read}
    with open(tmp_path / "c.csv", newline="") as stream:
        assert next(csv.reader(stream)) == list(categories.COLUMNS)


def test_a_picture_at_the_top_has_no_category():
    assert categories.categorise([".", "a", "a"], min_per_category=2) == [None, "a", "a"]


@pytest.mark.parametrize(("name", "value"), [("per_category", -1), ("per_category", 1), ("min_per_category", 1)])
def test_a_category_has_a_picture_to_learn_from_and_one_to_test(name, value):
    with pytest.raises(ValueError, match=f"^{name}: found {value}; wanted 2 or more"):
        categories.label_pictures(posts(**FOLDERS), **{name: value})
    rows, _ = categories.label_pictures(posts(a=2, b=3), min_per_category=2, per_category=2, test_fraction=0.9)
    assert Counter((row["category"], row["split"]) for row in rows) == dict.fromkeys(
        [(name, part) for name in "ab" for part in ("train", "test")], 1
    )


def test_posts_that_cannot_be_labelled_are_named():
    with pytest.raises(ValueError, match="post 'x': found no 'folder'"):
        categories.label_pictures([{"id": "x", "image": "x.png"}])
    with pytest.raises(ValueError, match="found 1 categories of 20 pictures"):
        categories.label_pictures(posts(tools=30))
