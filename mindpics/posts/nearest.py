"""Nearest pictures by the cosine of their features."""

import numpy as np


class Nearest:
    """Features of many pictures, to be searched.

    Parameters
    ----------
    features : float array [N, D]
        A row of zeros is like no picture.
    """

    def __init__(self, features):
        from sklearn.neighbors import NearestNeighbors  # takes a second

        self.neighbours = NearestNeighbors(metric="cosine", algorithm="brute").fit(np.asarray(features, np.float32))

    def find(self, feature, count):
        """Return the places of the nearest rows and their cosines: int [count], float32 [count]."""
        shape = (self.neighbours.n_features_in_,)
        if np.shape(feature) != shape:
            raise ValueError(f"found a feature of shape {np.shape(feature)}; wanted {shape}")
        count = min(count, self.neighbours.n_samples_fit_)
        distances, places = self.neighbours.kneighbors(np.asarray(feature, np.float32)[None], count)
        return places[0], 1 - distances[0]
