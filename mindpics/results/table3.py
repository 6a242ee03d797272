"""Table 3: a line from saved scores, and the table from lines."""

from mindpics.files.columns import columns
from mindpics.files.json_files import write_json
from mindpics.files.tables import read_table, write_table
from mindpics.published import Row, table3_row
from mindpics.results import provenance
from mindpics.results.metrics import evaluate, load_scores
from mindpics.traits import TRAITS

NUMBERS = (*TRAITS, "avg", "larger_pole_avg", "low95", "high95", "n", "published_avg")
FIXED = ("net", "heads", "init", *NUMBERS, "command")  # a table of any age has these
COLUMNS = (*FIXED, *provenance.COLUMNS)


def line_of(row, scores_path, command):
    """Return one line of table3.csv, a `Row`'s, as a dict: accuracies and interval in percent.

    Parameters
    ----------
    row : mindpics.published.Row
    scores_path : path
        scores.npz of the row.
    command : str
        What makes the row again.

    Raises
    ------
    ValueError
        When the file is no scores.npz, or a trait has no picture.
    """
    _, labels, scores = load_scores(scores_path)
    figures = evaluate(labels, scores)
    average = figures["avg"]
    percent = {trait: round(100 * figures[trait]["accuracy"], 2) for trait in TRAITS}
    return {
        **row._asdict(),
        **percent,
        "avg": round(100 * average["accuracy"], 2),
        "larger_pole_avg": round(100 * average["larger_pole"], 2),
        "low95": round(100 * average["low95"], 2),
        "high95": round(100 * average["high95"], 2),
        "n": average["n"],
        "published_avg": table3_row(*row)["avg"],
        "command": command,
        **provenance.provenance(row, scores_path),
    }


def write_table3(path, lines):
    """Write table3.csv."""
    write_table(path, COLUMNS, lines)


def read_table3(path):
    """Return the lines of a table3.csv as dicts, numbers as numbers.

    Parameters
    ----------
    path : path

    Returns
    -------
    list of dict
        A row of the table each, with the columns COLUMNS, of an older table fewer of the last.

    Raises
    ------
    ValueError
        When it is not there or broken; it names the line.
    """
    return [line | _numbers(where, line) for where, line in read_table(path, FIXED)]


def _numbers(where, line):
    """Return the numbers of a line, Caffe's own where there are; ValueError names what is none, or no row."""
    try:
        table3_row(*Row.of(line))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    numbers = (*NUMBERS, *(key for key in ("caffe_avg", "caffe_best_avg") if line.get(key)))
    try:
        return {key: float(line[key]) for key in numbers}
    except ValueError as error:
        named = ", ".join(numbers)
        raise ValueError(f"{where}: found what is no number ({error}); wanted numbers in {named}") from None


def heading_of(rows):
    """Return what our column is called: by the data of its rows, of which each says what else stands in."""
    on = {provenance.STAND_IN in str(line.get("data_kind", "")) for line in rows}
    return "measured" if on <= {False} else "on the stand-in" if on == {True} else "measured, see rows"


def origin(line):
    """Return where a row's number comes from, in a line: what stands in, weights, normalisation, iterate, data."""
    lacking = provenance.stand_ins(line)
    kind = f" ({line['weights_kind']})" if line.get("weights_kind") else ""
    parts = [
        f"STAND-IN {lacking}" if lacking else "",
        f"from {line['weights']}{kind}" if line.get("weights") else "",
        *(line.get(name, "") for name in ("normalization", "iterate")),
        _caffes_own(line),
        line.get("data", ""),
    ]
    return "; ".join(str(part) for part in parts if part) or "not recorded where it comes from"


def _caffes_own(line):
    if not line.get("caffe_avg"):
        return ""
    at_best = f"at best {float(line['caffe_best_avg']):.1f} (optimistic, {line['caffe_best_iterate']})"
    return f"Caffe's own average over batches {float(line['caffe_avg']):.1f}, {at_best}"


def format_table(rows):
    """Return the table for a terminal: row | published | measured | larger pole | interval | pictures; its origin."""
    headings = ("row", "published", heading_of(rows), "larger pole", "95% interval", "pictures")
    cells = [
        (
            Row.of(line).title,
            f"{line['published_avg']:.1f}",
            f"{line['avg']:.1f}",
            f"{line['larger_pole_avg']:.1f}",
            f"{line['low95']:.1f}..{line['high95']:.1f}",
            f"{line['n']:.0f}",
        )
        for line in rows
    ]
    heading, rule, *lines = columns(headings, cells, rule=True)
    told = [
        part
        for line, row in zip(lines, rows, strict=True)
        for part in (line, f"    {origin(row)}", f"    {row['command']}")
    ]
    return "\n".join([heading, rule, *told])


def format_brief(rows):
    """Return a line a row for the end of a job: row | published | measured | interval | what stands in."""
    headings = ("row", "published", heading_of(rows), "95% interval", "stand-in")
    cells = [
        (
            Row.of(line).title,
            f"{line['published_avg']:.1f}",
            f"{line['avg']:.1f}",
            f"{line['low95']:.1f}..{line['high95']:.1f}",
            provenance.stand_ins(line) or "none",
        )
        for line in rows
    ]
    return "\n".join(columns(headings, cells, "lrrrl"))


def write_figures(path, scores_path):
    """Write all figures of a scores file (see `mindpics.results.metrics.evaluate`) as JSON."""
    _, labels, scores = load_scores(scores_path)
    write_json(path, evaluate(labels, scores))
