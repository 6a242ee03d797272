"""Features of a list of pictures, any blob of any net: DeCAF7 is fc7 of an AlexNet (Pinterest, section 3).

They go to a NAME's files (`mindpics.files.feature_files`). The work is done in shards, so a killed run goes on.
"""

import hashlib
import json
import os
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path

import numpy as np

from mindpics.files import own_folder
from mindpics.files.atomic import atomic_write
from mindpics.files.bounded import digest
from mindpics.files.feature_files import ABOUT, ENDINGS, IDS, MATRIX, REJECTED, write_features
from mindpics.files.json_files import read_objects, shown
from mindpics.files.own_folder import KEY, Kind
from mindpics.files.tables import read_table
from mindpics.inference.feature_net import FeatureNet
from mindpics.inference.reading import Reading
from mindpics.jobs.bars import bar_of
from mindpics.jobs.parallel import AT_ONCE, run_each
from mindpics.posts import crops
from mindpics.posts.picture_files import packed_reader, picture_state
from mindpics.posts.posts import check_id, picture_path

BATCH = 32
SHARD = 1024  # pictures; what a killed run loses at most
SHARDS = Kind("shards of extract_features", (KEY, "[0-9]*.npz", "all.npy"), proof=(KEY,))


def read_items(path, root=None):
    """Return ``[(id, path of the picture), ...]`` of a .jsonl (pins, posts) or .csv with id and image.

    Parameters
    ----------
    path : path
    root : path, optional
        What image paths are relative to; the file's folder by default.

    Raises
    ------
    ValueError
        On a line without id or image, an id seen before, a path that leaves `root`.
    """
    path, root, items, ids = Path(path), Path(root or Path(path).parent), {}, set()
    records = read_table(path, ("id", "image")) if path.suffix == ".csv" else read_objects(path, left_out=[])
    for where, record in records:
        if not {"id", "image"} <= set(record):
            raise ValueError(f"{where}: found {shown(sorted(record))}; id and image are wanted")
        check_id(record["id"], where)
        if record["id"] in ids:
            raise ValueError(f"{where}: found the id {record['id']!r} again; wanted each once")
        ids.add(record["id"])
        if record["image"]:  # a pin without one has no features; who reads the pins counts it
            items[record["id"]] = picture_path(root, record["image"], where)
    return list(items.items())


def extract_features(
    net,
    items,
    out,
    mean,
    *,
    oversample=False,
    fit="warp",
    scale=1.0,
    batch=BATCH,
    workers=None,
    max_pixels=crops.MAX_PIXELS,
    run_tasks=None,
    mean_of=None,
):
    """Write the features of `items` to OUT.npy and OUT.ids.txt.

    Parameters
    ----------
    net : FeatureNet
    items : list of (id, path)
    out : path
        NAME, without ending.
    mean : float32 [channels, height, width]
        Subtracted from pictures that are made of its size.
    oversample : bool
        Mean of ten crops in place of the centre crop.
    fit : {"warp", "crop"}
        How, see `mindpics.posts.crops.FITS`.
    scale : float
        What pixels less `mean` are multiplied by, as by transform_param's.
    batch : int
    workers : int, optional
        Processes that read pictures.
    max_pixels : int
        Larger pictures are rejected.
    run_tasks : callable, optional
        Has the shards written elsewhere (`mindpics.jobs.cluster.run_tasks`): of a function and a list of
        argument tuples; yields the results as they come.
    mean_of : sequence, optional
        What `mindpics.inference.feature_net.load_mean` made `mean` of. OUT.json then says how to open the net again.

    Returns
    -------
    done, rejected : int

    Raises
    ------
    ValueError
        When the mean has no room for the net's input, no picture can be read, or files of OUT are another's.
    """
    net.require_mean(mean)
    shards = Path(f"{out}.shards").resolve()
    _require_own(out, shards)
    reading = Reading(fit, net.before_relu, oversample, scale)
    key = _key(net, items, mean, reading, max_pixels, batch)
    finished = _finished(out, key)
    if finished:
        return finished
    own_folder.take_over(shards, SHARDS, key)
    parts = {_shard(shards, start): items[start : start + SHARD] for start in range(0, len(items), SHARD)}
    absent = [(path, part) for path, part in parts.items() if not path.is_file()]
    write = partial(_write_shard, mean=mean, reading=reading, batch=batch, max_pixels=max_pixels)
    n_absent = sum(len(part) for _, part in absent)
    with bar_of(total=len(items), initial=len(items) - n_absent, desc=net.blob, unit="picture") as bar:
        if run_tasks:
            for count in run_tasks(partial(_write_elsewhere, net.arguments, write), absent):
                bar.update(count)
        else:
            for path, part in absent:
                write(net, path, part, workers=workers, update=bar.update)
    deploy, weights = map(str, net.arguments[:2])
    facts = {"key": key, "blob": net.blob, "reading": asdict(reading), "deploy": deploy, "weights": weights}
    if mean_of:
        source = [str(Path(mean_of[0]).resolve())] if len(mean_of) == 1 and Path(mean_of[0]).is_file() else mean_of
        facts |= {"mean": list(source), "size": mean.shape[1:]}
    return _join(shards, out, list(parts), facts | {"weights_sha1": file_sha1(net.arguments[1])})


@cache
def _net(arguments):
    """The net that this process has loaded; a worker of a cluster writes many shards with it."""
    return FeatureNet(*arguments)


def _write_elsewhere(arguments, write, path, items):
    """Write a shard in a worker of a cluster, which has a process of its own for the pictures."""
    write(_net(arguments), path, items, workers=1, update=lambda count: None)
    return len(items)


def _write_shard(net, path, items, mean, reading, batch, max_pixels, workers, update):
    pictures, ids, rejected = _read(items, mean.shape, reading.fit, workers, max_pixels)
    update(len(rejected))
    features = []
    for start in range(0, len(ids), batch):
        features.append(net.features(pictures[start : start + batch], mean, reading.ten_crops, reading.scale))
        update(len(features[-1]))
    with atomic_write(path, "wb") as stream:
        rows = np.concatenate(features) if features else np.empty((0, 0), np.float32)
        pairs = np.array(rejected, dtype=str).reshape(-1, 2)
        np.savez(stream, ids=np.array(ids, dtype=str), features=rows, rejected=pairs)


def _read(items, shape, fit, workers, max_pixels):
    """Return uint8 [N, *shape], their ids, and (id, reason) of what cannot be read."""
    read = packed_reader(shape, max_pixels, fit)
    pictures, ids, rejected = [], [], []
    results = run_each(read, [file for _, file in items], workers, at_once=AT_ONCE)
    for (id_, _), (_, data, reason) in zip(items, results, strict=True):
        if reason:
            rejected.append((id_, reason))
        else:
            ids.append(id_)
            pictures.append(np.frombuffer(data, np.uint8).reshape(shape))
    return np.array(pictures), ids, rejected


def _join(shards, out, paths, facts):
    ids, rejected, width = [], [], 0
    for path in paths:
        with np.load(path, allow_pickle=False) as part:  # one at a time: a process may open a thousand files
            ids += map(str, part["ids"])
            rejected += [tuple(map(str, pair)) for pair in part["rejected"]]
            width = width or part["features"].shape[1]  # 0 where no picture of a shard can be read
    if not ids:
        raise ValueError(
            f"{out}: found none of {len(rejected)} pictures that can be read ({rejected[:1]} the first); wanted one"
        )
    array = np.lib.format.open_memmap(shards / "all.npy", "w+", np.float32, (len(ids), width))
    with open(shards / "all.npy", "r+b") as stream:  # a write into a map that the disk has no room for ends the process
        os.posix_fallocate(stream.fileno(), 0, os.path.getsize(stream.name))
    row = 0
    for path in paths:
        with np.load(path, allow_pickle=False) as part:
            end = row + len(part["ids"])
            if end > row:  # rows of none have no width
                array[row:end] = part["features"]
            row = end
    array.flush()
    write_features(out, shards / "all.npy", ids, rejected, facts | {"done": len(ids), "rejected": len(rejected)})
    own_folder.remove(shards, SHARDS)
    return len(ids), len(rejected)


def file_sha1(path):
    """Return the SHA-1 of a file, by which published weights are known."""
    return digest(path, "sha1")


def _key(net, items, mean, reading, max_pixels, batch):
    pictures = [[id_, *picture_state(file)] for id_, file in items]
    facts = [net.key(), reading.ten_crops, reading.fit, max_pixels, mean.shape, pictures]
    facts += [reading.scale] if reading.scale != 1 else []  # features made before there was one are of the same key
    facts += [["batch", batch]] if net.by_batch else []
    return hashlib.sha256(json.dumps(facts).encode() + mean.tobytes()).hexdigest()


def _require_own(out, shards):
    """Raise ValueError where one of OUT's files is there, and neither OUT.json nor shards of a killed run."""
    there = [path for path in (f"{out}{ending}" for ending in ENDINGS) if os.path.lexists(path)]
    if there and not Path(f"{out}{ABOUT}").is_file() and not (shards / KEY).is_file():
        raise ValueError(f"{there[0]}: found another's file; wanted one of extract_features, or another name")


def _finished(out, key):
    """Return (done, rejected) when OUT is already there, of the same key."""
    stamp = Path(f"{out}{ABOUT}")
    if not stamp.is_file():
        return None
    facts = json.loads(stamp.read_text(encoding="utf-8"))
    if not isinstance(facts, dict) or not {"key", "done", "rejected"} <= set(facts):
        raise ValueError(f"{stamp}: found another's file; wanted one of extract_features, or another name")
    is_whole = all(Path(f"{out}{ending}").is_file() for ending in (MATRIX, IDS, REJECTED))
    return (facts["done"], facts["rejected"]) if facts["key"] == key and is_whole else None


def _shard(shards, start):
    return shards / f"{start:09d}.npz"
