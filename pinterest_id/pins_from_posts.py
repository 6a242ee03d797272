"""Pins of a manifest of posts, its authors being the users."""

import unicodedata
from collections import defaultdict
from pathlib import Path

import numpy as np

from mindpics.files.json_files import shown
from mindpics.posts.posts import is_told, read_posts
from pinterest_id.records import Rejection, check_records
from pinterest_id.words import WORD


def pins_from_posts(path, pins_per_user=(20, 40), max_users=None, words=("text",), seed=0, **keep):
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
    **keep
        keep_empty_text: as of `pinterest_id.records.read_pins`.

    Returns
    -------
    pins, rejected
        As of `pinterest_id.records.read_pins`, and the posts of nobody or of authors whose names cannot be printed;
        sorted by user, `board` is None. Words of the author's name are taken out of the texts: to find them there
        would be no identification.

    Raises
    ------
    ValueError
        When fewer than two authors have enough posts; on a key that no post has, or whose value is no text.
    """
    path, (least, most) = Path(path), pins_per_user
    posts, rejected = _by_author(path)
    rng = np.random.default_rng(seed)
    authors = sorted(author for author, works in posts.items() if len(works) >= least)
    if len(authors) < 2:
        raise ValueError(f"{path}: found {len(authors)} authors of {least} posts or more; wanted two or more")
    if max_users and len(authors) > max_users:
        authors = sorted(rng.choice(authors, max_users, replace=False))
    drawn = [post for author in authors for post in _draw(posts[author], most, rng)]
    keys = {key for post in drawn for key in post}
    if absent := [key for key in words if key not in keys]:
        raise ValueError(f"{path}: found no post with {', '.join(absent)}; wanted keys of {shown(sorted(keys))}")
    pins, without = check_records((_record(post, words, path) for post in drawn), path.parent, **keep)
    return pins, [*rejected, *without]


def _by_author(path):
    """Return {author: posts}, and a rejection of each post of nobody, or of a name that no file of pins may have."""
    posts, rejected = defaultdict(list), []
    for post in read_posts(path):
        author = post["author"].strip()
        if not author.isprintable():
            rejected.append(Rejection(post["id"], _where(path, post), "author not printable"))
        elif not is_told(author):
            rejected.append(Rejection(post["id"], _where(path, post), "author unknown"))
        else:
            posts[author].append(post)
    return posts, rejected


def _draw(posts, most, rng):
    if len(posts) <= most:
        return posts
    return [posts[i] for i in sorted(rng.choice(len(posts), most, replace=False))]


def _where(path, post):
    return f"{path}, post {post['id']!r}"


def _record(post, words, path):
    """Return where a post stands and its pin, as `check_records` takes them."""
    where, author = _where(path, post), post["author"].strip()
    text = " ".join(_text(post, key, where) for key in words)
    pin = {"id": post["id"], "user": author, "board": None, "image": post["image"], "text": _without(author, text)}
    return where, pin


def _text(post, key, where):
    value = post.get(key)
    parts = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise ValueError(f"{where}: found {key} {shown(value)}; wanted a text or a list of texts")
    return " ".join(parts)


def _without(author, text):
    """Words end at "_" too, and are compared as `pinterest_id.words.clean_words` would have them."""
    names = {_plain(word) for word in WORD.findall(author)}
    text = WORD.sub(lambda word: " " if _plain(word.group()) in names else word.group(), text)
    return " ".join(text.split())


def _plain(word):
    return unicodedata.normalize("NFKC", word).casefold()
