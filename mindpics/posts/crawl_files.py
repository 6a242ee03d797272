"""Manifests of a crawl, JSON lines and Parquet, read a block at a time by Arrow.

Arrow parses; what it cannot vouch for is left to `mindpics.posts.posts`, post by
post. A reader has ``blocks()``, ``read(block)`` and ``posts(positions)``.
"""

import codecs
import io
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from mindpics.files.compressed import unpack
from mindpics.files.json_files import MAX_LINE, HalfPair
from mindpics.posts.crawl_rows import SCHEMA, Rows
from mindpics.posts.parquet_crawl import Parquet
from mindpics.posts.posts import check_post, parse_post, picture_root

BLOCK = 16 << 20  # bytes of JSON lines a worker reads at a time
FEW = 64  # lines that are no longer worth another try of Arrow's
# Python refuses 1,000 levels of nesting and numbers of 4,300 digits, and Arrow does not. Shorter lines hold neither.
LONG = 1000
WANTED = "a manifest, one JSON object a line"


def open_crawl(path, block=BLOCK):
    """Return the reader of a manifest: Parquet by its ending or a folder of such files, otherwise JSON lines.

    Raises
    ------
    ValueError
        There is no such file, or it is no Parquet of posts.
    """
    path = Path(path)
    if path.is_dir():
        return Parquet(path)
    if not path.is_file():
        raise ValueError(f"{path}: found no such file; wanted {WANTED}")
    return Parquet(path) if path.suffix == ".parquet" else JsonLines(path, block)


def count_licenses(path, ids):
    """Return Counter {license: posts} of the posts of a manifest whose ids are in a set.

    Raises
    ------
    ValueError
        There is no such file, it is no Parquet of posts, or what is no post has such an id or no readable one.
    """
    crawl, asked, counts, n_lines = open_crawl(path), pa.array(sorted(ids), pa.string()), Counter(), 0
    for block in crawl.blocks():
        rows = crawl.read(block)
        read = np.ones(len(rows.positions), bool)
        for first, table in rows.tables:
            read[first : first + len(table)] = pc.is_in(table["id"], asked)
        for row in np.flatnonzero(read).tolist():
            try:
                post = rows.post(row, crawl.where(n_lines + int(rows.numbers[row]) + 1))
            except HalfPair:
                continue  # no selection has it
            if post["id"] in ids:
                counts[post["license"]] += 1
        n_lines += rows.n_lines
    return counts


class JsonLines:
    """A manifest of one JSON object a line, compressed or not. A position is a line's first byte."""

    measure = "B"

    def __init__(self, path, block=BLOCK):
        self.path, self.block = Path(path), block
        self.root = picture_root(self.path).resolve()
        self.unpacked = unpack(self.path, WANTED)
        self.file = Path(self.unpacked.name) if self.unpacked else self.path

    def __getstate__(self):
        return self.__dict__ | {"unpacked": None}  # its maker removes the temporary file, not a child

    def where(self, number):
        """Return "FILE, line 3"."""
        return f"{self.path}, line {number}"

    def blocks(self):
        """Return (start, end) in bytes: a block holds the lines that begin there."""
        size = self.file.stat().st_size
        return [(start, min(start + self.block, size)) for start in range(0, size, self.block)]

    def size(self, block):
        """Return how much a block is, in `measure`."""
        return block[1] - block[0]

    def read(self, block):
        """Return the `Rows` of a block.

        Parameters
        ----------
        block : (int, int)
            One of `blocks`.
        """
        offset, data = self._bytes(*block)
        starts, ends = _lines(data)
        full = np.flatnonzero(_not_blank(data, starts, ends))
        n_lines = len(starts)
        starts, ends = starts[full], ends[full]
        tables = list(_parse(data, starts, ends, _look_whole(data, starts, ends)))
        vouched = np.zeros(len(full), bool)
        for first, table in tables:
            vouched[first : first + len(table)] = True
        vouched &= ends - starts < LONG

        def post(row, where):
            if ends[row] - starts[row] > MAX_LINE:
                raise ValueError(f"{where}: found more than {MAX_LINE} bytes; wanted {WANTED}")
            record = parse_post(data[starts[row] : ends[row]], where)
            check_post(record, self.root, where)
            return record

        return Rows(tables, vouched, starts + offset, full, n_lines, post)

    def posts(self, positions):
        """Return the posts at `positions`, in that order.

        Parameters
        ----------
        positions : iterable of int
            First bytes of lines.
        """
        posts = {}
        with open(self.file, "rb") as stream:
            for position in sorted(positions):
                stream.seek(position)
                posts[position] = parse_post(stream.readline(), f"{self.path}, byte {position}")
        return [posts[position] for position in positions]

    def _bytes(self, start, end):
        with open(self.file, "rb") as stream:
            if start:
                stream.seek(start - 1)
                while stream.readline(MAX_LINE)[-1:] not in (b"", b"\n"):
                    pass  # the end of a line that a block before holds
            offset = stream.tell()
            data = stream.read(max(0, end - offset))
            if data and data[-1:] != b"\n":
                data += stream.readline(MAX_LINE + 1)
        mark = codecs.BOM_UTF8 if not start and data.startswith(codecs.BOM_UTF8) else b""
        return offset + len(mark), data[len(mark) :]


def _lines(data):
    """Return where each line starts and ends, the line end not included."""
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    if data and data[-1:] != b"\n":
        ends = np.append(ends, len(data))
    return np.concatenate([[0], ends[:-1] + 1])[: len(ends)].astype(np.int64), ends.astype(np.int64)


def _not_blank(data, starts, ends):
    full = ends > starts
    for line in np.flatnonzero(full & (ends - starts < FEW)):
        full[line] = bool(data[starts[line] : ends[line]].strip())
    for line in np.flatnonzero(full & (np.frombuffer(data, np.uint8)[np.minimum(starts, len(data) - 1)] <= ord(" "))):
        full[line] = bool(data[starts[line] : ends[line]].strip())
    return full


def _look_whole(data, starts, ends):
    """Return which lines open and close as an object: where all do, none runs on into the next."""
    data = np.frombuffer(data, np.uint8)
    last = ends - 1
    last = last - ((data[last] == ord("\r")) & (last > starts))
    return (data[starts] == ord("{")) & (data[last] == ord("}"))


def _parse(data, starts, ends, whole, first=0, stop=None):
    """Yield (first row, table) of the lines that Arrow can parse; around one it cannot, ever smaller pieces."""
    stop = len(starts) if stop is None else stop
    if first == stop:
        return
    if whole[first:stop].all():
        try:
            table = _parse_json(data[starts[first] : ends[stop - 1]])
            if len(table) == stop - first:  # otherwise two objects share a line
                yield first, table
                return
        except (pa.ArrowInvalid, UnicodeDecodeError):
            pass
    if stop - first > FEW:
        middle = (first + stop) // 2
        yield from _parse(data, starts, ends, whole, first, middle)
        yield from _parse(data, starts, ends, whole, middle, stop)


def _parse_json(data):
    str(data, "utf-8")  # Arrow would take any bytes
    return pyarrow.json.read_json(
        io.BytesIO(data),
        pyarrow.json.ReadOptions(use_threads=False, block_size=len(data) + 1),
        pyarrow.json.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="ignore"),
    )
