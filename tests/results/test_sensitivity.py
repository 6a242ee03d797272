"""Sensitivity of headline numbers: paired on common pictures, the interval of one stratum, seeds, the table."""

import numpy as np
import pytest

from mindpics.files.tables import write_table
from mindpics.results.paired import Paired, over_seeds
from mindpics.results.sensitivity import (
    COLUMNS,
    Answers,
    Change,
    Move,
    Varied,
    format_sensitivity,
    interval,
    line_of,
    move,
    read_sensitivity,
)

CHANGE = Change("MindPics", "alexnet, mean accuracy", "length", "28 epochs", "14")


def answers(ids, strata, right):
    return Answers(np.array(list(ids)), np.array(strata), np.array(right, bool))


def test_the_interval_of_one_stratum_is_the_paired_one_and_several_add_up():
    one = Paired(9, 4, 80)
    assert interval([one]) == pytest.approx(one.interval())
    low, high = interval([one] * 4)
    wide = one.interval()
    assert (low + high) / 2 == pytest.approx((9 - 4) / 80, abs=0.001)
    assert high - low == pytest.approx((wide[1] - wide[0]) / 2, rel=0.05)  # four times the pictures


def test_only_what_both_were_tested_on_under_the_same_stratum_is_paired_in_whatever_order():
    before = answers("abcdef", [0, 0, 1, 1, 1, 0], [1, 0, 1, 1, 0, 1])
    after = answers("xedcba", [0, 1, 1, 1, 0, 1], [1, 1, 0, 1, 1, 1])  # a is of another stratum, f is not there
    moved = move(before, after)
    assert moved.n == 4
    assert moved.before == pytest.approx(100 * (0 / 1 + 2 / 3) / 2)  # b; c, d, e
    assert moved.after == pytest.approx(100 * (1 / 1 + 2 / 3) / 2)
    assert moved.difference == pytest.approx(50)
    low, high = interval([Paired(1, 0, 1), Paired(1, 1, 3)])
    assert (moved.low, moved.high) == pytest.approx((100 * low, 100 * high))


def test_nothing_in_common_is_no_pair():
    with pytest.raises(ValueError, match="no test picture in common"):
        move(answers("ab", [0, 0], [1, 1]), answers("cd", [0, 0], [1, 1]))


def test_one_seeds_interval_is_over_pictures_and_several_seeds_over_seeds():
    moves = [Move(80, 82, -1, 5, 40), Move(84, 85, -3, 5, 41)]
    one = line_of(Varied(CHANGE, moves[:1], test_to_train=[0.25]))
    assert (one["difference"], one["low95"], one["high95"]) == ("2.00", "-1.00", "5.00")
    assert (one["interval_over"], one["n"], one["seeds"]) == ("test pictures", "40", 1)
    both, wanted = line_of(Varied(CHANGE, moves, test_to_train=[0.25, 0.25])), over_seeds([2, 1], 0.25)
    assert (both["before"], both["after"], both["difference"]) == ("82.00", "83.50", "1.50")
    assert (both["low95"], both["high95"]) == (f"{wanted.low:.2f}", f"{wanted.high:.2f}")
    assert (both["interval_over"], both["n"], both["by_seed"]) == ("seeds", "40..41", "+2.00 +1.00")


def test_a_reading_without_scores_has_a_note_in_the_table_and_no_number(tmp_path):
    lines = [line_of(Varied(CHANGE, [], ["diverged: loss nan"])), line_of(Varied(CHANGE, [Move(80, 82, -1, 5, 40)]))]
    write_table(tmp_path / "readings.csv", COLUMNS, lines)
    read = read_sensitivity(tmp_path / "readings.csv")
    assert [line["difference"] for line in read] == ["", "2.00"] and read[0]["note"] == "diverged: loss nan"
    text = format_sensitivity(read)
    assert "\nlength, 14: diverged: loss nan\n" in text and text.splitlines()[3].split()[-3:] == [
        "+2.0",
        "-1.0..+5.0",
        "40",
    ]
    assert text.endswith("intervals over test pictures")


def test_a_mean_of_next_to_nothing_has_no_minus():
    line = line_of(Varied(CHANGE, [Move(80, 80 - 1e-12, -1, 1, 40)]))
    assert line["difference"] == "0.00"
