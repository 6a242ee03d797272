"""Generated posts of a crawl, for benchmarks: seeded, of the shape of real ones, fast to make."""

import json

import numpy as np

from mindpics.files.atomic import atomic_write
from mindpics.jobs.bars import bar_of
from mindpics.posts.words import SLOTS

SYLLABLES = ["ba", "ko", "ri", "ta", "mel", "son", "ver", "li", "no", "pra", "den", "mo", "shi", "ur", "el", "qua"]
# what is almost a word of Table 1, and what is not ASCII
OTHERS = ["moonlight", "partying", "it's", "friendship", "café", "über", "東京", "😀", "❤", "#love", "@someone"]
IN_TEXT, IN_TAGS = 0.08, 0.03  # share of texts, and of lists of tags, with a word of Table 1
TEXTS, TAGS, AUTHORS, BLOCK = 50_000, 10_000, 50_000, 100_000


def write_posts(path, count, seed=0):
    """Write `count` posts as JSON lines, about 200 bytes each; one in ten carries a word of Table 1.

    There are 50,000 different texts and 10,000 lists of tags, whose words are frequent as Zipf says.

    Parameters
    ----------
    path : Path
    count : int
    seed : int
    """
    rng = np.random.default_rng(seed)
    words = ["".join(rng.choice(SYLLABLES, size)) for size in rng.integers(1, 4, 3000)]
    words[50 : 50 + len(OTHERS)] = OTHERS
    texts = [json.dumps(" ".join(picks), ensure_ascii=False) for picks in _choose(rng, words, TEXTS, (4, 12), IN_TEXT)]
    tags = [json.dumps(chosen, ensure_ascii=False) for chosen in _choose(rng, words, TAGS, (0, 5), IN_TAGS)]
    with atomic_write(path) as stream, bar_of(total=count, desc=path.name, unit="post") as bar:
        for first in range(0, count, BLOCK):
            ids = range(first, min(first + BLOCK, count))
            picks = (rng.integers(0, n, len(ids)).tolist() for n in (TEXTS, TAGS, AUTHORS))
            stream.writelines(
                f'{{"id": "{i}", "image": "images/{i}.jpg", "author": "user{author}", "text": {texts[text]}, '
                f'"tags": {tags[tag]}, "source": "generated", "license": "none", "likes": {i % 997}}}\n'
                for i, text, tag, author in zip(ids, *picks, strict=True)
            )
            bar.update(len(ids))


def _choose(rng, words, count, lengths, share):
    """Return lists of words, a share of them with one of Table 1 among them."""
    weights = 1 / np.arange(1, len(words) + 1)
    sizes = rng.integers(*lengths, count)
    drawn = iter(rng.choice(words, sizes.sum(), p=weights / weights.sum()).tolist())
    lists = [[next(drawn) for _ in range(size)] for size in sizes]
    carried = iter(rng.choice(list(SLOTS), count).tolist())
    for chosen in lists:
        if chosen and rng.random() < share:
            chosen[rng.integers(len(chosen))] = next(carried)
    return lists
