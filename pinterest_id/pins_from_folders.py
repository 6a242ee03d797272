"""Pins of folders: ROOT/USER/[BOARD/]NAME.jpg, its text beside it, in a tree of its own, or in a file a user."""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from mindpics.posts.posts import picture_path
from pinterest_id.encodings import UTF8, read_text
from pinterest_id.records import Rejection, check_records

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff")
# What Windows, macOS and file servers put among people's files; names with a leading dot are hidden.
SYSTEM = ("__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "thumbs.db", "desktop.ini")


@dataclass
class Tree:
    """The visible files of a folder: {user: [paths relative to `root`]}, and how many others were passed over."""

    root: Path
    users: dict = field(default_factory=lambda: defaultdict(list))
    outside: list = field(default_factory=list)
    passed: Counter = field(default_factory=Counter)


def read_pins_folder(root, texts=None, encoding=UTF8, **keep):
    """Read ROOT/USER/[BOARD/]NAME.jpg and its text.

    A text is NAME.txt beside the picture, or at the same place in `texts`; or USER.txt holds a user's, a line
    for each picture: ``NAME<tab>text`` in each line, or as many lines as pictures, in the order of their names
    (numbers as numbers). Pictures that differ in their endings only are two pins, named with their endings.

    Parameters
    ----------
    root : str or Path
        Image paths are relative to it.
    texts : str or Path, optional
        Where the texts are; `root` itself by default.
    encoding : str
        Of the texts.
    **keep
        keep_empty_text, keep_no_image: as of `pinterest_id.records.read_pins`.

    Returns
    -------
    pins, rejected
        As of `pinterest_id.records.read_pins`; a picture that is in no user's folder, and a text without
        picture, are rejected.
    passed : Counter
        Files and folders that were passed over: "hidden or system", "links to folders", "other files".

    Raises
    ------
    ValueError
        When there is no picture, a text is not of the encoding, or a USER.txt does not fit the pictures.
    """
    pictures = _walk(Path(root))
    written = pictures if texts is None else _walk(Path(texts))
    passed = pictures.passed if written is pictures else pictures.passed + written.passed
    lines = {path.stem: path for path in written.outside if path.suffix.lower() == ".txt"}
    records, used = [], set()
    for user in sorted({*pictures.users, *written.users}):
        images = [path for path in pictures.users.get(user, ()) if path.suffix.lower() in IMAGE_ENDINGS]
        beside = {path.with_suffix(""): path for path in written.users.get(user, ()) if path.suffix.lower() == ".txt"}
        if user in lines and images:
            beside |= _of_lines(written.root, lines[user], images, beside, encoding)
            used.add(lines[user])
        passed["other files"] += _count_others(pictures, written, user)
        records += _records(user, images, beside, written.root, encoding)
    if not any(record["image"] for _, record in records):
        raise ValueError(f"{root}: found no USER/NAME{'|'.join(IMAGE_ENDINGS)}; wanted a folder for each user")
    pins, rejected = check_records(records, pictures.root, **keep)
    unused = [
        path for tree in {id(t): t for t in (pictures, written)}.values() for path in tree.outside if path not in used
    ]
    loose = [path for path in unused if path.suffix.lower() in IMAGE_ENDINGS]
    passed["other files"] += len(unused) - len(loose)
    rejected += [Rejection(str(path), str(pictures.root), "in no user's folder") for path in loose]
    return pins, rejected, +passed


def _walk(root):
    if not root.is_dir():
        raise ValueError(f"{root}: found no such folder; wanted a folder for each user")
    tree = Tree(root)
    waiting = [root]
    while waiting:
        for path in sorted(waiting.pop().iterdir()):
            if path.name.startswith(".") or path.name.lower() in SYSTEM:
                tree.passed["hidden or system"] += 1
            elif path.is_dir() and path.is_symlink():  # it may lead anywhere, in a circle too
                tree.passed["links to folders"] += 1
            elif path.is_dir():
                waiting.append(path)
            elif path.parent == root:
                tree.outside.append(path.relative_to(root))
            else:
                tree.users[path.relative_to(root).parts[0]].append(path.relative_to(root))
    return tree


def _count_others(pictures, written, user):
    trees = {id(tree): tree for tree in (pictures, written)}.values()
    files = [path for tree in trees for path in tree.users.get(user, ())]
    return sum(path.suffix.lower() not in (*IMAGE_ENDINGS, ".txt") for path in files)


def _records(user, images, beside, root, encoding):
    """Yield (where, record) of a user's pictures and of texts without one."""
    stems = Counter(path.with_suffix("") for path in images)
    records = [
        (
            path if stems[path.with_suffix("")] > 1 else path.with_suffix(""),
            path.as_posix(),
            beside.get(path.with_suffix("")),
        )
        for path in images
    ]
    records += [(stem, None, text) for stem, text in beside.items() if stem not in stems]
    for name, image, text in sorted(records, key=lambda record: record[0]):
        board = "/".join(name.parts[1:-1]) or None
        yield (
            str(name),
            {"id": name.as_posix(), "user": user, "board": board, "image": image, "text": _text(root, text, encoding)},
        )


def _text(root, source, encoding):
    """A text that a user's file gave, or that of a file; "" without."""
    if source is None or isinstance(source, str):
        return source or ""
    return read_text(picture_path(root, source.as_posix(), str(root)), encoding)  # a link may leave the root


def _of_lines(root, path, pictures, beside, encoding):
    """Return {picture without ending: its text} of a user's file."""
    if beside:
        raise ValueError(f"{root / path}: found texts here and in {next(iter(beside.values()))}; wanted one of the two")
    lines = _text(root, path, encoding).replace("\r\n", "\n").removesuffix("\n").split("\n")
    stems = sorted({picture.with_suffix("") for picture in pictures}, key=lambda stem: _natural(str(stem)))
    if all("\t" in line for line in lines if line.strip()):
        return _named(root / path, lines, stems)
    while len(lines) > len(stems) and not lines[-1].strip():
        lines.pop()
    if len(lines) != len(stems):
        raise ValueError(
            f"{root / path}: found {len(lines)} lines for {len(stems)} pictures; wanted one for each, "
            "or NAME<tab>text in each"
        )
    return dict(zip(stems, lines, strict=True))


def _named(path, lines, stems):
    levels, texts = [_by_name(stems, start) for start in (0, 1, -1)], {}  # USER/BOARD/NAME, BOARD/NAME, NAME
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, _, text = line.partition("\t")
        name = name.strip()
        spelt = (name, re.sub(r"\.\w+$", "", name))
        stem, *more_stems = next((level[each] for each in spelt for level in levels if each in level), [None])
        if more_stems:
            fitting = " and ".join(map(str, (stem, *more_stems)))
            raise ValueError(f"{path}, line {number}: found {name!r}, which fits {fitting}; wanted BOARD/NAME")
        if stem is None or stem in texts:
            problem = "again" if stem in texts else "which is no picture of the user"
            raise ValueError(f"{path}, line {number}: found {name!r}, {problem}; wanted each picture once")
        texts[stem] = text.strip()
    return texts


def _by_name(stems, start):
    """Return {what a path is from one of its parts on: [stems]}."""
    named = defaultdict(list)
    for stem in stems:
        named["/".join(stem.parts[start:])].append(stem)
    return named


def _natural(name):
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
