"""CSV tables: written whole; read from anyone, with the line that a row began on in every error."""

import csv
import io

from mindpics.files.atomic import atomic_write
from mindpics.files.bounded import open_regular
from mindpics.files.printable import printable_name

MAX_FIELD = 64 << 20  # characters; the csv module's own limit of 131,072 is below a long description


def read_table(path, columns=(), delimiter=",", encoding="utf-8-sig", header=True, quotes=True):
    """Yield ``(where, {column: text})`` of each row of a CSV with a header; `where` is "FILE, line 3".

    Parameters
    ----------
    path : str or Path
    columns : sequence of str
        That must be in the header.
    delimiter : str
    encoding : str
        By default UTF-8, with a byte order mark or without.
    header : bool
        Whether the first line names the columns; otherwise their names are "1", "2", ...
    quotes : bool
        Whether a field may stand between ``"``; otherwise these are letters like others.

    Raises
    ------
    ValueError
        Names the file, the line, what was found and what was wanted: no such file, bytes that are not
        of the encoding, a column that is missing, a row with more or fewer fields than the header.
    """
    for line, row in _rows(path, columns, delimiter, encoding, header, quotes):
        yield f"{path}, line {line}", row


def rows_of(path):
    """Return the rows of a CSV with a header as a list of {column: text}; raise as `read_table` does."""
    return [row for _, row in read_table(path)]


def numbered_rows(path, columns=()):
    """Yield ``(line, {column: text})`` of each row of a CSV with a header, and raise, as `read_table` does."""
    return _rows(path, columns, delimiter=",", encoding="utf-8-sig", header=True, quotes=True)


def _rows(path, columns, delimiter, encoding, header, quotes):
    csv.field_size_limit(MAX_FIELD)
    quoting = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
    file = open_regular(path, "a CSV with a header" if header else "a CSV")
    with io.TextIOWrapper(file, encoding=encoding, newline="") as stream:
        reader = csv.reader(_lines(stream), delimiter=delimiter, strict=True, quoting=quoting)
        begins, names = 1, None
        try:
            for row in reader:
                line, begins = begins, reader.line_num + 1
                if names is None:
                    names = row if header else [str(number) for number in range(1, len(row) + 1)]
                    _check_header(path, names, columns)
                    if header:
                        continue
                if row:
                    yield line, _fields(names, row, f"{path}, line {line}")
            if names is None:
                _check_header(path, [], columns)
        except UnicodeDecodeError as error:
            named = "UTF-8" if encoding == "utf-8-sig" else encoding
            raise ValueError(
                f"{path}, near line {begins}: found what is not {named} ({error.reason}); wanted {named}"
            ) from None
        except csv.Error as error:
            raise ValueError(f"{path}, line {begins}: found what is no row of a CSV ({error}); wanted one") from None


def write_table(path, columns, rows):
    """Write a CSV with a header, whole or not at all.

    Parameters
    ----------
    path : str or Path
    columns : sequence of str
    rows : iterable of sequence, or of dict with these columns as keys

    Raises
    ------
    ValueError
        When a row has a key that is no column.
    """
    with atomic_write(path) as stream:
        writer, dicts = csv.writer(stream, lineterminator="\n"), csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            (dicts if isinstance(row, dict) else writer).writerow(row)


def _lines(stream):
    while line := stream.readline(MAX_FIELD + 1):
        if len(line) > MAX_FIELD:
            raise csv.Error(f"a line of more than {MAX_FIELD} characters")
        yield line


def _check_header(path, header, columns):
    shown = printable_name(", ".join(header)[:200])
    missing = [column for column in columns if column not in header]
    if missing:
        raise ValueError(
            f"{path}, line 1: found no column {', '.join(missing)} in {shown}; wanted {', '.join(columns)}"
        )
    if len(set(header)) != len(header):
        raise ValueError(f"{path}, line 1: found a column twice in {shown}; wanted each once")


def _fields(header, row, where):
    if len(row) != len(header):
        raise ValueError(f"{where}: found {len(row)} fields; wanted {len(header)}, as the header has")
    return dict(zip(header, row, strict=True))
