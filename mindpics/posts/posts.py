"""Manifest of a crawl: posts.jsonl, one post a line, beside its pictures."""

import os
import sys
from functools import partial
from pathlib import Path, PurePosixPath

from mindpics.files.json_files import parse_object, read_objects, shown

REQUIRED = {"id": str, "image": str, "author": str, "text": str, "tags": list, "source": str, "license": str}
parse_post = partial(parse_object, keys=REQUIRED)  # what it must hold, check_post knows
MAX_ID_BYTES = 200  # an id becomes a file name and part of an LMDB key
NOBODY = ("", "unknown", "anonymous")  # authors of crawls that have none, or were made anonymous


def read_posts(manifest):
    """Yield the posts of a manifest, checked, in file order.

    Only the ids are kept in memory, so a manifest may be larger than it.

    Parameters
    ----------
    manifest : str or Path
        UTF-8, one JSON object a line, with the keys id, image (a path relative
        to the manifest's folder), author, text, tags (list of str), source and
        license; compressed or not. Further keys are kept. Empty lines are passed over; so are posts with half a
        surrogate pair, whose number is told on the standard error.

    Yields
    ------
    dict

    Raises
    ------
    ValueError
        Names the file, the line, what was found and what was wanted.
    """
    manifest = Path(manifest)
    if manifest.is_dir() or manifest.suffix == ".parquet":
        raise ValueError(f"{manifest}: found Parquet, which selections alone are made of; wanted a line a post (JSON)")
    root = picture_root(manifest).resolve()
    first_line, left_out = {}, []
    for where, post in read_objects(manifest, "a manifest, one JSON object a line", REQUIRED, left_out):
        check_post(post, root, where)
        picture_path(root, post["image"], where)
        number = int(where.rpartition(" ")[2])
        if post["id"] in first_line:
            raise ValueError(
                f"{where}: found id {post['id']!r} of line {first_line[post['id']]} again; wanted each id once"
            )
        first_line[post["id"]] = number
        yield post
    if left_out:
        print(f"{manifest}: left out {len(left_out)} posts, the first: {left_out[0]}", file=sys.stderr)


def picture_root(manifest):
    """Return the folder that the pictures of a manifest are in: its own, or itself where it is one of Parquet files."""
    manifest = Path(manifest)
    return manifest if manifest.is_dir() else manifest.parent


def picture_path(root, image, where):
    """Return the path of a picture, which must lie inside `root`.

    Parameters
    ----------
    root : str or Path
        The folder that holds the pictures.
    image : str
        Path relative to it, with "/".
    where : str
        Begins the message of an error: "posts.jsonl, line 3".

    Raises
    ------
    ValueError
        `image` is absolute, climbs out by "..", or leaves `root` by a symlink.
    """
    root = Path(root).resolve()
    check_image(root, image, where)
    path = root / image
    try:
        inside = path.resolve().is_relative_to(root)
    except (OSError, RuntimeError) as error:  # a loop of links, a name too long
        raise ValueError(f"{where}: found image {shown(image)} ({error}); wanted a path inside {root}") from None
    if not inside:
        raise ValueError(f"{where}: found image {shown(image)}, a link that leaves {root}; wanted a path inside")
    return path


def check_image(root, image, where):
    """Raise ValueError unless `image` is written as a path inside `root`; links are not looked at.

    Parameters
    ----------
    root : Path
    image : object
        Of the manifest; a str if all is well.
    where : str
        Begins the message of an error: "posts.jsonl, line 3".
    """
    if not isinstance(image, str):
        raise ValueError(f"{where}: found image {shown(image)}; wanted a path")
    relative = PurePosixPath(image)
    if any("\ud800" <= character <= "\udfff" for character in image):
        raise ValueError(f"{where}: found half a surrogate pair in image {shown(image)}; wanted whole characters")
    if not image or "\0" in image or relative.is_absolute() or ".." in relative.parts:
        raise ValueError(
            f"{where}: found image {shown(image)}; wanted a path inside {root}, with no leading / and no .."
        )


def check_post(post, root, where):
    """Raise ValueError unless a post has its keys and types, an id and an image written inside `root`.

    Parameters
    ----------
    post : dict
    root : Path
        Folder of the pictures.
    where : str
        Begins the message of an error: "posts.jsonl, line 3".
    """
    for key, kind in REQUIRED.items():
        if key not in post:
            raise ValueError(f"{where}: found no {key!r} in {shown(sorted(post))}; wanted {list(REQUIRED)}")
        if not isinstance(post[key], kind):
            raise ValueError(f"{where}: found {shown(post[key])} as {key!r}; wanted a {kind.__name__}")
    if not all(isinstance(tag, str) for tag in post["tags"]):
        raise ValueError(f"{where}: found {shown(post['tags'])} as 'tags'; wanted a list of str")
    check_id(post["id"], where)
    check_image(root, post["image"], where)


def is_told(value):
    """Say whether a value of a post, such as its author, names anything: posts of nobody have no author in common."""
    return value is not None and not (isinstance(value, str) and value.strip().lower() in NOBODY)


def check_id(post_id, where):
    """Raise ValueError unless `post_id` fits an LMDB key and a line of an ids.txt."""
    if not isinstance(post_id, str) or not post_id or not post_id.isprintable() or len(post_id.encode()) > MAX_ID_BYTES:
        raise ValueError(f"{where}: found id {shown(post_id)}; wanted 1 to {MAX_ID_BYTES} bytes of printable text")


def files_below(folder):
    """Return the paths of the files below a folder, sorted.

    Raises
    ------
    ValueError
        For a link to a folder: what lies behind it would be left out.
    OSError
        For a folder that may not be read.
    """
    files = []
    for path, folders, names in os.walk(folder, onerror=_refuse):
        links = [name for name in folders if os.path.islink(os.path.join(path, name))]
        if links:
            raise ValueError(f"{path}: found the link {links[0]!r} to a folder; wanted folders and files alone")
        files += (Path(path, name) for name in names)
    return sorted(file for file in files if os.path.isfile(file))


def _refuse(error):
    raise error
