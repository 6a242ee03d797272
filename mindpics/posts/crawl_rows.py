"""Rows of a crawl's block: what Arrow parsed of it, and the way to each post."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mindpics.files.json_files import LEFT_OUT
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


def refuse_repeated_ids(crawl, blocks, scans):
    """Raise ValueError at the first post whose id an earlier one has.

    Parameters
    ----------
    crawl : JsonLines or Parquet
    blocks : list
    scans : list of mindpics.posts.candidates.Scanned
        One a block, or fewer.
    """
    hashes = join((np.delete(scan.hashes, list(scan.halves)) for scan in scans), np.uint64)
    ordered = np.sort(hashes)
    if not np.any(ordered[1:] == ordered[:-1]):
        return
    order = np.argsort(hashes, kind="stable")
    again = np.sort(order[1:][hashes[order[1:]] == hashes[order[:-1]]])
    firsts = np.cumsum([0, *(len(scan.hashes) for scan in scans)])
    halves = [first + row for first, scan in zip(firsts, scans, strict=False) for row in scan.halves]
    rows = np.delete(np.arange(firsts[-1]), halves)

    def locate(index):
        row = rows[index]
        part = int(np.searchsorted(firsts, row, side="right")) - 1
        return post_at(crawl, blocks, scans, part, int(row - firsts[part]))

    for second in again:  # two ids may share a hash: the ids decide
        post, number = locate(second)
        for first in np.flatnonzero(hashes[:second] == hashes[second]):
            first_post, first_number = locate(first)
            if post["id"] == first_post["id"]:
                raise ValueError(
                    f"{crawl.where(number)}: found id {post['id']!r} "
                    f"of {crawl.where(first_number).removeprefix(f'{crawl.path}, ')} again; wanted each id once"
                )


def post_at(crawl, blocks, scans, part, row):
    """Return a post and its line number; ValueError when the post is none.

    Parameters
    ----------
    crawl, blocks, scans
        See `refuse_repeated_ids`.
    part, row : int
        The block, and the post's row in it.
    """
    rows = crawl.read(blocks[part])
    number = _number(rows, scans, part, row)
    return rows.post(row, crawl.where(number)), number


def _number(rows, scans, part, row):
    return 1 + sum(scan.n_lines for scan in scans[:part]) + int(rows.numbers[row])


def left_out(crawl, blocks, scans):
    """Return the posts with half a surrogate pair as they are listed: with U+FFFD for it, and the reason.

    Parameters
    ----------
    crawl, blocks, scans
        See `refuse_repeated_ids`.
    """
    listed = []
    for part, scan in enumerate(scans):
        rows = crawl.read(blocks[part]) if scan.halves else None
        for row, record in scan.halves.items():
            where = crawl.where(_number(rows, scans, part, row))
            listed.append({"id": None, **record, "reason": f"{where}: {LEFT_OUT}"})
    return listed


def join(parts, dtype):
    return np.concatenate([np.empty(0, dtype), *parts])
