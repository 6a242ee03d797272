"""Facts tables of the report: data, rejections, choices, environment, hashes."""

import ast
import re
import shlex

from mindpics.files.layout import JobFiles
from mindpics.published import published
from mindpics.results.study import Table
from mindpics.traits import TRAITS

SEED = "seed"  # the choice in which repeats of a run differ


def data(run):
    """How many pictures a trait, pole and split, beside the paper's about 24,000 a trait."""
    traits = run.selection.get("traits")
    if not traits:
        return None
    columns = (("trait", "text"), ("pole", "text"), ("train", "number"), ("test", "number"), ("words used", "number"))
    used = [(w["trait"], w["pole"]) for w in run.selection.get("words", []) if w["selected"]]
    rows = [
        [t, pole, traits[t]["train"][pole], traits[t]["test"][pole], f"{used.count((t, pole))} of 11"]
        for t in TRAITS
        for pole in ("high", "low")
    ]
    return Table("Pictures selected by the paper's words.", columns, rows)


def selection(run):
    """Where each post went; the counts add up."""
    names = {
        "half_surrogates": "left out for half a surrogate pair",
        "posts_read": "posts read",
        "carry_no_word": "carry none of the 110 words",
        "over_the_cap": "over the cap",
        "posted_again": "picture is another post's that was picked",
        "unreadable": "picture cannot be read",
        "selected": "selected",
        "train": "of these, train",
        "test": "of these, test",
    }
    rows = [[text, run.selection[key]] for key, text in names.items() if key in run.selection]
    copies = run.selection.get("near_copies", {}).get("test_pictures_with_a_copy_in_train")
    rows += [["test pictures with a near copy in train", copies]] if copies is not None else []
    return Table("What became of the posts.", (("", "text"), ("posts", "number")), rows)


def rejected(run):
    """Every list of rejections with its count and main reasons, and what drawing left out."""
    rows = [
        [rejections["file"], rejections["count"], "; ".join(f"{why}: {n}" for why, n in rejections["reasons"])]
        for rejections in run.rejected()
    ]
    for name, summary in run.corpora().items():
        why = {**summary.get("rejected_why", {}), **summary.get("left_out_why", {})}
        gone = summary.get("rejected", 0) + summary.get("left_out", 0)
        rows.append(
            [
                f"{name}: {summary.get('read')} read, {summary['drawn']} drawn",
                gone,
                "; ".join(f"{reason}: {n}" for reason, n in why.items()),
            ]
        )
    return Table(
        "Lists with nothing rejected stand here too.", (("list", "text"), ("rejected", "number"), ("why", "text")), rows
    )


def choices(runs, names=("this run",)):
    """What the papers say, or leave open, beside what each run did.

    Parameters
    ----------
    runs : list of mindpics.results.run_files.RunFiles
    names : sequence of str
        Headings of their columns.
    """
    stated, ours = paper_choices(), [run_choices(run) for run in runs]
    rows = [
        [
            choice,
            readable(paper),
            *(readable(by_choice[choice]) if by_choice.get(choice) is not None else "" for by_choice in ours),
        ]
        for choice, paper in stated.items()
        if any(by_choice.get(choice) is not None for by_choice in ours)
    ]
    return Table(
        "The README's 'Differences and choices' gives the reasons.",
        (("what", "text"), ("paper", "text"), *((name, "text") for name in names)),
        rows,
    )


def paper_choices():
    """Return {what: what the MindPics paper says of it}."""
    paper = published()
    return {
        "data": f"{paper['dataset']['images']:,} Instagram pictures",
        "weights to fine-tune from": "ImageNet",
        "side of a picture": paper["dataset"]["image_size"],
        "pictures a word, at most": paper["dataset"]["images_per_word_about"],
        "pictures a pole, at most": "no cap",
        "split": "random, 80/20",
        "crop": "; ".join(f"{size} in {where}" for where, size in paper["training"]["crop"].items()),
        "width of the nets": "1",
        "batch": paper["training"]["batch_size"],
        "passes an update (iter_size)": "not stated",
        "schedule": "not stated",
        "normalisation of equation 5": "ignored pictures are zeros in the mean over the batch (section 3.2.2)",
        "words are looked for in": "posts that words tag (section 3.1)",
        "moving average of BatchNorm": "not stated",
        "BatchNorm of fine-tuned nets": "not stated",
        "layers of the losses": "not stated",
        "users with fewer pins": "none",
        SEED: "not stated",
    }


def run_choices(run):
    """Return {what: what a run did}, as `paper_choices`; what is not recorded is absent or None."""
    setting, arguments = run.facts.get("setting", {}), run.selection.get("arguments", {})
    return {
        "data": run.facts.get("data"),
        "weights to fine-tune from": run.facts.get("weights"),
        "side of a picture": setting.get("size"),
        "pictures a word, at most": arguments.get("per_word"),
        "pictures a pole, at most": arguments.get("per_pole"),
        "split": _split(arguments),
        "crop": _per_row(setting.get("crop")),
        "width of the nets": _per_row(setting.get("width")),
        "batch": _per_row(setting.get("batch")),
        "passes an update (iter_size)": _per_row(setting.get("iter_size")),
        "schedule": _per_row(_schedules(setting.get("schedule"))),
        "normalisation of equation 5": setting.get("normalization"),
        "words are looked for in": _words_in(arguments),
        "moving average of BatchNorm": setting.get("fraction"),
        "BatchNorm of fine-tuned nets": _statistics(setting),
        "layers of the losses": setting.get("loss"),
        "users with fewer pins": _small_users(run.facts),
        SEED: run.facts.get("seed"),
    }


def _statistics(setting):
    if not setting:
        return None
    return "as its weights have it" if setting.get("given", {}).get("frozen_batch_norm") else "of each batch"


def _small_users(facts):
    """Return what became of users with too few pins; None where none was asked to."""
    lacking = [f"kept with up to {facts['lacking']} too few"] if facts.get("lacking") else []
    return "; ".join(lacking + ["dropped"] * bool(facts.get("drop_small_users"))) or None


def _words_in(arguments):
    if not arguments:
        return None
    return "tags and hashtags alone" if arguments.get("tags_only") == "True" else "tags, hashtags and free text"


def _schedules(of_rows):
    """Return {row: "62.5 epochs, rate 0.001, divided by ten every 12.5"} of what run.json has of each row."""
    return {
        row: f"{plan['epochs']:g} epochs, rate {plan['base_lr']:g}, divided by ten every {plan['step_epochs']:g}"
        for row, plan in (of_rows or {}).items()
    }


def _per_row(of_rows):
    """Return {row: value} of Table 3's rows as {net: value}, or as one value, where that says as much."""
    if not isinstance(of_rows, dict):
        return of_rows
    rows = {row: value for row, value in of_rows.items() if " pretrain " not in row}
    if len(set(rows.values())) <= 1:
        return next(iter(rows.values()), None)
    by_net = {row.split()[0]: value for row, value in rows.items()}
    return by_net if all(by_net[row.split()[0]] == value for row, value in rows.items()) else rows


def _split(arguments):
    """Return "by image" or "by group: author, copies" from the arguments of the selection, which are text there."""
    if arguments.get("split") != "group":
        return f"by {arguments['split']}" if "split" in arguments else None
    return "by group: " + re.sub(r"[\[\]'\"]", "", str(arguments.get("group_by", "not recorded")))


def environment(runs, names=("version",)):
    """Versions that ran each run."""
    ran = [_versions(run) for run in runs]
    rows = [
        [name, *(versions.get(name, "") for versions in ran)]
        for name in dict.fromkeys(name for versions in ran for name in versions)
    ]
    return Table("", (("", "text"), *((name, "text") for name in names)), rows)


def _versions(run):
    facts = {"Python": run.facts.get("python"), "machine": run.facts.get("machine"), "GPU": run.facts.get("gpu")}
    command = {"command": shlex.join(run.facts["command"])} if run.facts.get("command") else {}
    return {name: value for name, value in facts.items() if value is not None} | run.facts.get("versions", {}) | command


def hashes(run):
    """SHA-256 of the selection, the table, and every net with the weights it started from."""
    files = JobFiles(run.root).mindpics
    paths = {"selection": files.selection, "table3": files.table3}
    named = {str(path.relative_to(run.root)): run.facts.get(key) for key, path in paths.items()}
    rows = [[name, "", "", "", "", value] for name, value in named.items() if value]
    for net in run.nets():
        start = (net.get("weights") or {}).get("sha256") or "fillers"
        rows.append(
            [
                net["name"],
                net.get("iterations", ""),
                "" if net.get("seconds") is None else net["seconds"],
                net.get("random_seed", ""),
                start,
                net.get("caffemodel_sha256", ""),
            ]
        )
    columns = (
        ("file or net", "text"),
        ("iterations", "number"),
        ("seconds", "number"),
        ("seed", "number"),
        ("started from", "code"),
        ("SHA-256", "code"),
    )
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
    parts = [f"{' '.join(key) if isinstance(key, tuple) else key}: {part}" for key, part in value.items()]
    return "; ".join(parts)
