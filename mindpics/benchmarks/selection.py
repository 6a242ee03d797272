"""Benchmark of a selection: the scan of a crawl beside json.loads, pandas, DuckDB; near copies beside comparing all."""

import importlib.util
import json
import os
import re
from pathlib import Path

import numpy as np

from mindpics.benchmarks import timing
from mindpics.datasets.generated_posts import write_posts
from mindpics.posts.candidates import find_candidates
from mindpics.posts.near_copies import BITS, DISTANCE, group_copies
from mindpics.posts.words import SLOTS, carried_words
from mindpics.published import published

WANTED = {"seconds": 60, "peak_mb": 1000, "posts": 10_000_000}
WORDS = rf"\b(?:{'|'.join(map(re.escape, SLOTS))})\b"
PARTS = (27, 9, 3)  # of the posts, on which ours is run as well
OURS = "ours"
COPIES = (0.1, 15)  # share of generated pictures that are near copies, and the bits in which they differ at most
PAPER = published()["dataset"]["images"]
ALL = 20_000  # pictures that are compared one with all, which takes the square of the time


def run(folder, posts=10_000_000, repeats=3, peer_posts=1_000_000, pictures=1_000_000, seed=0):
    """Generate posts and hashes; scan and group them by ours and by the peers; return a JSON-able dict.

    Parameters
    ----------
    folder : path
        For the posts, 200 bytes each, and the plot.
    posts : int
        Ours is run on as many, and on three smaller crawls.
    repeats : int
        Runs of each contestant.
    peer_posts : int
        What the peers are run on, and ours beside them: they take minutes for ten million.
    pictures : int
        Whose near copies are looked for, and those of the paper's 121,000.
    seed : int
    """
    folder = Path(folder)
    files = {n: folder / f"posts_{n}_{seed}.jsonl" for n in _sizes(posts) | {peer_posts}}
    for n, path in files.items():
        if not path.is_file():
            write_posts(path, n, seed)
    facts = timing.machine(folder)
    peers = {OURS: _ours, "loop over json.loads": _loop, "pandas": _pandas, "DuckDB": _duckdb}
    absent = [name for name in ("pandas", "DuckDB") if importlib.util.find_spec(name.lower()) is None]
    side_by_side = timing.alternate(
        {name: (function, (files[peer_posts],)) for name, function in peers.items() if name not in absent}, repeats
    )
    ours = timing.alternate({str(n): (_ours, (files[n],)) for n in sorted(_sizes(posts))}, repeats)
    hashes = {n: folder / f"hashes_{n}_{seed}.npy" for n in sorted({ALL, PAPER, pictures})}
    for n, path in hashes.items():
        if not path.is_file():
            np.save(path, _hashes(n, seed))
    copies = timing.alternate({str(n): (_copies, (path,)) for n, path in hashes.items()}, repeats)
    compared = timing.alternate({"comparing all": (_compare_all, (hashes[ALL],))}, repeats)
    costs = [timing.cost("selection", _by_size(ours), [runs["median_s"] for runs in ours.values()])]
    timing.plot_costs(folder / "selection_cost", costs, "posts")
    return {
        "machine": facts,
        "posts": posts,
        "bytes": files[posts].stat().st_size,
        "peer_posts": peer_posts,
        "peers": side_by_side,
        "not_installed": absent,
        "ours": ours,
        "pictures": pictures,
        "near_copies": copies | compared,
        "costs": costs,
    }


def add_suite(suites):
    """Add this suite to tools/benchmark."""
    suite = suites.add_parser(
        "selection", help="scan of a crawl, near copies; peers: json.loads in a loop, pandas, DuckDB"
    )
    suite.add_argument("--posts", type=int, default=WANTED["posts"], help="default %(default)s")
    suite.add_argument("--peer-posts", type=int, default=1_000_000, help="that the peers are run on")
    suite.add_argument("--pictures", type=int, default=1_000_000, help="whose near copies are looked for")
    suite.add_argument("--repeats", type=int, default=3)
    suite.set_defaults(
        run=lambda args: run(
            args.folder / "selection", args.posts, args.repeats, args.peer_posts, args.pictures, args.seed
        ),
        format=format_result,
    )


def format_result(result):
    """Return the result as lines: each figure beside what is wanted."""
    largest = result["ours"][str(result["posts"])]
    rate = result["bytes"] / largest["median_s"] / 1e9
    return "\n".join(
        [
            timing.format_machine(result["machine"]),
            f"{result['peer_posts']:,} generated posts:",
            *timing.format_runs(result["peers"], OURS),
            *(f"{name}: not installed" for name in result["not_installed"]),
            f"ours, by number of posts (wanted: {WANTED['posts']:,} in {WANTED['seconds']} s, {WANTED['peak_mb']} MB):",
            *timing.format_runs(result["ours"], str(result["posts"])),
            f"{rate:.3f} GB/s, {rate / result['machine']['disk_read_gb_s']:.0%} of what the disk reads",
            *timing.format_costs(result["costs"]),
            f"near copies, by number of pictures; all of {ALL:,} compared with all:",
            *timing.format_runs(result["near_copies"], str(result["pictures"])),
        ]
    )


def _sizes(posts):
    return {posts, *(posts // part for part in PARTS)}


def _by_size(runs):
    return [int(n) for n in runs]


def _ours(path):
    candidates = find_candidates(path)
    return {"posts": candidates.n_read, "carry_a_word": len(candidates)}


def _loop(path):
    n = carried = 0
    with open(path, encoding="utf-8") as stream:
        for line in stream:
            post = json.loads(line)
            n += 1
            carried += bool(carried_words(post["text"], post["tags"]))
    return {"posts": n, "carry_a_word": carried}


def _pandas(path):
    import pandas

    n = carried = 0
    for part in pandas.read_json(path, lines=True, chunksize=100_000, dtype=False):
        n += len(part)
        text = part["text"] + " " + part["tags"].str.join(" ")
        carried += int(text.str.contains(WORDS, flags=re.IGNORECASE).sum())
    return {"posts": n, "carry_a_word": carried}


def _duckdb(path):
    import duckdb

    columns = "{id: 'VARCHAR', text: 'VARCHAR', tags: 'VARCHAR[]'}"
    query = f"""
        SELECT count(*), count(*) FILTER (regexp_matches(text || ' ' || array_to_string(tags, ' '), ?, 'i'))
        FROM read_json(?, format = 'newline_delimited', columns = {columns})"""
    with duckdb.connect(config={"threads": os.cpu_count()}) as connection:
        n, carried = connection.execute(query, [WORDS, str(path)]).fetchone()
    return {"posts": n, "carry_a_word": carried}


def _hashes(count, seed):
    """Return generated hashes, uint8 [N, 32], of which a share are near copies of others."""
    generator = np.random.default_rng(seed)
    hashes = generator.integers(0, 256, (count, BITS // 8), np.uint8)
    share, most = COPIES
    places, sources = generator.integers(0, count, (2, int(share * count)))
    for place, source in zip(places, sources, strict=True):
        turned = np.zeros(BITS, np.uint8)
        turned[generator.choice(BITS, generator.integers(0, most + 1), replace=False)] = 1
        hashes[place] = hashes[source] ^ np.packbits(turned)
    return hashes


def _copies(path):
    return {"groups": len(np.unique(group_copies(np.load(path))))}


def _compare_all(path):
    words, pairs = np.load(path).view(np.uint64), 0
    for place, word in enumerate(words):
        pairs += int((np.bitwise_count(words[place + 1 :] ^ word).sum(axis=1) <= DISTANCE).sum())
    return {"pairs": pairs}
