"""Candidates: posts of a crawl that carry a word of Table 1, found without holding the crawl.

Arrow reads blocks of the manifest in child processes, and a regular expression
that every such post meets leaves few to look at one by one. The answer is that
of `mindpics.posts.posts.read_posts` with `mindpics.posts.words.carried_words` on each post.
"""

import random
from collections import Counter
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from mindpics.files.json_files import HalfPair
from mindpics.jobs.bars import bar_of
from mindpics.jobs.parallel import run_each
from mindpics.posts.columns import hash_text, hash_texts, in_order, may_carry
from mindpics.posts.crawl_files import BLOCK, open_crawl
from mindpics.posts.crawl_rows import join, left_out, post_at, refuse_repeated_ids
from mindpics.posts.words import SLOTS, carried_words

TIMEOUT = 600  # seconds a block may take; it takes one


@dataclass(frozen=True)
class Candidates:
    """The posts that carry a word, by columns: a crawl may hold millions.

    Attributes
    ----------
    n_read : int
        Posts in the manifest.
    draws : ndarray, float64, [N]
        A number in [0, 1) that the seed and the post's id decide.
    positions : ndarray, int64, [N]
        Where `posts` finds them.
    kinds : ndarray, int32, [N]
        What words each carries: an index of `words`.
    words : list of tuple of str
    posts : function of positions -> list of dict
    root : Path
        The folder that their images are relative to.
    left_out : list of dict
        Posts with half a surrogate pair, each with its "reason"; not among the `n_read`.
    """

    n_read: int
    draws: np.ndarray
    positions: np.ndarray
    kinds: np.ndarray
    words: list
    posts: object
    root: Path
    left_out: list

    def __len__(self):
        return len(self.draws)

    @cached_property
    def slots(self):
        """The (word, trait, pole)s that each of `words` could fill: list of tuple."""
        return [tuple(slot for word in words for slot in SLOTS[word]) for words in self.words]

    @property
    def several(self):
        """How many could fill more than one slot."""
        return sum(n for slots, n in zip(self.slots, self._counts(), strict=True) if len(slots) > 1)

    @property
    def carriers(self):
        """Counter of posts that carry a slot's word."""
        carriers = Counter()
        for slots, n in zip(self.slots, self._counts(), strict=True):
            carriers.update(dict.fromkeys(slots, n))
        return carriers

    def _counts(self):
        return np.bincount(self.kinds, minlength=len(self.words)).tolist()


@dataclass(frozen=True)
class Scanned:
    """What a block holds: hashes of all ids, and its candidates by columns, as in `Candidates`.

    `broken` is the row of the first post that is none; what follows it is left out. `halves` has, by row, what is
    said by posts with half a surrogate pair.
    """

    hashes: np.ndarray
    draws: np.ndarray
    positions: np.ndarray
    kinds: np.ndarray
    words: list
    n_lines: int
    broken: int | None
    halves: dict


def find_candidates(manifest, seed=0, workers=None, block=BLOCK, tags_only=False):
    """Return the posts of a manifest that carry a word of Table 1 as a tag or in their text.

    Parameters
    ----------
    manifest : str or Path
        posts.jsonl, compressed or not, or a .parquet with the same keys as columns, or a folder of them. A link that
        leaves the folder is not looked for here: who opens a picture does.
    seed : int
        Of the draws.
    workers : int, optional
        Processes; default one a core.
    block : int
        Bytes of JSON lines read at a time.
    tags_only : bool
        A word counts as a tag or a hashtag alone.

    Returns
    -------
    Candidates
        In the order of the manifest.

    Raises
    ------
    ValueError
        Names the file, the line (of Parquet: the row), what was found and what was wanted.
    """
    crawl = open_crawl(manifest, block)
    blocks = crawl.blocks()
    scan, scans = partial(_scan, crawl, seed, tags_only), []
    with bar_of(total=sum(map(crawl.size, blocks)), desc="posts", unit=crawl.measure, unit_scale=True) as bar:
        for part, scanned in zip(blocks, _scan_all(scan, crawl.path, blocks, workers), strict=False):
            scans.append(scanned)
            bar.update(crawl.size(part))
            if scanned.broken is not None:
                break
    refuse_repeated_ids(crawl, blocks, scans)
    if scans and scans[-1].broken is not None:
        post_at(crawl, blocks, scans, len(scans) - 1, scans[-1].broken)  # raises
    return _gather(crawl, blocks, scans)


def _scan_all(scan, path, blocks, workers):
    if len(blocks) == 1 or workers == 1:
        yield from map(scan, blocks)
        return
    for block, scanned, reason in run_each(scan, blocks, workers, TIMEOUT):
        if reason:
            raise ValueError(f"{path}, block {block}: found what cannot be read ({reason}); wanted posts")
        yield scanned


def _scan(crawl, seed, tags_only, block):
    """Return the `Scanned` of a block: runs in a child process."""
    rows = crawl.read(block)
    hashes, judged, carriers = np.zeros(len(rows.positions), np.uint64), ~rows.vouched, []
    for first, table in rows.tables:
        here = slice(first, first + len(table))
        judged[here] |= ~in_order(table)
        hashes[here] = hash_texts(table["id"].combine_chunks())
        carriers += _carriers(table, first, ~judged[here] & may_carry(table), tags_only)
    broken, halves = None, {}
    for row in np.flatnonzero(judged).tolist():
        try:
            post = rows.post(row, "")
        except HalfPair as half:
            halves[row] = half.record
            continue
        except ValueError:  # told once its line number is known
            broken = row
            break
        hashes[row] = hash_text(post["id"])
        carriers.append((row, post["id"], carried_words(post["text"], post["tags"], tags_only)))
    carriers = sorted(f for f in carriers if f[2] and (broken is None or f[0] < broken))
    kinds = {}
    return Scanned(
        hashes=hashes[:broken],
        draws=np.array([draw(seed, post_id) for _, post_id, _ in carriers], np.float64),
        positions=rows.positions[[row for row, _, _ in carriers]],
        kinds=np.array([kinds.setdefault(words, len(kinds)) for _, _, words in carriers], np.int32),
        words=list(kinds),
        n_lines=rows.n_lines,
        broken=broken,
        halves=halves,
    )


def _carriers(table, first, likely, tags_only):
    """Return (row, id, carried words) of the likely posts of a table that begins at row `first`."""
    likely = np.flatnonzero(likely)
    columns = [table[key].take(pa.array(likely)).to_pylist() for key in ("id", "text", "tags")]
    return [
        (row, post_id, carried_words(text, tags, tags_only))
        for row, post_id, text, tags in zip((first + likely).tolist(), *columns, strict=True)
    ]


def draw(seed, post_id):
    """Return a number in [0, 1) that a seed and an id decide."""
    return random.Random(f"{seed} {post_id}").random()


def _gather(crawl, blocks, scans):
    codes = {}
    translate = [np.array([codes.setdefault(words, len(codes)) for words in s.words], np.int32) for s in scans]
    return Candidates(
        n_read=sum(len(scan.hashes) - len(scan.halves) for scan in scans),
        draws=join((scan.draws for scan in scans), np.float64),
        positions=join((scan.positions for scan in scans), np.int64),
        kinds=join((code[scan.kinds] for code, scan in zip(translate, scans, strict=True)), np.int32),
        words=list(codes),
        posts=crawl.posts,
        root=crawl.root,
        left_out=left_out(crawl, blocks, scans),
    )
