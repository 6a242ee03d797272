"""The pictures whose features point the way of another's: cosine, over all of them."""

import numpy as np


class Nearest:
    """Features of many pictures, to be searched.

    Parameters
    ----------
    features : float array [N, D]
        A row of zeros is like no picture.
    """

    def __init__(self, features):
        self.rows = _unit(np.array(features, np.float32))

    def find(self, feature, count):
        """Return the places of the nearest rows and their cosines: int [count], float32 [count]."""
        if np.shape(feature) != self.rows.shape[1:]:
            raise ValueError(f"a feature of shape {np.shape(feature)}; wanted {self.rows.shape[1:]}")
        cosines = self.rows @ _unit(np.array(feature, np.float32)[None])[0]
        places = np.argsort(-cosines, kind="stable")[:count]
        return places, cosines[places]


def _unit(rows):
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
