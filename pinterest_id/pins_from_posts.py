"""Pins of a manifest of posts, its authors being the users."""

import re
from collections import defaultdict

import numpy as np

from mindpics.posts.posts import read_posts
from pinterest_id.records import Pin

NO_AUTHOR = ("", "unknown", "anonymous")


def pins_from_posts(path, pins_per_user=(20, 40), max_users=None, words=("text",), seed=0):
    """Make pins of a posts.jsonl, its authors being the users.

    Parameters
    ----------
    path : str or Path
        Objects with id, image, author, text, tags (a list).
    pins_per_user : (int, int)
        Authors with fewer posts are left out; of authors with more, so many are drawn at random.
    max_users : int, optional
        Take at most so many authors, drawn at random.
    words : sequence of str
        Keys of a post that a pin's text is made of: "text", "tags", or what else the posts have ("title").
    seed : int

    Returns
    -------
    list of Pin
        Sorted by user; `board` is None. Words of the author's name are taken out of the texts: to
        find them there would be no identification.

    Raises
    ------
    ValueError
        When fewer than two authors have enough posts.
    """
    least, most = pins_per_user
    posts = defaultdict(list)
    for post in read_posts(path):
        posts[post["author"].strip()].append(post)
    for name in [name for name in posts if name.lower() in NO_AUTHOR]:
        del posts[name]
    rng = np.random.default_rng(seed)
    authors = sorted(author for author, works in posts.items() if len(works) >= least)
    if len(authors) < 2:
        raise ValueError(f"{path}: found {len(authors)} authors of {least} posts or more; wanted two or more")
    if max_users and len(authors) > max_users:
        authors = sorted(rng.choice(authors, max_users, replace=False))
    return [_from_post(post, words) for author in authors for post in _draw(posts[author], most, rng)]


def _draw(posts, most, rng):
    if len(posts) <= most:
        return posts
    return [posts[i] for i in sorted(rng.choice(len(posts), most, replace=False))]


def _from_post(post, words):
    author = post["author"].strip()
    values = [post.get(key) or "" for key in words]
    text = " ".join(value if isinstance(value, str) else " ".join(value) for value in values)
    return Pin(post["id"], author, None, post["image"], _without(author, text))


def _without(author, text):
    name = re.compile(r"\b(?:" + "|".join(map(re.escape, re.findall(r"\w+", author))) + r")\b", re.IGNORECASE)
    return " ".join(name.sub(" ", text).split())
