"""Metrics by hand, intervals and tests against known values."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from mindpics.results.paired import pair
from pinterest_id import metrics

CODES = np.array([0, 0, 1, 1, 2, 2])
NAMED = np.array([0, 1, 1, 1, 2, 0])
SCORES = np.log(np.eye(3)[NAMED] * 0.7 + 0.1)


def test_accuracy_and_f1_by_hand():
    """User 0: P 1/2, R 1/2; user 1: P 2/3, R 1; user 2: P 1, R 1/2."""
    assert metrics.accuracy(CODES, SCORES) == pytest.approx(4 / 6)
    np.testing.assert_allclose(metrics.f1_users(CODES, SCORES), [1 / 2, 4 / 5, 2 / 3])
    assert metrics.f1_macro(CODES, SCORES) == pytest.approx((1 / 2 + 4 / 5 + 2 / 3) / 3)


def test_recall_counts_ties_against_and_ruled_out_users_as_missed():
    scores = np.array([[3.0, 2, 1], [1, 1, 1], [-np.inf, 0, -np.inf]])
    assert metrics.recall_at(np.array([1, 1, 0]), scores, k=2) == pytest.approx(1 / 3)
    assert metrics.recall_at(np.array([1, 1, 1]), scores, k=1) == pytest.approx(1 / 3)


def test_mcnemar_is_the_exact_binomial():
    """10 pins only the first gets right, 2 only the second: 2 * sum C(12, 0..2) / 2^12 = 0.0386."""
    codes = np.zeros(20, int)
    right, wrong = np.array([1.0, 0]), np.array([0, 1.0])
    first = np.array([right] * 10 + [wrong] * 2 + [right] * 8)
    second = np.array([wrong] * 10 + [right] * 2 + [right] * 8)
    test = pair(metrics.right(codes, first), metrics.right(codes, second))
    assert (test.only_first, test.only_second) == (10, 2)
    assert test.p_value == pytest.approx(2 * (1 + 12 + 66) / 2**12)
    assert pair(metrics.right(codes, first), metrics.right(codes, first)).p_value == 1


def test_the_interval_over_pins_is_the_binomials():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, 1000)
    named = np.where(rng.random(1000) < 0.4, codes, 1 - codes)
    scores = np.eye(2)[named]
    p = metrics.accuracy(codes, scores)
    interval = metrics.accuracy_over_pins(codes, scores, repeats=20_000)
    expected = stats.binom.ppf([0.025, 0.975], 1000, p) / 1000
    np.testing.assert_allclose([interval.low, interval.high], expected, atol=0.002)


def test_the_interval_over_users_is_wider_where_users_differ():
    """Ten users of 50 pins, five always right and five never: pins say +-4 points, users +-30."""
    codes = np.repeat(np.arange(10), 50)
    scores = np.eye(11)[np.where(codes < 5, codes, 10)][:, :11]
    pins, users = metrics.accuracy_over_pins(codes, scores), metrics.accuracy_over_users(codes, scores)
    assert pins.high - pins.low == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 500), abs=0.01)
    assert users.high - users.low == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 10), abs=0.1)


def test_f1_intervals_hold_the_estimate():
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 5, 400)
    scores = rng.random((400, 5)) + 0.5 * np.eye(5)[codes]
    f1 = metrics.f1_macro(codes, scores)
    for interval in (metrics.f1_over_pins(codes, scores), metrics.f1_over_users(codes, scores)):
        assert interval.low < f1 < interval.high


def test_each_user_keeps_as_many_pins_in_the_f1_interval():
    """60 users of two pins, half of all right: a resample of all pins leaves one user of seven without any, F1 0."""
    codes = np.repeat(np.arange(60), 2)
    named = np.where(np.random.default_rng(1).random(120) < 0.5, codes, (codes + 7) % 60)
    interval, f1 = metrics.f1_over_pins(codes, np.eye(60)[named]), metrics.f1_macro(codes, np.eye(60)[named])
    assert interval.low < f1 < interval.high
    assert abs((interval.low + interval.high) / 2 - f1) < (interval.high - interval.low) / 4
    perfect = metrics.f1_over_pins(codes, np.eye(60)[codes])
    assert (perfect.low, perfect.high) == (1, 1)  # no user loses all pins


@pytest.mark.parametrize(("named", "wanted"), [(CODES, (0.6097, 1)), ((CODES + 1) % 3, (0, 0.3903))])
def test_all_right_or_all_wrong_has_wilsons_interval(named, wanted):
    """n / (n + z^2) of 6 pins: 6 / 9.8415."""
    interval = metrics.accuracy_over_pins(CODES, np.eye(3)[named])
    assert (interval.low, interval.high) == pytest.approx(wanted, abs=1e-4)


def test_f1_is_scikit_learn_s_with_users_never_named_and_users_without_a_pin():
    rng = np.random.default_rng(0)
    codes, scores = rng.integers(1, 7, 200), rng.random((200, 8))
    scores[:, 2] = -1  # never named
    scores[:, 7] = scores[:, 0] = -1  # nor these two, who have no pin
    named = scores.argmax(axis=1)
    wanted = f1_score(codes, named, labels=np.arange(8), average=None, zero_division=0)
    np.testing.assert_allclose(metrics.f1_users(codes, scores), wanted, rtol=1e-15)


def test_macro_f1_is_of_the_users_who_have_a_pin():
    """Users 1 and 3 alone are tested: 1 is right, 3 is named 0, and is never named."""
    codes, scores = np.array([1, 1, 3]), np.eye(4)[[1, 1, 0]]
    assert metrics.tested(codes).tolist() == [1, 3]
    assert metrics.f1_macro(codes, scores) == 0.5
    right = np.eye(4)[codes]
    assert metrics.f1_macro(codes, right) == 1
    for interval in (metrics.f1_over_users(codes, right), metrics.f1_over_pins(codes, right)):
        assert (interval.low, interval.high) == (1, 1)


def test_pearson_and_confused_pairs():
    assert metrics.pearson([0.1, 0.2, 0.3], [1, 2, 3]) == pytest.approx(1)
    assert np.isnan(metrics.pearson([0.1, 0.2], [4, 4]))
    assert metrics.confused_pairs(CODES, SCORES) == [(0, 1, 1, 0), (0, 2, 0, 1)]


def test_nan_and_shapes_are_said():
    with pytest.raises(ValueError, match="found NaN of 1 pins"):
        metrics.accuracy(CODES, np.where(np.arange(6)[:, None] == 2, np.nan, SCORES))
    with pytest.raises(ValueError, match=r"found \(6, 3\) for 5 pins"):
        metrics.accuracy(CODES[:5], SCORES)
