"""Tables and figures from saved scores; nothing is fitted here."""

import random
from itertools import combinations
from pathlib import Path

import numpy as np

from mindpics.files.columns import columns
from mindpics.files.tables import read_table, rows_of, write_table
from mindpics.results.paired import pair
from pinterest_id import figures, metrics
from pinterest_id.facts_table import read_facts, write_facts_table
from pinterest_id.layout import ExperimentFiles
from pinterest_id.published import published, table2_row
from pinterest_id.scores import OTHER_ROWS, PAPER_ROWS, load_scores

NOT_IN_PAPER = "not in the paper"
# whose C may come of another grid
BASELINES = ("text", "images", "linear_0.3", "linear_0.5", "linear_0.7", "images_fine_tuned")
ONE_MODALITY = {"text": "text", "images": "image", "images_fine_tuned": "image"}
TABLE2 = [
    "model",
    "accuracy",
    "f1_macro",
    "recall_at_10",
    "low95",
    "high95",
    "n",
    "published_accuracy",
    "published_f1",
    "command",
    "C_text",
    "C_image",
    "C_at_end",
    "not_converged",
]
NOTES = ("C_at_end", "not_converged")  # which stand below the table

PUBLISHED = ("published_accuracy", "published_f1")
MEASURED = ("accuracy", "f1_macro", "recall_at_10", "low95", "high95")


def write_report(folder, command="", seed=0):
    """Write every table and figure of a run folder that has scores.

    Parameters
    ----------
    folder : path
        Of `pinterest_id.experiment`.
    command : str
        What reproduces a row; stands in table2.csv.
    seed : int
        Of the sample of five users in Table 1, and of the bootstrap.

    Returns
    -------
    list of dict
        The rows of table2.csv.

    Raises
    ------
    ValueError
        When score files are missing or hold different pins.
    """
    folder = Path(folder)
    files, scores = ExperimentFiles(folder), read_all(folder)
    words = rows_of(files.words_by_user)
    facts = read_facts(folder)
    rows = [_row(slug, s, command, seed) | _penalties(slug, facts["C"]) for slug, s in scores.items()]
    write_table(files.table2, TABLE2, [[row[key] for key in TABLE2] for row in rows])
    _write_intervals(files.intervals, scores, seed)
    _write_mcnemar(files.mcnemar, scores)
    _write_table1(files, seed)
    tested = metrics.tested(scores["cf_ref"].codes)
    f1 = {name_of(slug): metrics.f1_users(s.codes, s.logs)[tested] for slug, s in scores.items()}
    users = scores["cf_ref"].users[tested]
    medians = _medians(words, users)
    _write_users(files, users, f1, medians)
    _write_pairs(files.confused_pairs, scores["cf_ref"])
    write_facts_table(folder, rows, f1["CF+Ref"], medians, facts | {"users": len(scores["cf_ref"].users)})
    figures.draw_all(folder)
    return rows


def name_of(slug):
    """Return the row name of a score file."""
    return {**PAPER_ROWS, **OTHER_ROWS}[slug]


def read_all(folder):
    """Return {slug: Scores} of a run folder, Table 2's rows first; raises where they do not belong together."""
    files = ExperimentFiles(Path(folder))
    paths = {slug: files.scores_of(slug) for slug in {**PAPER_ROWS, **OTHER_ROWS}}
    missing = [slug for slug in PAPER_ROWS if not paths[slug].is_file()]
    if missing:
        raise ValueError(
            f"{folder}: found no scores of {', '.join(missing)}; wanted what tools/run_identification makes"
        )
    scores = {slug: load_scores(path) for slug, path in paths.items() if path.is_file()}
    ids = scores["text"].ids
    for slug, s in scores.items():
        if not np.array_equal(s.ids, ids):
            raise ValueError(
                f"{paths[slug]}: found other pins; wanted those of {paths['text']}: run the experiment again"
            )
    return scores


def read_table2(folder):
    """Return the rows of a run folder's table2.csv, figures as numbers, "" where the paper has none.

    Parameters
    ----------
    folder : path
        Of tools/run_pinterest.

    Raises
    ------
    ValueError
        When the table is not there, or broken; it names the line.
    """
    return [row | _numbers(where, row) for where, row in read_table(ExperimentFiles(Path(folder)).table2, TABLE2[:10])]


def _numbers(where, row):
    try:
        measured = {key: float(row[key]) for key in MEASURED} | {"n": int(row["n"])}
        return measured | {key: float(row[key]) if row[key] else "" for key in PUBLISHED}
    except ValueError as error:
        raise ValueError(
            f"{where}: found what is no number ({error}); wanted numbers in {', '.join((*MEASURED, 'n', *PUBLISHED))}"
        ) from None


def format_table2(rows):
    """Return Table 2 as text: row, published, measured, interval, command, and a line before what the paper has not."""
    headings = ("model", "published", "measured", "95% interval", "F1", "recall@10")
    cells = [
        (
            row["model"],
            row["published_accuracy"],
            f"{row['accuracy']:.2f}",
            f"{row['low95']:.2f}-{row['high95']:.2f}",
            f"{row['f1_macro']:.2f}",
            f"{row['recall_at_10']:.2f}",
        )
        for row in rows
    ]
    lines = columns(headings, cells)
    ours = next((place for place, row in enumerate(rows, 1) if row["published_accuracy"] == ""), None)
    if ours:
        lines.insert(ours, f"--- {NOT_IN_PAPER} ".ljust(max(map(len, lines)), "-"))
    lines.append(f"accuracy in % of {rows[0]['n']} test pins; each row: {rows[0]['command']}")
    notes = dict.fromkeys(note for row in rows for name in NOTES for note in row[name].split("; ") if note)
    return "\n".join([*lines, *notes])


def format_brief(rows):
    """Return a line a row of the paper's for the end of a job: row, published, measured, interval."""
    cells = [
        (
            row["model"],
            f"{row['published_accuracy']:.2f}",
            f"{row['accuracy']:.2f}",
            f"{row['low95']:.2f}..{row['high95']:.2f}",
        )
        for row in rows
        if row["published_accuracy"] != ""
    ]
    return "\n".join(columns(("model", "published", "measured", "95% interval"), cells))


def _row(slug, s, command, seed):
    interval, paper = metrics.accuracy_over_pins(s.codes, s.logs, seed=seed), table2_row(name_of(slug)) or {}
    measured = {
        "accuracy": metrics.accuracy(s.codes, s.logs),
        "f1_macro": metrics.f1_macro(s.codes, s.logs),
        "recall_at_10": metrics.recall_at(s.codes, s.logs),
        "low95": interval.low,
        "high95": interval.high,
    }
    return {
        "model": name_of(slug),
        **{key: round(100 * value, 2) for key, value in measured.items()},
        "n": len(s.ids),
        "published_accuracy": paper.get("accuracy", ""),
        "published_f1": paper.get("f1_macro", ""),
        "command": command,
    }


def _penalties(slug, chosen):
    """Return the C of each modality of a row, which of them lie at an end of their grid, and fits not converged."""
    image = "fine_tuned" if slug.endswith("fine_tuned") else "image"
    baselines = "_baselines" if slug in BASELINES and "text_baselines" in chosen else ""
    names = {"text": f"text{baselines}", "image": f"{image}{baselines}"}
    names = {key: name for key, name in names.items() if key == ONE_MODALITY.get(slug, key)}
    ends = [_at_end(key, chosen[name]) for key, name in names.items() if chosen[name]["end"]]
    values = {f"C_{key}": chosen[names[key]]["chosen"] if key in names else "" for key in ("text", "image")}
    unsolved = [
        f"fit of {key}, {text}" for key, name in names.items() for text in chosen[name].get("not_converged", ())
    ]
    return values | {"C_at_end": "; ".join(ends), "not_converged": "; ".join(unsolved)}


def _at_end(modality, choice):
    grid = ", ".join(f"{C:g}" for C in choice["grid"])
    return f"C of {modality}, {choice['chosen']:g}, is the {choice['end']} of {grid}: a better one may lie beyond"


def _write_intervals(path, scores, seed):
    kinds = {
        ("accuracy", "pins"): metrics.accuracy_over_pins,
        ("accuracy", "users"): metrics.accuracy_over_users,
        ("f1_macro", "pins"): metrics.f1_over_pins,
        ("f1_macro", "users"): metrics.f1_over_users,
    }
    rows = []
    for slug, s in scores.items():
        for (metric, over), bootstrap in kinds.items():
            interval = bootstrap(s.codes, s.logs, seed=seed)
            rows.append([name_of(slug), metric, over, round(100 * interval.low, 2), round(100 * interval.high, 2)])
    write_table(path, ["model", "metric", "resampled", "low95", "high95"], rows)


def _write_mcnemar(path, scores):
    right = {name_of(slug): metrics.right(s.codes, s.logs) for slug, s in scores.items()}
    tests = {names: pair(*(right[name] for name in names)) for names in combinations(right, 2)}
    rows = [[*names, test.only_first, test.only_second, f"{test.p_value:.3g}"] for names, test in tests.items()]
    write_table(path, ["first", "second", "only_first_right", "only_second_right", "p_value"], rows)


def _write_table1(files, seed):
    """Five random users' five top words (Table 1)."""
    rows = rows_of(files.top_words)
    users = sorted({row["user"] for row in rows})
    sample = sorted(random.Random(seed).sample(users, min(5, len(users))))
    chosen = [row for row in rows if row["user"] in sample]
    write_table(files.table1, ["user", "rank", "word", "pins"], [row.values() for row in chosen])


def _write_users(files, users, f1, medians):
    """F1 of each tested user under each model (figure 4), and the five lowest and highest of CF+Ref (Table 3)."""
    write_table(
        files.f1_by_user,
        ["user", "median_words", *f1],
        [
            [user, median, *(f"{values[k]:.4f}" for values in f1.values())]
            for k, (user, median) in enumerate(zip(users, medians, strict=True))
        ],
    )
    order, paper = np.argsort(f1["CF+Ref"], kind="stable"), published()["table3_users"]
    rows = []
    for end, chosen in (("lowest", order[:5]), ("highest", order[::-1][:5])):
        for rank, (k, theirs) in enumerate(zip(chosen, paper[end], strict=False), 1):
            note = paper["notes"].get(str(theirs[0]), "")
            rows.append([end, rank, users[k], medians[k], f"{f1['CF+Ref'][k]:.3f}", *theirs, note])
    header = ["performance", "rank", "user", "median_words", "f1"]
    theirs = ["published_user", "published_median_words", "published_f1", "published_note"]
    write_table(files.table3, [*header, *theirs], rows)


def _write_pairs(path, s):
    pairs = metrics.confused_pairs(s.codes, s.logs)
    rows = [[s.users[a], s.users[b], ab, ba] for a, b, ab, ba in pairs]
    write_table(path, ["user_a", "user_b", "pins_of_a_given_to_b", "pins_of_b_given_to_a"], rows)


def _medians(words, users):
    median = {row["user"]: float(row["median"]) for row in words}
    return np.array([median[user] for user in users])
