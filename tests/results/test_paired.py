"""Paired comparisons against values worked out by hand, and the interval's coverage counted exactly."""

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from mindpics.results.metrics import Z95
from mindpics.results.paired import Paired, most_discordant, over_seeds, pair, paired_error, unpaired_error


def test_pairs_are_counted_picture_by_picture():
    of = pair([1, 1, 0, 0, 1], [1, 0, 1, 0, 0])
    assert of == Paired(2, 1, 5)
    assert of.difference == pytest.approx(0.2) and of.discordant == pytest.approx(0.6)


@pytest.mark.parametrize(("b", "c", "p"), [(1, 7, 18 / 256), (7, 1, 18 / 256), (5, 5, 1), (0, 0, 1), (0, 5, 2 / 32)])
def test_mcnemar_is_the_exact_binomial_test(b, c, p):
    assert Paired(b, c, 50).p_value == pytest.approx(p)


@pytest.mark.parametrize("n", [1, 2, 37, 389, 24_200])
def test_mcnemar_is_scipys_binomial_test(n):
    for b in {0, n // 3, n // 2, n - n // 20, n}:
        assert Paired(b, n - b, 2 * n).p_value == pytest.approx(stats.binomtest(b, n).pvalue, rel=1e-9, abs=1e-300)


def test_the_interval_turns_round_with_the_models_and_has_width_where_nothing_differs():
    low, high = Paired(9, 2, 40).interval()
    assert Paired(2, 9, 40).interval() == pytest.approx((-high, -low))
    low, high = Paired(0, 0, 100).interval()
    assert high == -low == pytest.approx(Z95 / 102)  # one half picture in each discordant cell


def test_the_interval_covers_the_true_difference_in_about_95_of_100_test_sets():
    n, first, second = 40, 0.15, 0.05
    covered = 0.0
    for b, c in product(range(n + 1), repeat=2):
        if b + c <= n:
            low, high = Paired(b, c, n).interval()
            inside = low <= first - second <= high
            covered += inside * stats.multinomial.pmf([b, c, n - b - c], n, [first, second, 1 - first - second])
    assert 0.94 < covered < 0.975


def test_seeds_that_share_training_pictures_count_for_less():
    of = over_seeds([1, 2, 3], 0.25)
    error = math.sqrt(1 / 3 + 0.25)
    assert (of.seeds, of.mean, of.sd) == (3, 2, 1)
    assert (of.low, of.high) == pytest.approx((2 - 4.302653 * error, 2 + 4.302653 * error), abs=1e-5)
    assert of.p_value == pytest.approx(0.1201, abs=1e-4)
    plain = stats.ttest_1samp([1, 2, 3], 0)
    assert over_seeds([1, 2, 3], 0).p_value == pytest.approx(plain.pvalue)
    assert of.p_value > plain.pvalue


def test_seeds_that_agree_wholly():
    assert over_seeds([0.5, 0.5], 0.25).p_value == 0 and over_seeds([0, 0], 0.25).p_value == 1


def test_the_errors_at_the_published_sizes():
    assert 100 * unpaired_error(0.719, 0.717, 24_200) == pytest.approx(0.409, abs=5e-4)
    assert 100 * unpaired_error(0.383, 0.3734, 11_700) == pytest.approx(0.634, abs=5e-4)
    assert 100 * most_discordant(0.002, 24_200) == pytest.approx(2.52, abs=5e-3)


def test_at_most_so_many_discordant_is_where_the_difference_is_on_the_edge():
    share = most_discordant(0.005, 24_200)
    assert Z95 * paired_error(0.005, share, 24_200) == pytest.approx(0.005)


def test_a_paired_error_is_that_of_the_mean_of_plus_one_minus_one_and_nothing():
    of = Paired(30, 10, 200)
    each = np.repeat([1, -1, 0], [30, 10, 160])
    assert paired_error(of.difference, of.discordant, of.n) == pytest.approx(each.std() / math.sqrt(200))


def test_what_is_no_pair_is_refused():
    with pytest.raises(ValueError, match=r"found \(3,\) and \(2,\); wanted two"):
        pair([1, 0, 1], [1, 0])
    with pytest.raises(ValueError, match=r"found \(0,\) and \(0,\)"):
        pair([], [])
    with pytest.raises(ValueError, match="differences: found 1; wanted those of two seeds"):
        over_seeds([1.0], 0.25)
