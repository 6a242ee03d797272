"""Other layouts of pins: a table (CSV), a folder of pictures, a manifest of posts.

The layout of the paper's own set (Mendeley Data, fsdk2zc535) is not known to us;
the column map below is where a table of any shape is fitted to pins.
"""

import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from mindpics.files.tables import read_table
from mindpics.posts.posts import picture_path, read_posts
from pinterest_id.records import KEYS, Pin, check_records

NO_AUTHOR = ("", "unknown", "anonymous")
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".webp")


def read_pins_csv(path, columns=None, delimiter=",", keep_empty_text=False):
    """Read pins from a table with a header line.

    Parameters
    ----------
    path : str or Path
        UTF-8; image paths are relative to its folder.
    columns : dict, optional
        Pin key to column name: ``{"user": "username", "text": "description"}``. Keys not named are
        looked for under their own name; without an id column the row number is the id, without a
        board column the board is None.
    delimiter : str

    Returns
    -------
    pins, rejected
        As of `pinterest_id.records.read_pins`.

    Raises
    ------
    ValueError
        When a column is not in the header (which is shown), or as `read_pins` does.
    """
    path, columns = Path(path), {**{key: key for key in KEYS}, **(columns or {})}
    if unknown := set(columns) - set(KEYS):
        raise ValueError(f"column map: {', '.join(sorted(unknown))} is no key of a pin; keys are {', '.join(KEYS)}")
    table = read_table(path, [columns[key] for key in ("user", "image", "text")], delimiter)
    records = ((where, _from_row(row, columns, number)) for number, (where, row) in enumerate(table, 1))
    return check_records(records, path.parent, keep_empty_text)


def _from_row(row, columns, number):
    record = {key: row.get(columns[key]) for key in KEYS}
    record["id"] = record["id"] or f"{number:07d}"
    record["user"] = record["user"] or ""
    return record


def read_pins_folder(root, keep_empty_text=False):
    """Read ROOT/USER/[BOARD/]NAME.jpg with its text in NAME.txt beside it.

    A picture without a text file is a pin without text, a text without picture one without image.
    Image paths are relative to ROOT.
    """
    root = Path(root)
    records = []
    for user in sorted(path for path in root.iterdir() if path.is_dir()):
        stems = defaultdict(dict)
        for file in sorted(path for path in user.rglob("*") if path.is_file()):
            kind = "image" if file.suffix.lower() in IMAGE_ENDINGS else file.suffix.lower()
            stems[file.relative_to(root).with_suffix("")][kind] = file
        records += [
            (str(root / stem), _from_files(root, stem, files))
            for stem, files in stems.items()
            if "image" in files or ".txt" in files
        ]
    if not records:
        raise ValueError(f"{root}: no USER/NAME{'|'.join(IMAGE_ENDINGS)} found")
    return check_records(records, root, keep_empty_text)


def _from_files(root, stem, files):
    board = "/".join(stem.parts[1:-1]) or None
    image = files["image"].relative_to(root).as_posix() if "image" in files else None
    text = _text(root, files[".txt"].relative_to(root).as_posix()) if ".txt" in files else ""
    return {"id": stem.as_posix(), "user": stem.parts[0], "board": board, "image": image, "text": text}


def _text(root, name):
    try:
        return picture_path(root, name, str(root)).read_text(encoding="utf-8")  # a link may leave the root
    except UnicodeDecodeError as error:
        raise ValueError(f"{root / name}: not UTF-8 (byte {error.start + 1})") from None


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
        raise ValueError(f"{path}: {len(authors)} authors have {least} posts or more; two users or more are needed")
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
    own = re.compile(r"\b(?:" + "|".join(map(re.escape, re.findall(r"\w+", author))) + r")\b", re.IGNORECASE)
    return " ".join(own.sub(" ", text).split())
