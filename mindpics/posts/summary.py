"""Records of a selection: mindpics.csv, summary.json and a table for people."""

from collections import Counter

import numpy as np

from mindpics.files.layout import MindpicsFiles
from mindpics.files.own_folder import Kind
from mindpics.files.tables import read_table, write_table
from mindpics.traits import POLES, TRAITS, word_slots

SELECTION = Kind("a selection of select_mindpics", proof=(MindpicsFiles.selection,))
POSTED_AGAIN = "its picture is another post's that was picked"
COLUMNS = ("id", "image", "trait", "pole", "word", "label", "split", "group")


def write_csv(path, mindpics):
    """Write mindpics.csv: one picture a row, `image` relative to the folder of the manifest."""
    rows = (
        (pic.post["id"], pic.post["image"], pic.trait, pic.pole, pic.word, pic.label, pic.split, pic.group)
        for pic in mindpics
    )
    write_table(path, COLUMNS, rows)


def read_mindpics(path):
    """Return the rows of a mindpics.csv as dicts of str.

    Raises
    ------
    ValueError
        Names the file and the line where it is no such table.
    """
    return [row for _, row in read_table(path, COLUMNS)]


def summarise(mindpics, candidates, rejected, copies):
    """Count what was found, kept and dropped.

    Parameters
    ----------
    mindpics : list of MindPic
        Split already.
    candidates : mindpics.posts.candidates.Candidates
        All posts that carry a word.
    rejected : list of dict
        Picked posts whose picture cannot be read, or is another's, each with its "reason".
    copies : sequence of int, [N]
        Near-copy group of each of `mindpics`.

    Returns
    -------
    dict
        ``picked == selected + posted_again + unreadable`` and
        ``carry_a_word == picked + over_the_cap``.
    """
    picked, again = len(mindpics) + len(rejected), sum(post["reason"] == POSTED_AGAIN for post in rejected)
    return {
        "posts_read": candidates.n_read,
        "half_surrogates": len(candidates.left_out),
        "carry_no_word": candidates.n_read - len(candidates),
        "carry_a_word": len(candidates),
        "carry_several_slots": candidates.several,
        "over_the_cap": len(candidates) - picked,
        "picked": picked,
        "posted_again": again,
        "unreadable": len(rejected) - again,
        "selected": len(mindpics),
        "train": sum(pic.split == "train" for pic in mindpics),
        "test": sum(pic.split == "test" for pic in mindpics),
        "near_copies": _copies(mindpics, copies),
        "groups": len({pic.group for pic in mindpics}),
        "words": _words(mindpics, candidates),
        "traits": {trait: _trait(mindpics, trait) for trait in TRAITS},
        "larger_pole_mean": _mean_larger(mindpics),
    }


def _copies(mindpics, copies):
    sizes = Counter(copies)
    repeated = [copy for copy in sizes if sizes[copy] > 1]
    in_train = {copy for copy, pic in zip(copies, mindpics, strict=True) if pic.split == "train"}
    leaked = sum(pic.split == "test" and copy in in_train for copy, pic in zip(copies, mindpics, strict=True))
    return {
        "groups": len(repeated),
        "pictures": sum(sizes[copy] for copy in repeated),
        "test_pictures_with_a_copy_in_train": leaked,
    }


def _words(mindpics, candidates):
    carriers = candidates.carriers
    kept = Counter((pic.word, pic.trait, pic.pole) for pic in mindpics)
    return [
        {"word": slot[0], "trait": slot[1], "pole": slot[2], "found": carriers[slot], "selected": kept[slot]}
        for slot in word_slots()
    ]


def _trait(mindpics, trait):
    counts = {
        split: {pole: sum((p.trait, p.pole, p.split) == (trait, pole, split) for p in mindpics) for pole in POLES}
        for split in ("train", "test")
    }
    larger = max(POLES, key=lambda pole: counts["train"][pole])
    shares = {s: counts[s][larger] / max(1, sum(counts[s].values())) for s in counts}
    return {**counts, "larger_pole": larger, "larger_pole_share": shares}


def _mean_larger(mindpics):
    traits = [_trait(mindpics, trait) for trait in TRAITS]
    return {s: float(np.mean([t["larger_pole_share"][s] for t in traits])) for s in ("train", "test")}


def table(summary):
    """Return the summary as text for a terminal."""
    s, copies = summary, summary["near_copies"]
    halves, again = s["half_surrogates"], s["posted_again"]
    lines = [
        *([f"{halves} posts left out for half a surrogate pair: see rejected.jsonl"] if halves else []),
        f"{s['posts_read']} posts read = {s['carry_no_word']} without a word + {s['carry_a_word']} with one"
        f" ({s['carry_several_slots']} could fill several slots, each fills one)",
        f"{s['carry_a_word']} with a word = {s['over_the_cap']} over the cap + {s['unreadable']} unreadable"
        f"{again and f' + {again} of a picture that was picked' or ''}"
        f" + {s['selected']} selected ({s['train']} train, {s['test']} test)",
        f"near copies: {copies['pictures']} pictures in {copies['groups']} groups;"
        f" {copies['test_pictures_with_a_copy_in_train']} test pictures have a copy in train",
        *filter(None, [s.get("joined")]),
        "",
        "trait pole  train  test  words (pictures)",
    ]
    for trait in TRAITS:
        for pole in POLES:
            counts = [summary["traits"][trait][split][pole] for split in ("train", "test")]
            lines.append(f"{trait:5} {pole:5} {counts[0]:5} {counts[1]:5}  {_word_line(summary, trait, pole)}")
    lines += ["", "always guessing the pole that is larger in train:"]
    for trait in TRAITS:
        counts = summary["traits"][trait]
        share = counts["larger_pole_share"]
        lines.append(f"{trait:5} {counts['larger_pole']:5} train {share['train']:6.1%}  test {share['test']:6.1%}")
    mean = summary["larger_pole_mean"]
    return "\n".join([*lines, f"mean        train {mean['train']:6.1%}  test {mean['test']:6.1%}"])


def _word_line(summary, trait, pole):
    words = [w for w in summary["words"] if (w["trait"], w["pole"]) == (trait, pole)]
    selected = [f"{w['word']} {w['selected']}" for w in sorted(words, key=lambda w: -w["selected"]) if w["selected"]]
    missing = [w["word"] for w in words if not w["selected"]]
    return ", ".join(selected) + (f"; none: {', '.join(missing)}" if missing else "")
