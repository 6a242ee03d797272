"""Pins of a table (CSV, TSV, with a header or without) and of JSON.

The layout of the paper's own set (Mendeley Data, doi 10.17632/fsdk2zc535) is not known to us;
the column map is where a table of any shape is fitted to pins.
"""

import json
from pathlib import Path

from mindpics.files.json_files import object_of, parse_object, refuse_repeated, shown
from mindpics.files.tables import read_table
from pinterest_id.encodings import UTF8, read_text
from pinterest_id.records import KEYS, check_records

NEEDED = ("user", "image", "text")
MAX_JSON = 1 << 30  # bytes that are read at once


def read_pins_csv(path, columns=None, delimiter=",", *, encoding=UTF8, header=True, quotes=True, **keep):
    r"""Read pins from a table.

    Parameters
    ----------
    path : str or Path
        Image paths are relative to its folder.
    columns : dict, optional
        Pin key to column: ``{"user": "username", "text": "description"}``, or to its number from "1" where
        there is no header. A column that is named must be there; keys not named are looked for under their own
        name: without an id column the row number is the id, without a board column the board is None.
    delimiter : str
    encoding : str
        "cp1252" is what Windows wrote.
    header, quotes : bool
        See `mindpics.files.tables.read_table`.
    **keep
        keep_empty_text, keep_no_image: as of `pinterest_id.records.read_pins`.

    Returns
    -------
    pins, rejected
        As of `pinterest_id.records.read_pins`.

    Raises
    ------
    ValueError
        When a column is not in the header (which is shown), or as `read_pins` does.
    """
    demanded = dict.fromkeys((*NEEDED, *(columns or ())))
    path, columns = Path(path), _columns(columns)
    if not header and (unnamed := [key for key in demanded if not columns[key].isdecimal()]):
        raise ValueError(
            f"{path}: found no column of {', '.join(unnamed)}; wanted its number, as in user=1: the table has no header"
        )
    table = read_table(path, [columns[key] for key in demanded], delimiter, encoding, header, quotes)
    records = ((where, _record(row, columns, number)) for number, (where, row) in enumerate(table, 1))
    return check_records(records, path.parent, **keep)


def read_pins_json(path, columns=None, *, encoding=UTF8, **keep):
    """Read pins from JSON: an array of objects, an object a line, or an object of users with an array each.

    Parameters and errors are those of `read_pins_csv`; other keys of the objects are kept.

    Parameters
    ----------
    path : str or Path
        Image paths are relative to its folder.
    columns : dict, optional
        Pin key to key of the objects, as `read_pins_csv` has it; one that is named must be in an object.
    encoding : str
    **keep
        As `read_pins_csv` has them.

    Raises
    ------
    ValueError
        As `read_pins_csv`.
    """
    path, named, columns = Path(path), set(columns or ()) - set(NEEDED), _columns(columns)
    absent = {columns[key] for key in named}

    def records():
        for number, (where, entry) in enumerate(_objects(path, columns["user"], encoding), 1):
            absent.difference_update(entry)
            yield where, _from_object(where, entry, columns, number)

    pins, rejected = check_records(records(), path.parent, **keep)
    if absent:
        raise ValueError(f"{path}: found no object with {', '.join(sorted(absent))}; wanted it in one at least")
    return pins, rejected


def _columns(column_map):
    columns = {**{key: key for key in KEYS}, **(column_map or {})}
    if unknown := set(columns) - set(KEYS):
        raise ValueError(f"column map: found {', '.join(sorted(unknown))}; wanted keys of a pin: {', '.join(KEYS)}")
    return columns


def _record(row, columns, number):
    record = {key: row.get(columns[key]) for key in KEYS}
    return record | {"id": record["id"] or f"{number:07d}", "user": record["user"] or ""}


def _from_object(where, entry, columns, number):
    missing = [columns[key] for key in NEEDED if columns[key] not in entry]
    if missing:
        raise ValueError(f"{where}: found {shown(sorted(entry))}; wanted {', '.join(missing)} too")
    extra = {key: value for key, value in entry.items() if key not in columns.values() and key not in KEYS}
    numbers = {columns[key]: str(entry[columns[key]]) for key in ("id", "user") if _is_int(entry.get(columns[key]))}
    return extra | _record(entry | numbers, columns, number)


def _is_int(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _objects(path, user, encoding):
    """Yield (where, object) of a JSON file of one of the three forms."""
    text = _text(path, encoding)
    try:
        document = json.loads(text, object_pairs_hook=object_of)
    except (ValueError, RecursionError):
        yield from _of_lines(path, text)
        return
    if isinstance(document, dict) and any(isinstance(entry, list) for entry in document.values()):
        refuse_repeated(document, path)
        for name, pins in document.items():
            yield from ((where, {user: name} | entry) for where, entry in _of_array(f"{path}, user {name!r}", pins))
        return
    yield from _of_array(str(path), [document] if isinstance(document, dict) else document)


def _of_lines(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            where = f"{path}, line {number}"
            yield where, parse_object(line.encode("utf-8", "surrogatepass"), where)


def _of_array(where, pins):
    if not isinstance(pins, list):
        raise ValueError(f"{where}: found a {type(pins).__name__}; wanted an array of pins")
    for number, pin in enumerate(pins, 1):
        refuse_repeated(pin, f"{where}, pin {number}")
        # Written and read again, since what is no object, or half a surrogate pair, is said in one place.
        yield f"{where}, pin {number}", parse_object(json.dumps(pin).encode(), f"{where}, pin {number}")


def _text(path, encoding):
    if not path.is_file():
        raise ValueError(f"{path}: found no such file; wanted pins in JSON")
    return read_text(path, encoding, "pins in JSON", MAX_JSON)
