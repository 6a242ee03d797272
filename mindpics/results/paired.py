"""Paired tests of two models: McNemar's exact test, intervals of a difference, seeds, sampling error.

None of it is in the papers.
"""

import math
from dataclasses import dataclass

import numpy as np
import scipy  # whose parts are loaded when they are first asked for; scipy.stats would take a second

from mindpics.results.metrics import Z95


@dataclass(frozen=True)
class Paired:
    """Two models on n test pictures: how many only the first, or only the second, gets right."""

    only_first: int
    only_second: int
    n: int

    @property
    def difference(self):
        """Share that the first gets right, less the second's."""
        return (self.only_first - self.only_second) / self.n

    @property
    def discordant(self):
        """Share that exactly one of them gets right."""
        return (self.only_first + self.only_second) / self.n

    @property
    def likely_discordant(self):
        """The same with half a picture added to each of the four cells: not 0 where none was seen."""
        return (self.only_first + self.only_second + 1) / (self.n + 2)

    @property
    def p_value(self):
        """Of McNemar's exact test, two-sided: 1 where the two never differ."""
        n_discordant = self.only_first + self.only_second
        tail = scipy.special.bdtr(min(self.only_first, self.only_second), n_discordant, 0.5) if n_discordant else 1.0
        return float(min(1.0, 2 * tail))

    def interval(self):
        """Return the 95% interval of the difference: Wald's, with half a picture added to each of the four cells.

        Agresti and Min 2005, Statistics in Medicine 24; the plain interval is too narrow for few discordant pictures.
        """
        n, b, c = self.n + 2, self.only_first + 0.5, self.only_second + 0.5
        centre = (b - c) / n
        half = Z95 * math.sqrt(b + c - (b - c) ** 2 / n) / n
        return centre - half, centre + half


def pair(right_first, right_second):
    """Return the `Paired` of two models from which pictures each gets right.

    Parameters
    ----------
    right_first, right_second : bool array [N]
        The same pictures in the same order.

    Raises
    ------
    ValueError
        When they differ in length, or there is no picture.
    """
    first, second = np.asarray(right_first, bool), np.asarray(right_second, bool)
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise ValueError(f"answers: found {first.shape} and {second.shape}; wanted two [N] of the same N, one at least")
    return Paired(int(np.sum(first & ~second)), int(np.sum(~first & second)), len(first))


@dataclass(frozen=True)
class OverSeeds:
    """Mean difference over seeds, its standard deviation from seed to seed, 95% interval and p-value."""

    seeds: int
    mean: float
    sd: float
    low: float
    high: float
    p_value: float


def over_seeds(differences, test_to_train):
    """Return the corrected resampled t-test of differences, one a seed.

    Splits of the same pictures share most of what they train on, so the differences are not
    independent and their variance over seeds is too small: s^2 / k becomes
    s^2 * (1/k + test/train) (Nadeau and Bengio 2003, Machine Learning 52, section 5).

    Parameters
    ----------
    differences : sequence of float
    test_to_train : float
        Test pictures a training picture.

    Raises
    ------
    ValueError
        When there are fewer than two differences.
    """
    k = len(differences)
    if k < 2:
        raise ValueError(f"differences: found {k}; wanted those of two seeds or more")
    mean, sd = float(np.mean(differences)), float(np.std(differences, ddof=1))
    error = sd * math.sqrt(1 / k + test_to_train)
    half = float(scipy.special.stdtrit(k - 1, 0.975)) * error
    if error == 0:
        return OverSeeds(k, mean, sd, mean, mean, 1.0 if mean == 0 else 0.0)
    p_value = float(2 * scipy.special.stdtr(k - 1, -abs(mean) / error))
    return OverSeeds(k, mean, sd, mean - half, mean + half, p_value)


def unpaired_error(first, second, n):
    """Return the standard error of the difference of two shares, each of its own n test pictures (binomial).

    Parameters
    ----------
    first, second : float
        Shares, 0 to 1.
    n : int
        Of each test set.
    """
    return math.sqrt((first * (1 - first) + second * (1 - second)) / n)


def paired_error(difference, discordant, n):
    """Return the standard error of the difference on the same n pictures, of which a share is discordant.

    Parameters
    ----------
    difference : float
        Of the two shares.
    discordant : float
        Share of the pictures that exactly one of the two gets right.
    n : int
    """
    return math.sqrt(max(0.0, discordant - difference**2) / n)


def most_discordant(difference, n):
    """Return the share of discordant pictures up to which a paired test of n tells `difference` from 0.

    At a greater share the difference lies within 1.96 standard errors (`paired_error`).
    """
    return n * (difference / Z95) ** 2 + difference**2
