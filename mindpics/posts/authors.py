"""Pictures of one author: posts that carry a name, or files of a folder."""

import difflib
from pathlib import Path

from mindpics.posts.posts import files_below, picture_path, picture_root, read_posts


def of_author(manifest, author):
    """Return ``[(id, path), ...]`` of an author's posts.

    Parameters
    ----------
    manifest : path
        posts.jsonl.
    author : str
        As it stands there, but for blanks around the name.

    Raises
    ------
    ValueError
        No post is the author's (it names the authors most like that), or a post is broken.
    """
    author, pictures, other_authors = author.strip(), [], set()
    for post in read_posts(manifest):
        if post["author"].strip() == author:
            pictures.append((post["id"], picture_path(picture_root(manifest), post["image"], post["id"])))
        else:
            other_authors.add(post["author"].strip())
    if not pictures:
        alike = difflib.get_close_matches(author, other_authors, n=3, cutoff=0.3)
        raise ValueError(
            f"{manifest}: found no post of author {author!r} among those of {len(other_authors)}; wanted one"
            + (f"; most like that name: {', '.join(map(repr, alike))}" if alike else "")
        )
    return pictures


def in_folder(folder):
    """Return ``[(path within the folder, path), ...]`` of all files below a folder, hidden ones left out.

    Raises
    ------
    ValueError
        When there is no such folder, nothing in it, or a link in it leads out.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: found no such folder; wanted a folder of pictures")
    inside = [path.relative_to(folder) for path in files_below(folder)]
    inside = [path for path in inside if not any(part.startswith(".") for part in path.parts)]
    if not inside:
        raise ValueError(f"{folder}: found no file in it; wanted a folder of pictures")
    for path in inside:
        if not (folder / path).resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{folder}: found a link that leaves it, {str(path)!r}; wanted pictures inside")
    # A name that is not UTF-8 could be written neither to JSON nor to a page.
    return [(str(path).encode(errors="backslashreplace").decode(), folder / path) for path in inside]
