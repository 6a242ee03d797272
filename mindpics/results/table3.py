"""Table 3: a row from saved scores, and the table from rows."""

import csv
import json

from mindpics.files.atomic import atomic_write
from mindpics.nets.rows import Row
from mindpics.published import table3_row
from mindpics.results.metrics import evaluate, load_scores
from mindpics.traits import TRAITS

COLUMNS = (
    "net", "heads", "init", *TRAITS, "avg", "larger_pole_avg", "low95", "high95", "n", "published_avg", "command",
)  # fmt: skip


def line_of(row, scores_path, command):
    """Return one line of table3.csv, a `Row`'s, as a dict: accuracies and interval in percent."""
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
    }


def write_table(path, rows):
    """Write table3.csv."""
    with atomic_write(path) as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_table(path):
    """Return the rows of a table3.csv, numbers as numbers."""
    with open(path, encoding="utf-8", newline="") as stream:
        return [{k: _number(v) for k, v in line.items()} for line in csv.DictReader(stream)]


def format_table(rows, measured_on):
    """Return the table for a terminal: row | published | measured | larger pole | interval | pictures."""
    heading = f"{'row':<34}{'published':>10}{measured_on:>24}{'larger pole':>13}{'95% interval':>16}{'pictures':>10}"
    lines = [heading, "-" * len(heading)]
    for line in rows:
        interval = f"{line['low95']:.1f}..{line['high95']:.1f}"
        lines.append(
            f"{Row.of(line).title:<34}{line['published_avg']:>10.1f}{line['avg']:>24.1f}{line['larger_pole_avg']:>13.1f}"
            f"{interval:>16}{line['n']:>10.0f}"
        )
        lines.append(f"    {line['command']}")
    return "\n".join(lines)


def write_figures(path, scores_path):
    """Write all figures of a scores file (see `mindpics.results.metrics.evaluate`) as JSON."""
    _, labels, scores = load_scores(scores_path)
    with atomic_write(path) as stream:
        json.dump(evaluate(labels, scores), stream, indent=1)
        stream.write("\n")


def _number(text):
    try:
        return float(text)
    except ValueError:
        return text
