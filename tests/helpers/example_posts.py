"""A post of a crawl, and manifests of posts."""

import bz2
import gzip
import json
import lzma
from functools import partial

import pyarrow as pa

COMPRESSIONS = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": partial(pa.compress, codec="zstd", asbytes=True),
}
POST = {
    "id": "a1",
    "image": "images/a.png",
    "author": "Ann",
    "text": "A moon",
    "tags": ["moon"],
    "source": "test",
    "license": "CC0-1.0",
}


def write(folder, *lines):
    path = folder / "posts.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return path


def without(key):
    return {k: v for k, v in POST.items() if k != key}
