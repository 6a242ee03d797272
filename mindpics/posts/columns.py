"""Column checks of a block of posts by Arrow, without a Python object for each."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mindpics.posts.posts import MAX_ID_BYTES
from mindpics.posts.words import carrying_pattern


def in_order(table):
    """Return which posts `mindpics.posts.posts.check_post` would surely pass: bool [N].

    Parameters
    ----------
    table : pyarrow.Table
        With the columns of `mindpics.posts.crawl_files.SCHEMA`.
    """
    post_id, image, tags = (table[key] for key in ("id", "image", "tags"))
    checks = [pc.is_valid(column) for column in table.columns]
    checks += [pc.ascii_is_printable(post_id)]
    checks += [pc.greater(pc.binary_length(post_id), 0), pc.less_equal(pc.binary_length(post_id), MAX_ID_BYTES)]
    checks += [pc.greater(pc.binary_length(image), 0), pc.invert(pc.starts_with(image, "/"))]
    checks += [pc.invert(pc.match_substring(image, part)) for part in ("..", "\0")]
    passed = np.logical_and.reduce([np.asarray(check.fill_null(False)) for check in checks])
    passed[_owners(tags, pc.is_null(pc.list_flatten(tags)))] = False
    return passed


def may_carry(table):
    """Return which posts could carry a word of Table 1, and few others: bool [N]."""
    tags = table["tags"]
    may = np.array(pc.match_substring_regex(table["text"], carrying_pattern()).fill_null(False))
    may[_owners(tags, pc.match_substring_regex(pc.list_flatten(tags), carrying_pattern()).fill_null(False))] = True
    return may


def _owners(tags, mask):
    """Return the rows whose lists hold the values that `mask` names."""
    return np.asarray(pc.list_parent_indices(tags))[np.asarray(mask)]


def hash_texts(texts):
    """Return 64-bit FNV-1a hashes of the first MAX_ID_BYTES bytes of each text: uint64 [N].

    Parameters
    ----------
    texts : pyarrow.StringArray
    """
    if not len(texts):
        return np.empty(0, np.uint64)
    _, offsets, data = texts.buffers()
    offsets = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    data = np.frombuffer(data or b"", np.uint8)
    starts, lengths = offsets[:-1], np.diff(offsets)
    hashes = np.full(len(texts), 0xCBF29CE484222325, np.uint64)
    for i in range(min(lengths.max(), MAX_ID_BYTES)):
        longer = slice(None) if i < lengths.min() else np.flatnonzero(lengths > i)
        hashes[longer] = (hashes[longer] ^ data[starts[longer] + i]) * np.uint64(0x100000001B3)
    return hashes


def hash_text(text):
    """Return the hash that `hash_texts` gives of one text."""
    return hash_texts(pa.array([text], pa.string()))[0]
