"""Verification of LMDBs against their csv, of the mean against both, and of pictures on both sides."""

import hashlib
import re
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from mindpics.caffe_files.datum import to_pixels
from mindpics.caffe_files.lmdbs import count_lmdb, read_lmdb, read_mean
from mindpics.files.bounded import read_prototxt_text
from mindpics.files.findings import Finding, guarded
from mindpics.files.json_files import read_objects, shown
from mindpics.files.layout import DataFiles, NetFiles, TrainingFiles
from mindpics.files.own_folder import KEY
from mindpics.jobs.bars import bar_of
from mindpics.posts.near_copies import near_pairs, perceptual_hash

_NAME = re.compile(r"^(train|test)(?:_([OCEAN]))?_lmdb$")
_KEY = re.compile(r"^(\d{8})_(.+)$", re.DOTALL)
MANY = 20  # pictures whose labels do not ascend by chance
CLOSE = 0.01  # grey levels by which a mean may be off: compute_image_mean sums in float32


@dataclass
class Scan:
    """What one pass over an LMDB has seen."""

    path: Path
    ids: list = field(default_factory=list)
    labels: list = field(default_factory=list)
    shapes: set = field(default_factory=set)
    problems: list = field(default_factory=list)
    digests: list = field(default_factory=list)
    prints: list = field(default_factory=list)
    total: np.ndarray | float = 0.0

    def finding(self, severity, check, message):
        """Return a `mindpics.files.findings.Finding` of this LMDB.


        Parameters
        ----------
        severity, check, message : str
        """
        return Finding(severity, check, message, str(self.path))


def lmdbs_in(folder):
    """Return {folder: (split, trait or None)} of the LMDBs in a folder."""
    matches = ((path, _NAME.match(path.name)) for path in sorted(Path(folder).glob("*_lmdb")))
    return {path: match.groups() for path, match in matches if match}


def check_lmdbs(folder, selection, pictures):
    """Yield what is wrong with the LMDBs of a folder, its mean, and the pictures of both sides.

    Parameters
    ----------
    folder : Path
    selection : mindpics.results.verify_selection.Selection or None
        The csv that the LMDBs were made from, where it lies there.
    pictures : bool
        Also look at pixels: the mean, equal pictures, near copies.

    Yields
    ------
    mindpics.files.findings.Finding
    """
    whole = {}
    for path, (split, trait) in lmdbs_in(folder).items():
        try:
            scan = scan_lmdb(path, pictures and trait is None)
        except Exception as error:  # whatever a broken file leads the LMDB library to
            yield Finding("error", "lmdb", f"cannot be read: {error}", str(path))
            continue
        yield from _check_scan(scan)
        if selection is not None:
            yield from guarded("lmdb-count", _against_csv(scan, selection, split, trait), path)
        if trait is None:
            whole[split] = scan
    mean = DataFiles(folder).mean
    if mean.is_file():
        yield from guarded("mean", _check_mean(folder, whole.get("train"), pictures), mean)
    if len(whole) == 2:
        pins = selection is None and (Path(folder) / KEY).is_file()  # finetune_fc7's alone has that beside LMDBs
        yield from _both_sides(whole["train"], whole["test"], pictures, pins)


def scan_lmdb(path, pictures):
    """Read an LMDB once; `pictures` asks for digests, fingerprints and the sum of pixels."""
    scan = Scan(path)
    shown = bar_of(read_lmdb(path), total=count_lmdb(path), desc=f"verify {path.name}", unit="picture", delay=2)
    for number, (key, datum) in enumerate(shown):
        match = _KEY.match(key)
        if match is None or int(match.group(1)) != number:
            scan.problems.append(("key", f"key {key!r} is not {number:08d}_<id>"))
        scan.ids.append(match.group(2) if match else key)
        scan.labels.append(datum.label)
        if pictures or number == 0 or not datum.encoded:
            _look(scan, key, datum, pictures)
    return scan


def _look(scan, key, datum, pictures):
    try:
        pixels = to_pixels(datum)
    except ValueError as error:
        scan.problems.append(("datum", f"key {key!r}: {error}"))
        scan.digests.append(None)
        scan.prints.append(np.zeros(32, np.uint8))
        return
    scan.shapes.add(pixels.shape)
    if pictures and len(scan.shapes) == 1 and len(pixels) == 3:
        scan.total = scan.total + pixels.astype(np.int64)
        scan.digests.append(hashlib.sha1(pixels.tobytes()).digest())
        scan.prints.append(perceptual_hash(pixels.transpose(1, 2, 0)))


def _check_scan(scan):
    for check in ("key", "datum"):
        texts = [text for kind, text in scan.problems if kind == check]
        if texts:
            rest = f" (and {len(texts) - 1} more)" if len(texts) > 1 else ""
            yield scan.finding("error", f"lmdb-{check}", texts[0] + rest)
    twice = [first for first, second in pairwise(sorted(scan.ids)) if first == second]
    if twice:
        yield scan.finding("error", "lmdb-duplicate", f"id {twice[0]!r} twice (and {len(twice) - 1} more)")
    if len(scan.shapes) > 1:
        yield scan.finding("error", "lmdb-shapes", f"pictures of several shapes: {sorted(scan.shapes)}")
    shuffled = len(scan.ids) >= MANY and len(set(scan.labels)) > 1
    if shuffled and scan.labels == sorted(scan.labels):
        yield scan.finding("error", "lmdb-order", "the labels ascend: Caffe reads in key order, so it must be shuffled")
    yield scan.finding("ok", "lmdb", f"{len(scan.ids)} pictures of {sorted(scan.shapes)}")


def _against_csv(scan, selection, split, trait):
    rows = [selection.by_id.get(post_id) for post_id in scan.ids]
    absent = [i for i, row in zip(scan.ids, rows, strict=True) if row is None]
    if absent:
        text = f"id {absent[0]!r} (and {len(absent) - 1} more) is not in {selection.path.name}"
        yield scan.finding("error", "lmdb-id", text)
    known = [(i, label, row) for i, label, row in zip(scan.ids, scan.labels, rows, strict=True) if row is not None]
    strays = [(i, row["split"]) for i, _, row in known if row["split"] != split]
    if strays:
        text = f"id {strays[0][0]!r} (and {len(strays) - 1} more) is of {strays[0][1]} by {selection.path.name}"
        yield scan.finding("error", "lmdb-split", text)
    foreign = [(i, row["trait"]) for i, _, row in known if trait is not None and row.get("trait") != trait]
    if foreign:
        yield scan.finding("error", "lmdb-trait", f"id {foreign[0][0]!r} is of trait {foreign[0][1]}, not {trait}")
    wrong = [(i, label, row["label"]) for i, label, row in known if str(label) != row["label"]]
    if wrong:
        text = f"id {wrong[0][0]!r} has label {wrong[0][1]}, {selection.path.name} says {wrong[0][2]}"
        yield scan.finding("error", "lmdb-label", f"{text} (and {len(wrong) - 1} more)")
    yield from _count(scan, selection, {"split": split} | ({"trait": trait} if trait else {}))


def _count(scan, selection, values):
    rejected = _rejected(scan.path)
    n_selected = selection.count(**values)
    if len(scan.ids) + len(rejected) != n_selected:
        text = f"{len(scan.ids)} pictures and {len(rejected)} rejected; {selection.path.name} has {n_selected}"
        yield scan.finding("error", "lmdb-count", text)
    shared = set(rejected) & set(scan.ids)
    if shared:
        yield scan.finding("error", "lmdb-rejected", f"id {min(shared)!r} was rejected, and is in it")


def _rejected(path):
    listed = path.with_name(path.name + ".rejected.jsonl")
    if not listed.is_file():
        return []
    rejected = []
    for where, record in read_objects(listed, "rejected pictures, one JSON object a line"):
        if not isinstance(record.get("id"), str):
            raise ValueError(f"{where}: found {shown(record)}; wanted an id")
        rejected.append(record["id"])
    return rejected


def _check_mean(folder, train, pictures):
    path = DataFiles(folder).mean
    try:
        mean = read_mean(path)
    except Exception as error:  # protobuf's own, or ours
        yield Finding("error", "mean", f"not a mean file: {error}", str(path))
        return
    for net in sorted([*folder.rglob(NetFiles.train_val), *folder.rglob(TrainingFiles.net)]):
        yield from guarded("mean-crop", _check_crops(mean, net, path), net)
    if train is None or not train.shapes:
        return
    if mean.shape not in train.shapes:
        yield Finding("error", "mean-shape", f"mean {mean.shape}, pictures {sorted(train.shapes)}", str(path))
    elif pictures and len(train.digests) == len(train.ids):
        pixel_mean = train.total / len(train.ids)
        off = float(np.abs(pixel_mean - mean).max())
        if off > CLOSE:
            yield Finding("error", "mean", f"not the mean of {train.path.name}: off by up to {off:.2f}", str(path))
        else:
            yield Finding("ok", "mean", f"the mean of {train.path.name}, within {off:.4f}", str(path))


def _check_crops(mean, net, path):
    """Check the crops of a net below the data folder."""
    crops = re.findall(r"^\s*crop_size:\s*(\d+)", read_prototxt_text(net, "a net"), re.MULTILINE)
    for crop in sorted({int(crop) for crop in crops}):
        if crop > min(mean.shape[1:]):
            text = f"mean {mean.shape} is smaller than the crop of {crop} in {net}"
            yield Finding("error", "mean-crop", text, str(path))


def _both_sides(train, test, pictures, pins):
    shared = sorted(set(train.ids) & set(test.ids))
    if shared:
        yield test.finding("error", "leak-id", f"{len(shared)} ids are in train as well, the first {shared[0]!r}")
    sound = [len(scan.digests) == len(scan.ids) and None not in scan.digests for scan in (train, test)]
    if not pictures or not all(sound):
        return
    where = dict(zip(train.digests, train.ids, strict=True))
    same = [(where[d], post_id) for d, post_id in zip(test.digests, test.ids, strict=True) if d in where]
    text = f"{len(same)} pictures are in train as well, pixel by pixel"
    if same:
        text += f"; the first: {same[0][1]!r} = {same[0][0]!r}"
    if same and pins:  # several users pin one picture, and no figure of the paper is of these
        text += "; validation pins of finetune_fc7, which only show how training goes"
        yield test.finding("warning", "leak-same", text)
    elif same:
        yield test.finding("error", "leak-same", text)
    pairs = near_pairs(np.array(train.prints + test.prints))
    leaked = {int(j) for i, j in pairs if i < len(train.ids) <= j}
    share = len(leaked) / max(1, len(test.ids))
    text = f"{len(leaked)} of {len(test.ids)} test pictures ({share:.1%}) have a near copy in train"
    if leaked:
        yield test.finding("warning", "leak-near", text + f", the first {test.ids[min(leaked) - len(train.ids)]!r}")
    else:
        yield test.finding("ok", "leak-near", text)
