"""Facts that the paper states in words (sections 3 to 5) beside a run's: summary.json."""

import json

import numpy as np

from mindpics.files.json_files import write_json
from pinterest_id import metrics
from pinterest_id.layout import ExperimentFiles
from pinterest_id.published import published


def read_facts(folder):
    """Return the run.json of an experiment's folder.

    Raises
    ------
    ValueError
        When it is not there, or of a version that did not write down the choice of C.
    """
    path = ExperimentFiles(folder).facts
    if not path.is_file():
        raise ValueError(f"{path}: found no such file; wanted what tools/run_identification makes")
    facts = json.loads(path.read_text(encoding="utf-8"))
    if "C" not in facts:
        raise ValueError(f"{path}: found no choice of C; wanted one: run tools/run_identification again")
    return facts


def write_facts_table(folder, rows, f1, medians, facts):
    """Write summary.json: {fact: {"measured", "published"}}, the number of users, and of those without a test pin.

    Parameters
    ----------
    folder : Path
        Of the run, whose projection.npz holds the explained variances.
    rows : list of dict
        Of Table 2.
    f1, medians : float [K]
        F1 of CF+Ref and median words of each user with a test pin.
    facts : dict
        Of run.json.
    """
    untested = facts["users"] - len(f1)
    summary = {"users": facts["users"]} | ({"users_without_a_test_pin": _beside(untested, 0)} if untested else {})
    summary |= {**_of_users(f1, medians), **_of_data(folder, facts), **_of_penalties(facts["C"])}
    recall = next(row["recall_at_10"] for row in rows if row["model"] == "CF")
    summary["recall_at_10_cf"] = _beside(recall, published()["recall_at_10_cf"])
    write_json(ExperimentFiles(folder).summary, summary)


def _beside(measured, paper):
    return {"measured": measured, "published": paper}


def _of_users(f1, medians):
    paper, correlation = published()["counts"], metrics.pearson(f1, medians)
    measured = {
        "users_f1_below_10pct": int(np.sum(f1 < 0.1)),
        "users_f1_above_90pct": int(np.sum(f1 > 0.9)),
        "pearson_f1_vs_median_words": None if np.isnan(correlation) else round(correlation, 3),
    }
    return {key: _beside(value, paper[key]) for key, value in measured.items()}


def _of_data(folder, facts):
    paper = published()["dataset"]
    words = paper["words_per_pin"] | {"one_word_pins_pct": paper["one_word_pins_pct"]}
    shared = facts["images_shared_by_two_or_more_users_pct"]
    length = "each of length 1" if facts["options"]["unit_features"] else "as they are"
    return {
        "image_features": _beside(f"{facts['features']['image']}; {length}", published()["features"]["image"]),
        "pins_left_out": _beside(facts.get("pins_left_out"), None),
        "words_per_pin": _beside(facts["words_per_pin"], words),
        "dictionary_words": _beside(facts.get("dictionary"), paper["dictionary_words"]),
        "images_shared_by_two_or_more_users_pct": _beside(
            None if shared is None else round(shared, 2), paper["images_shared_by_two_or_more_users_pct"]
        ),
        "explained_variance_10_pcs": _beside(_variances(folder), paper["explained_variance_10_pcs"]),
    }


def _variances(folder):
    with np.load(ExperimentFiles(folder).projection, allow_pickle=False) as arrays:
        return {name: round(float(arrays[f"{name}_variance"].sum()), 4) for name in ("text", "image")}


def _of_penalties(chosen):
    """The chosen C of each modality beside the paper's grid; the paper does not say which it chose."""
    measured = {name: choice["chosen"] for name, choice in chosen.items()}
    ends = {name: choice["end"] for name, choice in chosen.items() if choice["end"]}
    grid = ", ".join(map(str, published()["classifier"]["C_grid"]))
    return {"C": _beside(measured, f"of {grid}"), "C_at_an_end_of_its_grid": _beside(ends or None, None)}
