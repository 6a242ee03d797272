"""Rows of a crawl's block: what Arrow parsed of it, and the way to each post."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mindpics.posts.posts import REQUIRED

TYPES = {str: pa.string(), list: pa.list_(pa.string())}
SCHEMA = pa.schema([(key, TYPES[kind]) for key, kind in REQUIRED.items()])


@dataclass(frozen=True)
class Rows:
    """The posts of a block.

    Attributes
    ----------
    tables : list of (first, pyarrow.Table)
        Posts that Arrow parsed, from row `first` on: the columns of SCHEMA, nulls where a key is missing.
    vouched : ndarray, bool, [N]
        Rows of `tables` that Python would parse to the same.
    positions : ndarray, int64, [N]
        Where a post is to be found again.
    numbers : ndarray, int64, [N]
        Lines from the block's first, counted from 0.
    n_lines : int
        Of the block, empty ones included.
    post : function of (row, where)
        Returns the post as a dict; ValueError when it is none.
    """

    tables: list
    vouched: np.ndarray
    positions: np.ndarray
    numbers: np.ndarray
    n_lines: int
    post: object
