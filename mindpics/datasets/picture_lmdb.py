"""LMDB of Datum, keyed and shuffled, from labelled pictures."""

import functools
import hashlib
import json
import math
import os
from pathlib import Path

import numpy as np

from mindpics.caffe_files.datum import wrap
from mindpics.caffe_files.lmdb_writer import LMDB, LmdbWriter, write_rejected
from mindpics.files import own_folder
from mindpics.files.json_files import shown
from mindpics.files.tables import read_table
from mindpics.jobs.bars import bar_of
from mindpics.jobs.parallel import AT_ONCE, run_each
from mindpics.posts import crops
from mindpics.posts.picture_files import read_packed
from mindpics.posts.posts import check_id, picture_path

COLUMNS = ("id", "image", "label", "split")


def read_rows(path, split, root=None, trait=None):
    """Read the rows of one split of a CSV with the columns id, image, label, split.

    Parameters
    ----------
    path : str or Path
    split : str
        "train" or "test".
    root : str or Path, optional
        Folder that `image` is relative to; default that of the CSV.
    trait : str, optional
        Only rows of this trait ("O".."N"): what an independent net learns from.

    Returns
    -------
    list of (id, Path, label)

    Raises
    ------
    ValueError
        Names the file, the line, what was found and what was wanted.
    """
    root = Path(root or Path(path).parent).resolve()
    rows, ids = [], set()
    for where, row in read_table(path, COLUMNS):
        if row["split"] not in ("train", "test"):
            raise ValueError(f"{where}: found split {shown(row['split'])}; wanted train or test")
        if not row["label"].isdecimal() or len(row["label"]) > 9:  # a Datum's label is an int32
            raise ValueError(
                f"{where}: found label {shown(row['label'])}; wanted a whole number from 0, at most 9 digits"
            )
        check_id(row["id"], where)
        if row["id"] in ids:
            raise ValueError(f"{where}: found id {row['id']!r} again; wanted each id once")
        ids.add(row["id"])
        if row["split"] == split and trait in (None, row.get("trait")):
            rows.append((row["id"], picture_path(root, row["image"], where), int(row["label"])))
    if not rows:
        of_trait = f" and trait {trait}" if trait else ""
        raise ValueError(f"{path}: found no row of split {split!r}{of_trait}; wanted at least one")
    return rows


def write_lmdb(
    rows,
    out,
    size=crops.SIZE,
    encoding=None,
    seed=0,
    *,
    workers=None,
    max_pixels=crops.MAX_PIXELS,
    force=False,
    reduced=False,
    fit="warp",
    gray=False,
    run=None,
):
    """Decode, warp and store pictures in a seeded order under the keys ``%08d_<id>``.

    The LMDB appears under its name when it is complete: a killed run leaves
    ``OUT.partial``, with which the same call goes on. Pictures that cannot be
    read are listed with their reason in ``OUT.rejected.jsonl``.

    Parameters
    ----------
    rows : list of (id, Path, label)
    out : str or Path
    size : int or (int, int)
        Side of the stored pictures, or height and width.
    encoding : {None, "png", "jpg"}
        See `to_datum`.
    workers : int, optional
        Processes that decode; default one a core. Any number gives the same bytes.
    force : bool
        Replace an LMDB of that name.
    reduced : bool
        See `mindpics.posts.crops.decode`: faster, and not the pixels of convert_imageset.
    fit : {"warp", "crop"}
        What makes a picture a square, see `mindpics.posts.crops.FITS`; convert_imageset warps.
    gray : bool
        One channel, as ``convert_imageset --gray`` stores it.
    run : callable, optional
        In place of `mindpics.jobs.parallel.run_each`: of a function and a list of
        paths; yields ``(path, result, reason)`` of each, in order.

    Returns
    -------
    written, rejected : int
        Together ``len(rows)``.

    Raises
    ------
    ValueError
        `out` exists (with `force`: and is no LMDB), or none of the pictures can be read.
    """
    out = Path(out)
    own_folder.require(out, LMDB)
    if out.is_symlink():
        raise ValueError(f"{out}: found a link; wanted a name for the LMDB; remove the link yourself")
    if out.exists() and not force:
        raise ValueError(f"{out}: found a file or folder of that name; wanted a new name, or force=True")
    rows = [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]
    work = functools.partial(
        read_packed,
        size=size,
        encoding=encoding,
        max_pixels=max_pixels,
        reduced_to=max(crops.sides(size)) if reduced else None,
        fit=fit,
        gray=gray,
    )
    shape = (*crops.sides(size), 1 if gray else 3)
    run = run or functools.partial(run_each, workers=workers, at_once=AT_ONCE)
    with LmdbWriter(out, _key(rows, work), len(rows) * (math.prod(shape) + 4096) * 2 + (64 << 20)) as writer:
        rows = rows[writer.done :]
        outcomes = run(work, [path for _, path, _ in rows])
        with bar_of(total=writer.done + len(rows), initial=writer.done, desc=out.name, unit="picture") as bar:
            for (post_id, _, label), (path, data, reason) in zip(rows, outcomes, strict=True):
                if reason is None:
                    writer.put(post_id, wrap(data, shape, label, encoding).SerializeToString())
                else:
                    writer.reject({"id": post_id, "image": str(path), "label": label, "reason": reason})
                bar.update()
        if not writer.written:
            raise ValueError(
                f"found none of {writer.done} pictures readable (the first: {writer.rejected[0]}); wanted one"
            )
        write_rejected(out, writer.rejected)
        writer.finish()
    return writer.written, len(writer.rejected)


def _key(rows, work):
    """Return the hash of what decides an LMDB: the rows, the pictures as they are, and what is made of them."""
    key = hashlib.sha256(json.dumps(work.keywords).encode())
    for post_id, path, label in rows:
        stat = path.stat() if os.path.isfile(path) else None
        key.update(json.dumps([post_id, str(path), label, stat and (stat.st_size, stat.st_mtime_ns)]).encode())
    return key.hexdigest()


def to_datum(pixels, label, encoding=None):
    """Return the Datum of a picture.

    Parameters
    ----------
    pixels : ndarray, uint8, [H, W, 3], BGR, or [H, W, 1], gray
    label : int
    encoding : {None, "png", "jpg"}
        None stores raw bytes, channel first (CxHxW), as convert_imageset does;
        the others an encoded picture that Caffe decodes as it reads.

    Raises
    ------
    ValueError
        `pixels` is no picture of bytes.
    """
    return wrap(crops.pack(pixels, encoding), pixels.shape, label, encoding)
