"""Equation 5: values, gradients, ignored heads, both normalisations."""

import numpy as np
import pytest
from scipy.special import log_softmax

from mindpics.nets.trait_loss import trait_accuracy, trait_loss

RNG = np.random.default_rng(0)
LABELS = np.array([0, 1, 1, 3, 9, 4, 0, 8])


def test_loss_is_the_cross_entropy_of_the_traits_own_pictures():
    scores = RNG.normal(size=(8, 2))
    own = -log_softmax(scores, axis=1)[[0, 1, 2, 6], [0, 1, 1, 0]]
    assert trait_loss(scores, LABELS, 0, "VALID")[0] == pytest.approx(own.mean())
    assert trait_loss(scores, LABELS, 0, "BATCH_SIZE")[0] == pytest.approx(own.sum() / 8)


@pytest.mark.parametrize("normalization", ["VALID", "BATCH_SIZE"])
@pytest.mark.parametrize("trait", range(5))
def test_gradient_is_the_numerical_one(trait, normalization):
    scores = RNG.normal(size=(8, 2)) * 3
    _, gradient = trait_loss(scores, LABELS, trait, normalization)
    numerical = np.zeros_like(scores)
    for index in np.ndindex(scores.shape):
        step = np.zeros_like(scores)
        step[index] = 1e-5
        up, down = (trait_loss(scores + sign * step, LABELS, trait, normalization)[0] for sign in (1, -1))
        numerical[index] = (up - down) / 2e-5
    np.testing.assert_allclose(gradient, numerical, atol=1e-8)


def test_by_default_another_traits_pictures_count_as_zeros_and_valid_is_five_times_that():
    scores, labels = RNG.normal(size=(10, 2)), np.arange(10)  # two pictures a trait
    loss, gradient = trait_loss(scores, labels, 0)
    of_own, gradient_of_own = trait_loss(scores, labels, 0, "VALID")
    assert of_own == pytest.approx(5 * loss)
    np.testing.assert_allclose(gradient_of_own, 5 * gradient)


@pytest.mark.parametrize("normalization", ["VALID", "BATCH_SIZE"])
def test_a_batch_without_the_trait_has_no_loss_and_no_gradient(normalization):
    loss, gradient = trait_loss(RNG.normal(size=(3, 2)), np.array([2, 3, 4]), 0, normalization)
    assert loss == 0
    assert not gradient.any()


def test_ignored_pictures_get_no_gradient():
    _, gradient = trait_loss(RNG.normal(size=(8, 2)), LABELS, 0)
    assert not gradient[[3, 4, 5, 7]].any()
    assert gradient[[0, 1, 2, 6]].all()


def test_a_certain_and_wrong_head_is_clipped_as_caffe_clips():
    scores = np.array([[1e4, -1e4]], dtype=np.float32)
    loss, gradient = trait_loss(scores, np.array([1]), 0)
    assert loss == pytest.approx(87.3365, abs=1e-3)
    assert np.isfinite(gradient).all()


def test_accuracy_counts_own_pictures_and_ties_against():
    scores = np.array([[0.0, 1], [0, 1], [2, 2], [0, 1]])
    assert trait_accuracy(scores, np.array([1, 0, 1, 9]), 0) == pytest.approx(1 / 3)
    assert trait_accuracy(scores, np.array([9, 9, 9, 9]), 0) == 0
