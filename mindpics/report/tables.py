"""Tables of the report as plain values, no markup."""

from mindpics.published import Row, table3_row
from mindpics.results.claims import claims as claims_of
from mindpics.results.study import Table
from mindpics.results.table3 import origin
from mindpics.traits import TRAITS

SENSITIVITY = ("before", "after", "difference", "low95", "high95")


def claims(run):
    """What the paper says in words (section 4.1) beside what the run shows; None where its scores tell of nothing."""
    columns = (
        ("claim", "text"),
        ("paper, points", "number"),
        (f"{run.ours()}, points", "number"),
        ("95% interval", "number"),
        ("so it is", "text"),
    )
    rows = [
        [
            claim.words,
            "" if claim.paper is None else f"{claim.paper:+.1f}",
            f"{claim.shown:+.1f}",
            f"{claim.low:+.1f} to {claim.high:+.1f}",
            claim.verdict,
        ]
        for claim in claims_of(run.mindpics.folder)
    ]
    caption = "Differences of accuracy are paired on the same test pictures; of AUC they are of different pictures."
    return Table(caption, columns, rows) if rows else None


def sensitivity(lines):
    """How far each open reading moves each headline number; lines of `mindpics.results.sensitivity`."""
    columns = (
        ("number", "text"),
        ("choice", "text"),
        ("default", "text"),
        ("reading", "text"),
        ("default, %", "number"),
        ("reading, %", "number"),
        ("moved by", "number"),
        ("95% interval", "number"),
        ("over", "text"),
        ("n", "number"),
        ("seeds", "number"),
        ("note", "text"),
    )
    rows = []
    for line in lines:
        numbers = ("", "", "", "")
        if line["difference"]:
            before, after, moved, low, high = (float(line[key]) for key in SENSITIVITY)
            numbers = (f"{before:.1f}", f"{after:.1f}", f"{moved:+.1f}", f"{low:+.1f} to {high:+.1f}")
        named = [f"{line['paper']}: {line['number']}", *(line[key] for key in ("choice", "default", "reading"))]
        rows.append([*named, *numbers, *(line[key] for key in ("interval_over", "n", "seeds", "note"))])
    caption = (
        "What the papers leave open, one choice at a time against the default, in points; paired on the n test "
        "pictures or pins that both models were tested on, on which the two percentages are."
    )
    return Table(caption, columns, rows)


def table3(run):
    """Paper, ours, difference, interval, pictures, seed and command of each row of Table 3."""
    seed = run.facts.get("seed", "not recorded")
    columns = (
        ("row", "text"),
        ("paper", "number"),
        (run.ours(), "number"),
        ("difference", "number"),
        ("95% interval", "number"),
        ("larger pole", "number"),
        ("n", "number"),
        ("seed", "number"),
        ("from", "text"),
        ("command", "code"),
    )
    rows = [
        [
            Row.of(row).title,
            f"{row['published_avg']:.1f}",
            f"{row['avg']:.1f}",
            f"{row['avg'] - row['published_avg']:+.1f}",
            f"{row['low95']:.1f} to {row['high95']:.1f}",
            f"{row['larger_pole_avg']:.1f}",
            f"{row['n']:.0f}",
            seed,
            origin(row),
            row["command"],
        ]
        for row in run.table3
    ]
    caption = "Accuracy in %, mean over traits. Larger pole: always guessing the pole that is larger in the test set."
    return Table(caption, columns, rows)


def table3_traits(run):
    """Each trait of each row of Table 3: paper and ours."""
    ours = run.ours()
    columns = (("row", "text"), ("trait", "text"), ("paper", "number"), (ours, "number"), ("difference", "number"))
    rows = []
    for row in run.table3:
        paper = table3_row(*Row.of(row))
        title = Row.of(row).title
        rows += [[title, t, f"{paper[t]:.1f}", f"{row[t]:.1f}", f"{row[t] - paper[t]:+.1f}"] for t in TRAITS]
    return Table("Accuracy in % of each trait.", columns, rows)


def words(figures):
    """Accuracy of each word, from `mindpics.report.figures.word_figures`."""
    columns = (
        ("word", "text"),
        ("trait", "text"),
        ("pole", "text"),
        ("right", "number"),
        ("n", "number"),
        ("accuracy, %", "number"),
        ("95% interval", "number"),
    )
    rows = [
        [
            w["word"],
            w["trait"],
            w["pole"],
            w["right"],
            w["n"],
            f"{100 * w['accuracy']:.0f}",
            f"{100 * w['low95']:.0f} to {100 * w['high95']:.0f}",
        ]
        for w in figures
    ]
    return Table("Test pictures of each word that are classified right.", columns, rows)
