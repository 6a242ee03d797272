"""Study of a run: Table 2, what is paired, users, facts and figures of its pinterest_id folder, for the report."""

from pathlib import Path

from mindpics.files.json_files import read_json
from mindpics.files.tables import rows_of
from mindpics.report.addresses import hide_addresses
from mindpics.results.paired import Paired
from mindpics.results.study import Caption, Comparison, Figure, Measured, Study, Table, tested_a_trained
from pinterest_id.layout import ExperimentFiles
from pinterest_id.published import published
from pinterest_id.tables import NOTES, read_table2

FOLDER = "pinterest_id"  # of a run such as runs/mini
CAPTION = Caption("Table 2", "Pinterest", "test pins")
REFINED = ("CF+Ref", "CF")
FIGURES = {
    "figure2": ("Figure 2: words a pin", "Minimum, maximum, mean and median of each user, on a log scale."),
    "figure3": ("Figure 3: two principal components", "All pins, by their text and by their images."),
    "figure4": ("Figure 4: F1 of each user", "Users in the order of CF+Ref."),
    "figure5": ("Figure 5: users by F1", "Of CF+Ref."),
    "confused_pairs": ("Most confused users", "Of CF+Ref."),
}
FACTS = {
    "users_without_a_test_pin": "users without a test pin, who have no F1",
    "users_f1_below_10pct": "users with an F1 under 10%",
    "users_f1_above_90pct": "users with an F1 over 90%",
    "pearson_f1_vs_median_words": "correlation of F1 with median words",
    "recall_at_10_cf": "recall at 10 of CF, %",
    "image_features": "image features",
    "pins_left_out": "pins that the split leaves out",
    "words_per_pin": "words a pin",
    "dictionary_words": "words in the dictionary",
    "images_shared_by_two_or_more_users_pct": "pictures that two or more users pinned, %",
    "explained_variance_10_pcs": "variance explained by 10 principal components",
    "C": "chosen C",
    "C_at_an_end_of_its_grid": "of which at an end of the grid",
}


def read_study(root, ours="ours"):
    """Return the `mindpics.results.study.Study` of a run's folder, whatever part of it is there.

    Parameters
    ----------
    root : path
        Like runs/mini.
    ours : str
        Heading of what was measured.

    Raises
    ------
    ValueError
        When a file of it is broken.
    """
    folder = Path(root) / FOLDER
    files = ExperimentFiles(folder)
    rows = read_table2(folder) if files.table2.is_file() else []
    facts = read_json(files.facts)
    parts = facts.get("parts", {})
    return Study(
        title="Pinterest user identification",
        caption=CAPTION,
        file=files.table2.name,
        rows=[_measured(row) for row in rows],
        table=table2(rows, ours, facts.get("options", {}).get("seed", "not recorded")),
        asked=("Who would post this pin?", "names the right user for"),
        tested=parts.get("test", ""),
        comparisons=_refinement(files.mcnemar, {row["model"]: row for row in rows}, parts),
        details=[*users_table(files.table3), *facts_table(files.summary, ours)],
        figures=[figure for figure in _figures(files.figures) if (figure.folder / f"{figure.name}.png").is_file()],
        options={name: value for name, value in facts.get("options", {}).items() if name != "seed"},
    )


def _measured(row):
    published = None if row["published_accuracy"] == "" else row["published_accuracy"]
    return Measured(row["model"], published, row["accuracy"], row["low95"], row["high95"], row["n"])


def table2(rows, ours, seed):
    """Return the `Table` of the rows of table2.csv: paper, ours, difference, interval.

    Parameters
    ----------
    rows : list of dict
        Of `pinterest_id.tables.read_table2`.
    ours : str
        Heading of what was measured.
    seed : int or str
    """
    columns = (
        ("model", "text"),
        ("paper", "number"),
        (ours, "number"),
        ("difference", "number"),
        ("95% interval", "number"),
        ("F1, paper", "number"),
        ("F1, " + ours, "number"),
        ("recall@10", "number"),
        ("n", "number"),
        ("seed", "number"),
        ("command", "code"),
    )
    cells = []
    for row in rows:
        paper, f1 = row["published_accuracy"], row["published_f1"]
        difference = "" if paper == "" else f"{row['accuracy'] - paper:+.2f}"
        cells.append(
            [
                row["model"],
                paper,
                f"{row['accuracy']:.2f}",
                difference,
                f"{row['low95']:.2f} to {row['high95']:.2f}",
                f1,
                f"{row['f1_macro']:.2f}",
                f"{row['recall_at_10']:.2f}",
                row["n"],
                seed,
                row["command"],
            ]
        )
    caption = (
        "Accuracy, macro F1 and recall at 10 in %. Rows without a paper's figure are not in the paper. The paper's fc7 "
        "is of the DeCAF library's own ImageNet net; another net's stands for it, which \"in words\" below names."
    )
    notes = dict.fromkeys(row[name] for name in NOTES for row in rows if row.get(name))
    caption = ". ".join([caption.rstrip("."), *notes]) + "."
    if len({row[-1] for row in cells}) != 1:
        return Table(caption, columns, cells)
    return Table(caption, columns[:-1], [row[:-1] for row in cells], cells[0][-1])


def users_table(path):
    """Return [(heading, Table)] of the users whom CF+Ref names worst and best (Table 3); [] where not written."""
    if not path.is_file():
        return []
    columns = (
        ("F1", "text"),
        ("rank", "number"),
        ("user", "text"),
        ("median words", "number"),
        ("F1, ours", "number"),
        ("user, paper", "text"),
        ("median words, paper", "number"),
        ("F1, paper", "number"),
        ("note", "text"),
    )
    rows = [[hide_addresses(value) for value in row.values()] for row in rows_of(path)]
    width = len(rows[0]) if rows else len(columns)  # runs before had no notes
    table = Table("F1 of CF+Ref. The paper's users and these are different people.", columns[:width], rows)
    return [("Table 3: the users named best and worst", table)]


def facts_table(path, ours):
    """Return [(heading, Table)] of what the paper says in words (sections 3 to 5); [] where not written."""
    facts = read_json(path)
    rows = [["users", published()["dataset"]["users"], facts["users"]]] if "users" in facts else []
    rows += [
        [text, _said(facts[key]["published"]), _said(facts[key]["measured"])]
        for key, text in FACTS.items()
        if key in facts
    ]
    table = Table("", (("", "text"), ("paper", "text"), (ours, "text")), rows)
    return [("What the paper says in words", table)] if rows else []


def _said(value):
    if not isinstance(value, dict):
        return "none" if value is None else value
    return "; ".join(f"{key.replace('_', ' ')} {_part(part)}" for key, part in value.items())


def _part(value):
    """Return a value of a fact of several; there is none of the variance of features that are all 0."""
    return _said(value) if value is None or isinstance(value, str) else f"{value:.4g}"


def _figures(folder):
    return [Figure(folder, name, "Pinterest", *text, pictures=True) for name, text in FIGURES.items()]


def _refinement(path, rows, parts):
    """From the run's own paired tests; [] where they do not have the two."""
    if not path.is_file() or not rows.keys() >= set(REFINED):
        return []
    first, second = (rows[name] for name in REFINED)
    for test in rows_of(path):
        if {test["first"], test["second"]} == set(REFINED):
            right = {test["first"]: int(test["only_first_right"]), test["second"]: int(test["only_second_right"])}
            paired = Paired(right[REFINED[0]], right[REFINED[1]], first["n"])
            paper = (first["published_accuracy"], second["published_accuracy"])
            points = first["accuracy"] - second["accuracy"]
            return [Comparison("CF+Ref against CF", paired, points, paper, _paper_pins(), tested_a_trained(parts))]
    return []


def _paper_pins():
    """Test pins of the paper: 117 users x 100 (section 3)."""
    data = published()["dataset"]
    return data["users"] * data["split_per_user"]["test"]
