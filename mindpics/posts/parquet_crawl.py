"""Parquet manifest of a crawl, a file or a folder, in bounded batches: a few KB may hold one text a million times.

Texts stay dictionary-encoded, no larger than the file holds them, until rows of `BLOCK` bytes are unpacked.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from mindpics.files.json_files import MAX_LINE
from mindpics.posts.crawl_rows import SCHEMA, TYPES, Rows
from mindpics.posts.posts import REQUIRED, check_post, files_below, picture_root

BLOCK = 16 << 20  # bytes of posts that are unpacked at a time
ROWS = 4096  # of a batch
PREFIXED = "DELTA_BYTE_ARRAY"  # an encoding in which each text may be as long as all before it


@dataclass(frozen=True)
class _Group:
    """A row group: its file, its number there, its rows, how many to read at a time, the columns of text."""

    path: Path
    number: int
    rows: int
    batch_rows: int
    texts: list


class Parquet:
    """A manifest as a Parquet file, or a folder of them in the order of their names. A position is a row of all."""

    measure = "post"

    def __init__(self, path):
        self.path = Path(path)
        self.root = picture_root(self.path).resolve()
        self.groups = [group for file in parquet_files(self.path) for group in _groups(file)]
        self.counts = [group.rows for group in self.groups]
        self.firsts = np.concatenate([[0], np.cumsum(self.counts)]).astype(np.int64)

    def where(self, number):
        """Return "FILE, row 3", of a row's number among those of all files."""
        part = int(np.searchsorted(self.firsts, number - 1, side="right")) - 1
        path = self.groups[part].path
        return f"{path}, row {number - sum(group.rows for group in self.groups[:part] if group.path != path)}"

    def blocks(self):
        """Return the row groups' numbers."""
        return list(range(len(self.counts)))

    def size(self, block):
        """Return how much a block is, in `measure`."""
        return self.counts[block]

    def read(self, block):
        rows, walk = np.arange(self.counts[block]), _Walk(self, block)

        def post(row, where):
            record = walk.at(row).to_pylist()[0]
            check_post(record, self.root, where)
            return record

        vouched = np.ones(len(rows), bool)
        return Rows(self._unpacked(block), vouched, rows + self.firsts[block], rows, len(rows), post)

    def posts(self, positions):
        """Return the posts at `positions`, in that order; values that JSON lacks (dates) as text."""
        positions = np.asarray(positions, np.int64)
        records = {}
        for block in np.unique(np.searchsorted(self.firsts, positions, side="right") - 1):
            for first, batch in self.batches(int(block), None):
                first += self.firsts[block]
                here = np.unique(positions[(positions >= first) & (positions < first + len(batch))])
                posts = _decoded(batch.take(pa.array(here - first)))
                self._require_utf8(posts, here)
                records |= dict(zip(here.tolist(), json.loads(json.dumps(posts.to_pylist(), default=str)), strict=True))
        return [records[position] for position in positions.tolist()]

    def batches(self, block, columns):
        """Yield (first row, RecordBatch) of a row group, texts dictionary-encoded."""
        first = 0
        group = self.groups[block]
        with pyarrow.parquet.ParquetFile(group.path, read_dictionary=group.texts) as file:
            part = {"row_groups": [group.number], "columns": columns}
            for batch in file.iter_batches(group.batch_rows, **part, use_threads=False):
                yield first, batch
                first += len(batch)

    def _unpacked(self, block):
        """Yield (first row, table of SCHEMA) of a row group, about BLOCK bytes each."""
        for first, batch in self.batches(block, list(REQUIRED)):
            batch = batch.select(list(REQUIRED))
            sizes = sum(_sizes(column) for column in batch.columns)
            if len(sizes) and sizes.max() > MAX_LINE:
                where = self.where(int(self.firsts[block]) + first + int(sizes.argmax()) + 1)
                raise ValueError(f"{where}: found {sizes.max()} bytes; wanted at most {MAX_LINE}")
            for start, stop in _pieces(sizes):
                piece = batch.take(pa.array(np.arange(start, stop)))  # a slice of lists would be cast whole
                table = pa.Table.from_batches([piece]).cast(SCHEMA)
                self._require_utf8(table, self.firsts[block] + first + np.arange(start, stop))
                yield first + start, table

    def _require_utf8(self, table, positions):
        """Raise ValueError, with its row, at text that is no UTF-8: Parquet holds any bytes."""
        if _is_utf8(table):
            return
        row = next(row for row in range(len(table)) if not _is_utf8(table.slice(row, 1)))
        keys = [key for key in table.column_names if not _is_utf8(table.select([key]).slice(row, 1))]
        where = self.where(int(positions[row]) + 1)
        raise ValueError(f"{where}: found bytes that are not UTF-8 as {keys[0]!r}; wanted text")


def _decoded(batch):
    """Return a RecordBatch as a table without dictionaries, which may hold other rows' texts."""
    columns = zip(batch.schema.names, batch.columns, strict=True)
    return pa.table({name: c.dictionary_decode() if pa.types.is_dictionary(c.type) else c for name, c in columns})


def _is_utf8(table):
    """Tell whether all strings of a table are UTF-8."""
    try:
        table.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


class _Walk:
    """Goes through a row group a second time, as far as posts are asked for; rows come in order."""

    def __init__(self, crawl, block):
        self.crawl, self.block = crawl, block
        self.first, self.batch, self.batches = 0, None, iter(())

    def at(self, row):
        """Return the RecordBatch of one row."""
        if self.batch is None or row < self.first:
            self.batches = self.crawl.batches(self.block, list(REQUIRED))
            self.first, self.batch = next(self.batches)
        while row >= self.first + len(self.batch):
            self.first, self.batch = next(self.batches)
        return self.batch.slice(row - self.first, 1)


def parquet_files(path):
    """Return the Parquet files of a folder and those below it, or the one file, of whatever kind.

    Raises
    ------
    ValueError
        For a folder without such a file.
    """
    if not path.is_dir():
        return [path]
    files = [file for file in files_below(path) if file.suffix == ".parquet" and file.name[0] not in "._"]
    if not files:
        raise ValueError(f"{path}: found a folder without a .parquet file; wanted posts")
    return files


def _groups(path):
    """Yield the _Groups of a Parquet file of posts; ValueError when it is none."""
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
            _check_columns(path, file.schema_arrow)
            leaves = [file.schema.column(i) for i in range(len(file.schema.names))]
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}: found no Parquet file ({error}); wanted one of posts") from None
    texts = [leaf.path for leaf in leaves if leaf.logical_type.type == "STRING"]
    for number, group in enumerate(groups):
        yield _Group(path, number, group.num_rows, _batch_rows(group), texts)


def _check_columns(path, schema):
    absent = [key for key in REQUIRED if key not in schema.names]
    if absent:
        raise ValueError(f"{path}: found no column {absent[0]!r} in {schema.names}; wanted {list(REQUIRED)}")
    for key, kind in REQUIRED.items():
        arrow_type = schema.field(key).type
        texts = arrow_type.value_type if kind is list and pa.types.is_nested(arrow_type) else arrow_type
        if _is_list(arrow_type) != (kind is list) or not _is_text(texts):
            raise ValueError(f"{path}: found column {key!r} of {arrow_type}; wanted {TYPES[kind]}")


def _batch_rows(group):
    """Return how many rows of a row group to read at a time, as its footer tells."""
    columns = [group.column(i) for i in range(group.num_columns)]
    longest = max((c.total_uncompressed_size for c in columns if PREFIXED in c.encodings), default=0)
    return max(1, min(ROWS, BLOCK // longest if longest else ROWS))


def _sizes(column):
    """Return the bytes of a text column's values, or of a list column's, as int64 [N]."""
    if _is_list(column.type):
        ends = np.concatenate([[0], np.cumsum(_sizes(column.flatten()))])
        counts = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
        return np.diff(ends[np.concatenate([[0], np.cumsum(counts)])])
    if pa.types.is_dictionary(column.type):
        sizes = pc.binary_length(column.dictionary).take(column.indices)
    else:
        sizes = pc.binary_length(column)
    return pc.fill_null(sizes, 0).to_numpy(zero_copy_only=False).astype(np.int64)


def _pieces(sizes):
    """Return (start, stop) of rows that are together at most BLOCK bytes, or one."""
    ends, start, pieces = np.cumsum(sizes), 0, []
    while start < len(sizes):
        taken = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, taken + BLOCK, side="right")))
        pieces.append((start, stop))
        start = stop
    return pieces


def _is_list(arrow_type):
    return pa.types.is_list(arrow_type) or pa.types.is_large_list(arrow_type)


def _is_text(arrow_type):
    plain = arrow_type.value_type if pa.types.is_dictionary(arrow_type) else arrow_type
    return pa.types.is_string(plain) or pa.types.is_large_string(plain) or pa.types.is_string_view(plain)
