"""The tables of the report, from a run's files: headings and cells as plain values, no markup."""

import ast
import re
from dataclasses import dataclass

from mindpics.published import published, table3_row
from mindpics.run_files import read_json
from mindpics.traits import TRAITS


@dataclass(frozen=True)
class Table:
    """A table: its columns as (heading, kind), kind "text", "number" or "code", and its rows of values."""

    caption: str
    columns: tuple
    rows: list


def table3(run):
    """Paper, ours, difference, interval, pictures, seed and command of each row of Table 3."""
    seed = run.facts.get("seed", "not recorded")
    columns = (
        ("row", "text"), ("paper", "number"), (_ours(run), "number"), ("difference", "number"),
        ("95% interval", "number"), ("larger pole", "number"), ("n", "number"), ("seed", "number"),
        ("command", "code"),
    )  # fmt: skip
    rows = [
        [_name(row), f"{row['published_avg']:.1f}", f"{row['avg']:.1f}", f"{row['avg'] - row['published_avg']:+.1f}",
         f"{row['low95']:.1f} to {row['high95']:.1f}", f"{row['larger_pole_avg']:.1f}", f"{row['n']:.0f}", seed,
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
        paper = table3_row(row["net"], row["heads"], row["init"])
        rows += [[_name(row), t, f"{paper[t]:.1f}", f"{row[t]:.1f}", f"{row[t] - paper[t]:+.1f}"] for t in TRAITS]
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
    caption = "Accuracy, macro F1 and recall at 10 in %. Rows without a paper's figure are not in the paper."
    return Table(caption, columns, rows)


def words(figures):
    """Accuracy of each word, from `mindpics.figures.word_figures`."""
    columns = (("word", "text"), ("trait", "text"), ("pole", "text"), ("right", "number"), ("n", "number"),
               ("accuracy, %", "number"), ("95% interval", "number"))  # fmt: skip
    rows = [
        [w["word"], w["trait"], w["pole"], w["right"], w["n"], f"{100 * w['accuracy']:.0f}",
         f"{100 * w['low95']:.0f} to {100 * w['high95']:.0f}"]
        for w in figures
    ]  # fmt: skip
    return Table("Test pictures of each word that are classified right.", columns, rows)


def data(run):
    """How many pictures a trait, pole and split, beside the paper's about 24,000 a trait."""
    traits = run.selection.get("traits")
    if not traits:
        return None
    columns = (("trait", "text"), ("pole", "text"), ("train", "number"), ("test", "number"), ("words used", "number"))
    used = [(w["trait"], w["pole"]) for w in run.selection.get("words", []) if w["selected"]]
    rows = [[t, pole, traits[t]["train"][pole], traits[t]["test"][pole], f"{used.count((t, pole))} of 11"]
            for t in TRAITS for pole in ("high", "low")]  # fmt: skip
    return Table("Pictures selected by the paper's words.", columns, rows)


def selection(run):
    """Where each post went; the counts add up."""
    names = {
        "posts_read": "posts read", "carry_no_word": "carry none of the 110 words", "over_the_cap": "over the cap",
        "unreadable": "picture cannot be read", "selected": "selected", "train": "of these, train",
        "test": "of these, test",
    }  # fmt: skip
    rows = [[text, run.selection[key]] for key, text in names.items() if key in run.selection]
    copies = run.selection.get("near_copies", {}).get("test_pictures_with_a_copy_in_train")
    rows += [["test pictures with a near copy in train", copies]] if copies is not None else []
    return Table("What became of the posts.", (("", "text"), ("posts", "number")), rows)


def rejected(run):
    """Every list of rejections with its count and main reasons, and what drawing left out."""
    rows = [[of["file"], of["count"], "; ".join(f"{why}: {n}" for why, n in of["reasons"])] for of in run.rejected()]
    for name, summary in run.corpora().items():
        why = {**summary.get("rejected_why", {}), **summary.get("left_out_why", {})}
        gone = summary.get("rejected", 0) + summary.get("left_out", 0)
        rows.append([f"{name}: {summary.get('read')} read, {summary['drawn']} drawn", gone,
                     "; ".join(f"{reason}: {n}" for reason, n in why.items())])  # fmt: skip
    return Table("Lists with nothing rejected stand here too.",
                 (("list", "text"), ("rejected", "number"), ("why", "text")), rows)  # fmt: skip


def choices(run):
    """What the papers say, or leave open, beside what this run did."""
    setting, facts = run.facts.get("setting", {}), run.facts
    asked, paper = run.selection.get("arguments", {}), published()
    crops = "; ".join(f"{size} in {where}" for where, size in paper["training"]["crop"].items())
    stated = [
        ("data", f"{paper['dataset']['images']:,} Instagram pictures", facts.get("data")),
        ("weights to fine-tune from", "ImageNet", facts.get("weights")),
        ("side of a picture", paper["dataset"]["image_size"], setting.get("size")),
        ("pictures a word, at most", paper["dataset"]["images_per_word_about"], asked.get("per_word")),
        ("pictures a pole, at most", "no cap", asked.get("per_pole")),
        ("split", "random, 80/20", f"by {asked['split']}" if "split" in asked else None),
        ("crop", crops, setting.get("crop")),
        ("width of the nets", "1", setting.get("width")),
        ("batch", paper["training"]["batch_size"], setting.get("batch")),
        ("schedule", "not stated", setting.get("schedules")),
        ("normalisation of equation 5", "not stated", setting.get("normalization")),
        ("moving average of BatchNorm", "not stated", setting.get("fraction")),
        ("seed", "not stated", facts.get("seed")),
    ]
    rows = [[what, readable(said), readable(ours)] for what, said, ours in stated if ours is not None]
    return Table("The README's 'Differences and choices' gives the reasons.",
                 (("what", "text"), ("paper", "text"), ("this run", "text")), rows)  # fmt: skip


def environment(run):
    """Versions that ran this."""
    facts = {"Python": run.facts.get("python"), "machine": run.facts.get("machine"), "GPU": run.facts.get("gpu")}
    rows = [[name, value] for name, value in facts.items() if value is not None]
    rows += [[name, version] for name, version in run.facts.get("versions", {}).items()]
    rows += [["command", " ".join(run.facts["command"])]] if run.facts.get("command") else []
    return Table("", (("", "text"), ("version", "text")), rows)


def hashes(run):
    """SHA-256 of the selection, the table, and every net with the weights it started from."""
    named = {"mindpics/mindpics.csv": run.facts.get("selection"), "mindpics/table3.csv": run.facts.get("table3")}
    rows = [[name, "", "", "", "", value] for name, value in named.items() if value]
    for net in run.nets():
        start = (net.get("weights") or {}).get("sha256") or "fillers"
        rows.append([net["name"], net.get("iterations", ""), net.get("seconds", ""), net.get("random_seed", ""),
                     start, net.get("caffemodel_sha256", "")])  # fmt: skip
    columns = (("file or net", "text"), ("iterations", "number"), ("seconds", "number"), ("seed", "number"),
               ("started from", "code"), ("SHA-256", "code"))  # fmt: skip
    return Table("SHA-256.", columns, rows)


def readable(value):
    """Return a value as text; a dict, or the text of one as run.json has it, as "key: value" parts."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = ast.literal_eval(re.sub(r"Schedule\(([^()]*)\)", r"'\1'", value))
        except (ValueError, SyntaxError):
            return value
    if not isinstance(value, dict):
        return "none" if value in (None, "None") else str(value)
    parts = [f"{' '.join(key) if isinstance(key, tuple) else key}: {one}" for key, one in value.items()]
    return "; ".join(parts)


def _name(row):
    return f"{row['net']} {row['heads']} {row['init']}"


def _ours(run):
    return "ours, on the stand-in" if run.stand_in() else "ours"
