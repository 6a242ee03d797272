"""Tables of the report as plain values, no markup."""

from dataclasses import dataclass

from mindpics.files.json_files import read_json
from mindpics.published import Row, table3_row
from mindpics.report.addresses import hide_addresses
from mindpics.results.run_files import read_rows
from mindpics.traits import TRAITS


@dataclass(frozen=True)
class Table:
    """A table: its columns as (heading, kind), kind "text", "number" or "code", its rows of values, and a command
    that made them all, where one did."""

    caption: str
    columns: tuple
    rows: list
    command: str = ""


def table3(run):
    """Paper, ours, difference, interval, pictures, seed and command of each row of Table 3."""
    seed = run.facts.get("seed", "not recorded")
    columns = (
        ("row", "text"), ("paper", "number"), (_ours(run), "number"), ("difference", "number"),
        ("95% interval", "number"), ("larger pole", "number"), ("n", "number"), ("seed", "number"),
        ("command", "code"),
    )  # fmt: skip
    rows = [
        [Row.of(row).title, f"{row['published_avg']:.1f}", f"{row['avg']:.1f}",
         f"{row['avg'] - row['published_avg']:+.1f}", f"{row['low95']:.1f} to {row['high95']:.1f}",
         f"{row['larger_pole_avg']:.1f}", f"{row['n']:.0f}", seed,
         row["command"]]
        for row in run.table3
    ]  # fmt: skip
    caption = "Accuracy in %, mean over traits. Larger pole: always guessing the pole that is larger in the test set."
    return Table(caption, columns, rows)


def table3_traits(run):
    """Each trait of each row of Table 3: paper and ours."""
    ours = _ours(run)
    columns = (("row", "text"), ("trait", "text"), ("paper", "number"), (ours, "number"), ("difference", "number"))
    rows = []
    for row in run.table3:
        paper = table3_row(*Row.of(row))
        title = Row.of(row).title
        rows += [[title, t, f"{paper[t]:.1f}", f"{row[t]:.1f}", f"{row[t] - paper[t]:+.1f}"] for t in TRAITS]
    return Table("Accuracy in % of each trait.", columns, rows)


def table2(run):
    """Paper, ours, difference, interval of each row of the Pinterest paper's Table 2."""
    seed = read_json(run.pinterest / "run.json").get("options", {}).get("seed", "not recorded")
    columns = (
        ("model", "text"), ("paper", "number"), (_ours(run), "number"), ("difference", "number"),
        ("95% interval", "number"), ("F1, paper", "number"), ("F1, " + _ours(run), "number"),
        ("recall@10", "number"), ("n", "number"), ("seed", "number"), ("command", "code"),
    )  # fmt: skip
    rows = []
    for row in run.table2:
        paper, f1 = row["published_accuracy"], row["published_f1"]
        difference = "" if paper == "" else f"{row['accuracy'] - paper:+.2f}"
        rows.append([row["model"], paper, f"{row['accuracy']:.2f}", difference,
                     f"{row['low95']:.2f} to {row['high95']:.2f}", f1, f"{row['f1_macro']:.2f}",
                     f"{row['recall_at_10']:.2f}", f"{row['n']:.0f}", seed, row["command"]])  # fmt: skip
    caption = (
        "Accuracy, macro F1 and recall at 10 in %. Rows without a paper's figure are not in the paper. The paper's fc7 "
        "is of the DeCAF library's own ImageNet net; another net's stands for it, which \"in words\" below names."
    )
    ends = dict.fromkeys(row["C_at_end"] for row in run.table2 if row.get("C_at_end"))
    caption = ". ".join([caption.rstrip("."), *ends]) + "."
    if len({row[-1] for row in rows}) != 1:
        return Table(caption, columns, rows)
    return Table(caption, columns[:-1], [row[:-1] for row in rows], rows[0][-1])


def words(figures):
    """Accuracy of each word, from `mindpics.report.figures.word_figures`."""
    columns = (("word", "text"), ("trait", "text"), ("pole", "text"), ("right", "number"), ("n", "number"),
               ("accuracy, %", "number"), ("95% interval", "number"))  # fmt: skip
    rows = [
        [w["word"], w["trait"], w["pole"], w["right"], w["n"], f"{100 * w['accuracy']:.0f}",
         f"{100 * w['low95']:.0f} to {100 * w['high95']:.0f}"]
        for w in figures
    ]  # fmt: skip
    return Table("Test pictures of each word that are classified right.", columns, rows)


def pinterest_users(run):
    """The users whom CF+Ref names worst and best (Table 3 of the Pinterest paper); None where not written."""
    path = run.pinterest / "table3.csv"
    if not path.is_file():
        return None
    _, rows = read_rows(path)
    columns = (("F1", "text"), ("rank", "number"), ("user", "text"), ("median words", "number"), ("F1, ours", "number"),
               ("user, paper", "text"), ("median words, paper", "number"), ("F1, paper", "number"))  # fmt: skip
    columns = (*columns, ("note", "text"))[: len(rows[0]) if rows else None]  # runs before had no notes
    rows = [[hide_addresses(value) for value in row] for row in rows]
    return Table("F1 of CF+Ref. The paper's users and these are different people.", columns, rows)


def pinterest_facts(run):
    """What the Pinterest paper says in words (sections 3 to 5), beside this run; None where not written."""
    facts = read_json(run.pinterest / "summary.json")
    names = {
        "users_f1_below_10pct": "users with an F1 under 10%", "users_f1_above_90pct": "users with an F1 over 90%",
        "pearson_f1_vs_median_words": "correlation of F1 with median words", "recall_at_10_cf": "recall at 10 of CF, %",
        "image_features": "image features", "words_per_pin": "words a pin",
        "dictionary_words": "words in the dictionary",
        "images_shared_by_two_or_more_users_pct": "pictures that two or more users pinned, %",
        "explained_variance_10_pcs": "variance explained by 10 principal components",
        "C": "chosen C", "C_at_an_end_of_its_grid": "of which at an end of the grid",
    }  # fmt: skip
    rows = [["users", 117, facts["users"]]] if "users" in facts else []  # section 3
    rows += [[text, _facts(facts[key]["published"]), _facts(facts[key]["measured"])]
             for key, text in names.items() if key in facts]  # fmt: skip
    return Table("", (("", "text"), ("paper", "text"), (_ours(run), "text")), rows) if rows else None


def _facts(value):
    if not isinstance(value, dict):
        return "none" if value is None else value
    said = {key.replace("_", " "): one if isinstance(one, str) else f"{one:.4g}" for key, one in value.items()}
    return "; ".join(f"{key} {one}" for key, one in said.items())


def _ours(run):
    return "ours, on the stand-in" if run.stand_in() else "ours"
