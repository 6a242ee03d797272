"""Nearest pictures: cosines as scikit-learn has them."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from mindpics.posts.nearest import Nearest


def test_the_nearest_are_those_of_a_full_search():
    rng = np.random.default_rng(0)
    features, feature = rng.normal(size=(50, 7)), rng.normal(size=7)
    places, cosines = Nearest(features).find(feature * 3, 10)
    expected = cosine_similarity(features, feature[None])[:, 0]
    assert places.tolist() == np.argsort(-expected)[:10].tolist()
    np.testing.assert_allclose(cosines, np.sort(expected)[::-1][:10], rtol=1e-5)


def test_zeros_are_like_nothing_and_fewer_than_asked_will_do():
    places, cosines = Nearest(np.array([[0.0, 0], [1, 0]])).find(np.array([2.0, 0]), 8)
    assert places.tolist() == [1, 0] and cosines.tolist() == [1, 0]
    assert Nearest(np.eye(2)).find(np.zeros(2), 1)[1].tolist() == [0]
    with pytest.raises(ValueError, match=r"a feature of shape \(3,\); wanted \(2,\)"):
        Nearest(np.eye(2)).find(np.zeros(3), 1)
