"""Splits by user: sizes, seeds, users with too few pins."""

import numpy as np
import pytest

from pinterest_id.splits import PAPER_SHARES, split_users


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
        (["ann"] * 6, (4, 1, 1), "1 of 1 users has 6 pins or more; two users or more are needed"),
        (["ann"] * 6, (0.5, 0.2, 0.2), "shares must sum to 1"),
        (["ann"] * 6, (4, 1), "three positive numbers"),
        (["ann"] * 6, (4, 0, 1), "three positive numbers"),
    ],
)
def test_what_cannot_be_split_is_said(users, sizes, message):
    with pytest.raises(ValueError, match=message):
        split_users(users, sizes)
