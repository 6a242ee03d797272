"""Splits by user: sizes, seeds, users with too few pins."""

import numpy as np
import pytest

from pinterest_id.records import Pin
from pinterest_id.splits import PAPER_COUNTS, PAPER_SHARES, parts_of_file, read_split, split_users, write_split


def counts(parts, users, user):
    own = parts[np.array(users) == user]
    return [int(np.sum(own == part)) for part in ("train", "validation", "test", "")]


def test_every_user_gives_the_same_number_to_each_part():
    users = ["ann"] * 7 + ["bob"] * 6
    parts, dropped = split_users(users, (3, 2, 1))
    assert counts(parts, users, "ann") == [3, 2, 1, 1] and counts(parts, users, "bob") == [3, 2, 1, 0]
    assert dropped == []


def test_shares_use_every_pin_and_give_each_part_one_at_least():
    users = ["ann"] * 600 + ["bob"] * 3
    parts, _ = split_users(users, PAPER_SHARES)
    assert counts(parts, users, "ann") == [400, 100, 100, 0] and counts(parts, users, "bob") == [1, 1, 1, 0]


@pytest.mark.parametrize("shares", [(0.2, 0.2, 0.6), (0.05, 0.05, 0.9), (0.05, 0.9, 0.05), (0.02, 0.49, 0.49)])
@pytest.mark.parametrize("n_pins", [3, 4, 5, 9])
def test_small_shares_of_few_pins_give_each_part_one_at_least(shares, n_pins):
    users = ["ann"] * n_pins + ["bob"] * n_pins
    parts, _ = split_users(users, shares)
    assert min(counts(parts, users, "ann")[:3]) >= 1 and sum(counts(parts, users, "ann")[:3]) == n_pins


def test_the_seed_decides():
    users = ["ann", "bob"] * 20
    first, again, other = (split_users(users, (10, 5, 5), seed)[0] for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_users_with_too_few_pins_are_named_or_dropped():
    users = ["ann"] * 6 + ["bob"] * 6 + ["eve"]
    with pytest.raises(ValueError, match=r"1 users have fewer than 6 pins: eve \(1\)"):
        split_users(users, (4, 1, 1))
    parts, dropped = split_users(users, (4, 1, 1), drop_small=True)
    assert dropped == [("eve", 1)] and parts[-1] == ""


@pytest.mark.parametrize(
    ("users", "sizes", "message"),
    [
        (["ann"] * 6, (4, 1, 1), "found 1 of 1 users with 6 pins or more; wanted two or more"),
        (["ann"] * 6, (0.5, 0.2, 0.2), "wanted shares that sum to 1"),
        (["ann"] * 6, (4, 1), "three positive numbers"),
        (["ann"] * 6, (4, 0, 1), "three positive numbers"),
    ],
)
def test_what_cannot_be_split_is_said(users, sizes, message):
    with pytest.raises(ValueError, match=message):
        split_users(users, sizes)


def test_a_user_of_599_pins_keeps_100_for_validation_and_100_for_test():
    users = ["ann"] * 600 + ["bob"] * 599
    with pytest.raises(ValueError, match=r"1 users have fewer than 600 pins: bob \(599\)"):
        split_users(users, PAPER_COUNTS)
    parts, dropped = split_users(users, PAPER_COUNTS, lacking=1)
    assert counts(parts, users, "ann") == [400, 100, 100, 0] and counts(parts, users, "bob") == [399, 100, 100, 0]
    assert dropped == []
    assert np.array_equal(parts[:600], split_users(["ann"] * 600 + ["bob"] * 600, PAPER_COUNTS)[0][:600])
    with pytest.raises(ValueError, match=r"fewer than 599 pins: eve \(598\)"):
        split_users([*users, *["eve"] * 598], PAPER_COUNTS, lacking=1)


@pytest.mark.parametrize(("sizes", "lacking"), [(PAPER_COUNTS, 400), (PAPER_COUNTS, -1), (PAPER_SHARES, 1)])
def test_no_user_is_left_without_a_training_pin(sizes, lacking):
    with pytest.raises(ValueError, match="wanted fewer than the training pins, with counts"):
        split_users(["ann", "bob"] * 700, sizes, lacking=lacking)


def test_a_split_with_pins_over_the_counts_is_read_back(tmp_path):
    users = ["ann"] * 7 + ["bob"] * 6
    pins = [Pin(f"p{i}", user, None, "x.jpg", "y") for i, user in enumerate(users)]
    parts, _ = split_users(users, (3, 2, 1))
    write_split(tmp_path / "split.csv", pins, parts)
    split = read_split(tmp_path / "split.csv")
    assert list(split.values()) == list(parts) and "" in parts


FIXED = ["a1,train", "a2,test", "b1,train", "b2,validation", "gone,train"]


def fixed(folder, *lines):
    (folder / "split.csv").write_text("\n".join(["id,split", *lines, ""]))
    ids, users = ["a1", "a2", "a3", "b1", "b2"], ["ann"] * 3 + ["bob"] * 2
    return parts_of_file(folder / "split.csv", ids, users, {*ids, "gone"})


def test_a_fixed_split_is_taken_as_it_is(tmp_path):
    assert list(fixed(tmp_path, *FIXED)) == ["train", "test", "", "train", "validation"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gone,train": "eve,train"}, "found id 'eve' and 0 more that no pin has"),
        ({"a2,test": "a2,tset"}, "line 3: found id 'a2', split 'tset'; wanted ids that differ"),
        ({"a2,test": "a1,test"}, "line 3: found id 'a1'"),
        ({"a2,test": "a2,train"}, "found no pin of test"),
        ({"b1,train": "b1,validation"}, "found no training pin of user 'bob'; wanted one of every user"),
        ({"b1,train": "a3,validation", "b2,validation": "b1,"}, "found one user, 'ann'; wanted two or more"),
    ],
)
def test_a_fixed_split_that_cannot_be_is_named(tmp_path, change, message):
    with pytest.raises(ValueError, match=f"split.csv.*{message}"):
        fixed(tmp_path, *[change.get(line, line) for line in FIXED])
