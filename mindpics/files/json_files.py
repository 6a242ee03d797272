"""JSON files, and files of one JSON object a line: written whole; read from anyone, with the line in every error."""

import codecs
import json
import math
from collections import Counter
from pathlib import Path

from mindpics.files.atomic import atomic_write
from mindpics.files.bounded import read_text
from mindpics.files.compressed import open_plain, read_on

LEFT_OUT = "half a surrogate pair (\\ud800 to \\udfff)"  # no file could be written with it later on
MAX_LINE = 64 << 20  # bytes; a longer line is no object but a file of another kind


class HalfPair(ValueError):
    """A line with half a surrogate pair: what it holds, with U+FFFD for the half, and where it stood."""

    def __init__(self, record, where):
        super().__init__(f"{where}: found {LEFT_OUT}; wanted whole characters")
        self.record, self.where, self.reason = record, where, LEFT_OUT


def write_json(path, facts):
    """Write facts as strict JSON, whole or not at all: what is not finite, which JSON has no word for, is null."""
    with atomic_write(path) as stream:
        json.dump(_finite(facts), stream, indent=1, ensure_ascii=False, allow_nan=False)
        stream.write("\n")


def read_json(path):
    """Return the object of a JSON file, {} where there is none.

    Raises
    ------
    ValueError
        When the file is there and is no JSON object.
    """
    if not Path(path).is_file():
        return {}
    facts = read_document(path, "a JSON object")
    if not isinstance(facts, dict):
        raise ValueError(f"{path}: found a {type(facts).__name__}; wanted a JSON object")
    return facts


def read_document(path, file_type="a JSON document"):
    """Return what a JSON file holds; ValueError when it is no JSON, or is none that can be read whole."""
    try:
        return json.loads(read_text(path, file_type))
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path}: found what is not JSON (line {error.lineno}: {error.msg}); wanted {file_type}"
        ) from None
    except RecursionError:
        raise ValueError(f"{path}: found lists within lists, hundreds deep; wanted {file_type}") from None


def write_objects(path, objects):
    """Write one strict JSON object a line, whole or not at all: what is not finite is null."""
    with atomic_write(path) as stream:
        for record in objects:
            stream.write(json.dumps(_finite(record), ensure_ascii=False, allow_nan=False) + "\n")


def read_objects(path, file_type="one JSON object a line", keys=None, left_out=None):
    """Yield ``(where, object)`` of each line that is not empty; `where` is "FILE, line 3".

    Parameters
    ----------
    path : str or Path
        UTF-8, with a byte order mark or without; compressed (gzip, bzip2, xz, zstd) or not.
    file_type : str
        What the file should be, for errors.
    keys : collection of str, optional
        Those that an object may give once alone; all by default.
    left_out : list, optional
        Gets the HalfPair of each line that has one; without it the first is raised.

    Raises
    ------
    ValueError
        Names the file, the line, what was found and what was wanted.
    """
    number = 0
    with open_plain(path, file_type) as stream:
        while line := read_on(stream.readline, MAX_LINE + 1, f"{path}, line {number + 1}", file_type):
            number += 1
            where = f"{path}, line {number}"
            if len(line) > MAX_LINE:
                raise ValueError(f"{where}: found more than {MAX_LINE} bytes; wanted {file_type}")
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if not line.strip():
                continue
            try:
                record = parse_object(line.removesuffix(b"\n"), where, keys)
            except HalfPair as half:
                if left_out is None:
                    raise
                left_out.append(half)
                continue
            yield where, record


class Repeating(dict):
    """A JSON object with keys given twice, `repeated`; it holds their last values."""

    def __init__(self, pairs):
        super().__init__(pairs)
        self.repeated = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]


def object_of(pairs):
    """Return the dict of a JSON object, as an `object_pairs_hook`; a `Repeating` where a key is given twice."""
    record = dict(pairs)
    return record if len(record) == len(pairs) else Repeating(pairs)


def refuse_repeated(record, where, keys=None):
    """Raise ValueError when a JSON object, read with `Repeating`, has one of some keys twice.

    Parameters
    ----------
    record : object
        What is no `Repeating` has none.
    where : str
        Begins the message.
    keys : collection of str, optional
        All by default.
    """
    for key in getattr(record, "repeated", ()):
        if keys is None or key in keys:
            raise ValueError(f"{where}: found {key!r} twice; wanted each key once")


def parse_object(line, where, keys=None):
    """Return the JSON object of a line of bytes; ValueError says what else was found, HalfPair of half a pair.

    One of `keys` (all by default) given twice is refused: readers differ in which they take.

    Parameters
    ----------
    line : bytes
    where : str
        Begins the message of an error: "posts.jsonl, line 3".
    keys : collection of str, optional
        Those that an object may give once alone; all by default.

    Returns
    -------
    dict
    """
    try:
        text = line.decode("utf-8", "surrogatepass")  # as some write halves: neither \\ud800 nor UTF-8
        record = json.loads(text, object_pairs_hook=object_of)
        whole = _whole(record) if b"\\u" in line or b"\xed" in line else record
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{where}: found bytes that are not UTF-8 (byte {error.start + 1}); wanted a JSON object"
        ) from None
    except (ValueError, RecursionError) as error:  # not JSON, or a number of thousands of digits
        start = line[:60].decode("utf-8", "replace").strip()
        raise ValueError(f"{where}: found {start!r}; wanted a JSON object ({error})") from None
    if not isinstance(record, dict):
        raise ValueError(f"{where}: found a {type(record).__name__}; wanted a JSON object")
    refuse_repeated(record, where, keys)
    if whole is not record:
        raise HalfPair(whole, where)
    return record


def _whole(value):
    """Return a JSON value as it is, or a copy with U+FFFD for halves of surrogate pairs."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return value


def shown(value, length=80):
    """Return a value for an error message: its repr, cut short."""
    text = repr(value)
    return text if len(text) <= length else f"{text[:length]}..."


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
