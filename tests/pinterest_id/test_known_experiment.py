"""The Pinterest experiment whole, by its tool, on pins of which every number is known: no leak, no swap goes by."""

import csv
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from html_tables import Page
from known_pins import USERS, Oracle, make_pins, write_pins
from scipy.special import logsumexp
from scipy.stats import binomtest
from tool_module import parsed, run_tool

from pinterest_id.linear_models import load_model
from pinterest_id.splits import split_users

SEED = 8  # of pins whose recall at 9, 10 and 11 differs, and whose best C the training pins would not choose
SLUGS = {
    "text": "text only",
    "images": "images only",
    "linear_0.3": "linear 0.3",
    "linear_0.5": "linear 0.5",
    "linear_0.7": "linear 0.7",
    "cf": "CF",
    "cf_ref": "CF+Ref",
    "images_fine_tuned": "images only, fc7 fine-tuned",
    "cf_fine_tuned": "CF, fc7 fine-tuned",
    "cf_ref_fine_tuned": "CF+Ref, fc7 fine-tuned",
}


@pytest.fixture(scope="module")
def pins():
    return make_pins(SEED)


@pytest.fixture(scope="module")
def folder(pins, tmp_path_factory):
    folder = tmp_path_factory.mktemp("known")
    write_pins(folder, pins)
    return folder


@pytest.fixture(scope="module")
def run(folder):
    run_tool(
        "run_identification",
        "--pins",
        folder / "pins.jsonl",
        "--features",
        folder / "fc7",
        "--fine-tuned",
        folder / "tuned",
        "--split-file",
        folder / "parts.csv",
        "--tol",
        "1e-5",
        "--out",
        folder / "run",
    )
    return folder / "run"


@pytest.fixture(scope="module")
def oracle(pins):
    return Oracle(pins, ("image", "tuned"))


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def scores_of(run, slug):
    with np.load(run / "scores" / f"{slug}.npz") as arrays:
        return dict(arrays)


def test_each_pin_is_where_the_split_says_and_the_test_pins_are_scored(run, pins, oracle):
    assert {row["id"]: row["split"] for row in rows_of(run / "split.csv")} == {pin.id: pin.part for pin in pins}
    for slug in SLUGS:
        arrays = scores_of(run, slug)
        assert list(arrays["users"]) == USERS
        order = [pin.id for pin in oracle.tested]
        assert list(arrays["ids"]) == order and list(arrays["codes"]) == list(oracle.codes), slug


def test_the_dictionary_is_of_training_pins_first_and_of_validation_pins_at_the_end(run, oracle):
    words = [row["word"] for row in rows_of(run / "models" / "dictionary.csv")]
    assert words == oracle.dictionary
    assert {"validated", "bridge", "y" * 30, "starred", "tagged"} <= set(words)
    assert not {"tested", "lonely", "x" * 31, "q", "the", "https", "com"} & set(words)
    facts = json.loads((run / "run.json").read_text())["dictionary"]
    assert facts == {"train": len(oracle.first_dictionary), "train and validation": len(oracle.dictionary)}
    first, final = (load_model(run / "models" / "text" / name) for name in ("C1", "final"))
    assert first.coef.shape == (12, facts["train"]) and final.coef.shape == (12, facts["train and validation"])


def test_C_is_the_smallest_of_the_best_on_the_validation_pins(run, oracle):
    for name, curve in zip(("text", "image", "fine_tuned"), oracle.curves.values(), strict=True):
        rows = rows_of(run / "models" / name / "curve.csv")
        assert [float(row["C"]) for row in rows] == [0.1, 1, 10, 100]  # section 3.1
        assert [float(row["accuracy"]) for row in rows] == pytest.approx(curve)
        assert [row["chosen"] == "True" for row in rows] == [i == int(np.argmax(curve)) for i in range(4)]
        for model, fitted in (("C1", 96), ("final", 144)):  # training pins; training and validation pins
            about = json.loads((run / "models" / name / f"{model}.json").read_text())
            assert about["pins"] == fitted
        assert about["C"] == float(rows[int(np.argmax(curve))]["C"])
    assert (oracle.C["text"], oracle.C["image"]) == (0.1, 1)


@pytest.mark.parametrize("slug", SLUGS)
def test_scores_are_the_papers_formulas(run, oracle, slug):
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(scores_of(run, slug)["logs"], np.log(oracle.scores[slug]), atol=2e-3)


# model: accuracy, macro F1 and recall at 10 of these pins; accuracy and F1 of the paper's Table 2
CELLS = {
    "text only": (47.92, 45.62, 93.75, "33.75", "33.21"),
    "images only": (43.75, 42.50, 91.67, "21.62", "19.72"),
    "linear 0.3": (60.42, 56.81, 100, "37.18", "35.01"),
    "linear 0.5": (52.08, 49.16, 100, "34.68", "32.11"),
    "linear 0.7": (52.08, 49.30, 100, "30.73", "28.1"),
    "CF": (62.50, 60.16, 97.92, "37.34", "36.16"),
    "CF+Ref": (72.92, 68.86, 97.92, "38.3", "37.46"),
    "late fusion, learned": (66.67, 64.03, 100, "", ""),
    "images only, fc7 fine-tuned": (72.92, 72.20, 100, "", ""),
    "CF, fc7 fine-tuned": (79.17, 78.27, 100, "", ""),
    "CF+Ref, fc7 fine-tuned": (83.33, 82.47, 100, "", ""),
    "late fusion, learned, fc7 fine-tuned": (68.75, 66.53, 100, "", ""),
}


def figures_of(scores, codes):
    """Accuracy, macro F1 and recall at 10, in percent, and the F1 of each user."""
    named, own = scores.argmax(axis=1), scores[np.arange(48), codes]
    hits, given = Counter(codes[named == codes].tolist()), Counter(named.tolist())
    f1 = [2 * hits[user] / (given[user] + 4) for user in range(12)]
    recall = np.mean((scores >= own[:, None]).sum(axis=1) <= 10)
    return (100 * np.mean(named == codes), 100 * np.mean(f1), 100 * recall), f1


def test_table_2_cell_by_cell(run, oracle):
    rows = rows_of(run / "table2.csv")
    assert [row["model"] for row in rows] == list(CELLS)
    for row in rows:
        *measured, accuracy, f1 = CELLS[row["model"]]
        assert [float(row[key]) for key in ("accuracy", "f1_macro", "recall_at_10")] == measured, row
        assert (row["published_accuracy"], row["published_f1"], row["n"]) == (accuracy, f1, "48")
        draws = np.random.default_rng(0).binomial(48, measured[0] / 100, 100_000) / 0.48
        assert [float(row["low95"]), float(row["high95"])] == pytest.approx(np.percentile(draws, [2.5, 97.5]), abs=2.1)
    for slug, name in SLUGS.items():
        assert figures_of(oracle.scores[slug], oracle.codes)[0] == pytest.approx(CELLS[name][:3], abs=0.006), name


def test_recall_at_9_and_at_11_would_be_others(oracle):
    scores, codes = oracle.scores["cf"], oracle.codes
    places = (scores >= scores[np.arange(48), codes][:, None]).sum(axis=1)
    assert [int((places <= k).sum()) for k in (9, 10, 11)] == [46, 47, 48]


def test_the_late_fusion_is_learned_from_the_validation_pins(run, oracle):
    facts = json.loads((run / "run.json").read_text())
    truth = np.array([pin.user for pin in oracle.parts[1]])
    for suffix, image in (("", "image"), ("_fine_tuned", "tuned")):
        weights = np.array([facts[f"late_fusion_weights{suffix}"][name] for name in ("text", "image")])
        logs = np.log([oracle.validated["text"], oracle.validated[image]])

        def loss(weights, logs=logs):
            scores = np.tensordot(weights, logs, axes=1)
            return np.mean(logsumexp(scores, axis=1) - scores[np.arange(48), truth])

        steps = 0.02 * np.array([[1, 0], [0, 1], [1, 1], [1, -1]])
        assert all(loss(weights) < min(loss(weights + step), loss(weights - step)) for step in steps)
        tests = np.log([oracle.scores["text"], oracle.scores[f"images{suffix}"]])
        fused = np.tensordot(weights, tests, axes=1)
        wanted = fused - logsumexp(fused, axis=1, keepdims=True)
        np.testing.assert_allclose(scores_of(run, f"late_fusion{suffix}")["logs"], wanted, atol=2e-3)


def test_mcnemar_counts_pins_that_only_one_model_gets_right(run, oracle):
    right = {SLUGS[slug]: scores.argmax(axis=1) == oracle.codes for slug, scores in oracle.scores.items()}
    rows = [row for row in rows_of(run / "mcnemar.csv") if {row["first"], row["second"]} <= set(right)]
    assert len(rows) == 45
    for row in rows:
        first, second = right[row["first"]], right[row["second"]]
        only = int(np.sum(first & ~second)), int(np.sum(second & ~first))
        assert (int(row["only_first_right"]), int(row["only_second_right"])) == only
        p_value = binomtest(only[0], sum(only)).pvalue if sum(only) else 1
        assert float(row["p_value"]) == pytest.approx(p_value, rel=0.005)


def test_the_words_of_each_user_are_counted_over_all_his_pins(run, pins):
    figure = rows_of(run / "figures" / "figure2.csv")
    assert [float(row["median"]) for row in figure] == sorted(float(row["median"]) for row in figure)
    for row in [*figure, *rows_of(run / "words_by_user.csv")]:
        counts = [len(pin.text.split()) for pin in pins if USERS[pin.user] == row["user"]]
        wanted = min(counts), max(counts), np.median(counts), np.mean(counts)
        assert [float(row[key]) for key in ("min", "max", "median", "mean")] == pytest.approx(wanted)
    for row in [*rows_of(run / "top_words.csv"), *rows_of(run / "table1.csv")]:
        own = Counter(word for pin in pins if USERS[pin.user] == row["user"] for word in set(pin.words))
        ranked = sorted(own.items(), key=lambda item: (-item[1], item[0]))
        assert (row["word"], int(row["pins"])) == ranked[int(row["rank"]) - 1]
    assert len(rows_of(run / "top_words.csv")) == 60 and len(rows_of(run / "table1.csv")) == 25


def test_figures_4_and_5_the_pairs_and_table_3_are_of_CF_Ref(run, pins, oracle):
    f1 = {SLUGS[slug]: figures_of(scores, oracle.codes)[1] for slug, scores in oracle.scores.items()}
    for row in rows_of(run / "figures" / "figure4.csv"):
        user = USERS.index(row["user"])
        assert {name: float(row[name]) for name in f1} == pytest.approx({n: f1[n][user] for n in f1}, abs=6e-5)
        medians = np.median([len(pin.text.split()) for pin in pins if pin.user == user])
        assert float(row["median_words"]) == medians
    counts, _ = np.histogram(f1["CF+Ref"], 10, (0, 1))
    assert [int(row["users"]) for row in rows_of(run / "figures" / "figure5.csv")] == counts.tolist()
    named = oracle.scores["cf_ref"].argmax(axis=1)
    for row in rows_of(run / "figures" / "confused_pairs.csv"):
        a, b = USERS.index(row["user_a"]), USERS.index(row["user_b"])
        found = [int(row["pins_of_a_given_to_b"]), int(row["pins_of_b_given_to_a"])]
        assert found == [int(np.sum((oracle.codes == x) & (named == y))) for x, y in ((a, b), (b, a))]
    table = rows_of(run / "table3.csv")
    ascending = sorted(f1["CF+Ref"])
    assert [float(row["f1"]) for row in table] == pytest.approx([*ascending[:5], *ascending[:-6:-1]], abs=6e-4)
    assert all(f1["CF+Ref"][USERS.index(row["user"])] == pytest.approx(float(row["f1"]), abs=6e-4) for row in table)
    assert [row["published_user"] for row in table] == ["13", "116", "2", "101", "64", "106", "83", "34", "86", "40"]


def test_figure_3_is_of_all_pins_text_and_images_apart(run, oracle):
    rows = {row["id"]: row for row in rows_of(run / "figures" / "figure3.csv")}
    variance = {row["modality"]: row for row in rows_of(run / "figures" / "figure3_variance.csv")}
    ids = [pin.id for part in oracle.parts for pin in part]
    for name, published in (("text", "0.043"), ("image", "0.321")):
        matrix = np.vstack(oracle.matrices[name])
        _, sizes, axes = np.linalg.svd(matrix - matrix.mean(axis=0), full_matrices=False)
        share = sum(sizes[:10] ** 2) / sum(sizes**2)
        assert float(variance[name]["explained_variance"]) == pytest.approx(share, abs=0.01)
        assert (variance[name]["components"], variance[name]["published"]) == ("10", published)
        first = (matrix - matrix.mean(axis=0)) @ axes[0]
        drawn = np.array([float(rows[id_][f"{name}_pc1"]) for id_ in ids])
        assert abs(np.corrcoef(first, drawn)[0, 1]) > 0.999


def test_what_the_paper_says_in_words_stands_beside_what_is_counted(run, pins, oracle):
    summary, words = json.loads((run / "summary.json").read_text()), [len(pin.text.split()) for pin in pins]
    f1 = figures_of(oracle.scores["cf_ref"], oracle.codes)[1]
    medians = [np.median([len(pin.text.split()) for pin in pins if pin.user == user]) for user in range(12)]
    wanted = {
        "users_f1_below_10pct": (sum(f < 0.1 for f in f1), 7),
        "users_f1_above_90pct": (sum(f > 0.9 for f in f1), 6),
        "pearson_f1_vs_median_words": (round(np.corrcoef(f1, medians)[0, 1], 3), 0.46),
        "recall_at_10_cf": (97.92, 75),
    }
    found = {key: (summary[key]["measured"], summary[key]["published"]) for key in wanted}
    assert found == wanted and summary["users"] == 12
    of = summary["words_per_pin"]["measured"]
    assert (of["min"], of["max"], of["median"]) == (min(words), max(words), np.median(words))
    assert of["mean"] == pytest.approx(np.mean(words))
    assert of["one_word_pins_pct"] == pytest.approx(100 * words.count(1) / len(words))


def test_the_report_shows_table_2(run):
    (run.parent / "job").mkdir()
    (run.parent / "job" / "pinterest_id").symlink_to(run)
    assert run_tool("report", run.parent / "job") == 0
    page = Page((run.parent / "job" / "report" / "index.html").read_text(encoding="utf-8"))
    rows = page.table("model", "paper")[1:]
    for row, (name, (accuracy, f1, recall, paper, paper_f1)) in zip(rows, CELLS.items(), strict=True):
        less = f"{accuracy - float(paper):+.2f}" if paper else ""
        assert [*row[:4], *row[5:9]] == [
            name,
            paper,
            f"{accuracy:.2f}",
            less,
            paper_f1,
            f"{f1:.2f}",
            f"{recall:.2f}",
            "48",
        ]


def fit(*arguments):
    """What the tool runs, without its tables and figures."""
    tool, args = parsed("run_identification", *arguments)
    tool.open_experiment(args).run()


def test_no_option_is_ignored(folder, pins):
    out = folder / "other"
    fit(
        "--pins",
        folder / "pins.jsonl",
        "--features",
        folder / "fc7",
        "--split-file",
        folder / "parts.csv",
        "--classifier",
        "liblinear",
        "--unit-features",
        "--C",
        "1",
        "50",
        "--refine",
        "image",
        "--top",
        "3",
        "--stop-words",
        "none",
        "--seed",
        "7",
        "--out",
        out,
    )
    other = Oracle(pins, normalize=True, grid=(1, 50), top=3, cosine=("image",), stop_words=False)
    assert [row["word"] for row in rows_of(out / "models" / "dictionary.csv")] == other.dictionary
    for slug, scores in other.scores.items():
        with np.errstate(divide="ignore"):
            np.testing.assert_allclose(scores_of(out, slug)["logs"], np.log(scores), atol=0.02, err_msg=slug)
    assert json.loads((out / "run.json").read_text())["options"]["seed"] == 7
    assert {json.loads(path.read_text())["solver"] for path in out.glob("models/*/*.json")} == {"liblinear"}


def test_the_seeded_split_is_what_the_models_are_fitted_on(folder, pins):
    fit(
        "--pins",
        folder / "pins.jsonl",
        "--features",
        folder / "fc7",
        "--split",
        "9",
        "3",
        "4",
        "--seed",
        "3",
        "--tol",
        "1e-5",
        "--out",
        folder / "seeded",
    )
    parts = {row["id"]: row["split"] for row in rows_of(folder / "seeded" / "split.csv")}
    sizes, users = Counter((pin.user, parts[pin.id]) for pin in pins), [USERS[pin.user] for pin in pins]
    asked = {"train": 9, "validation": 3, "test": 4}
    assert sizes == {(user, part): n for user in range(12) for part, n in asked.items()}
    drawn = [split_users(users, tuple(asked.values()), seed)[0].tolist() for seed in (3, 0)]
    assert [parts[pin.id] for pin in pins] == drawn[0] != drawn[1]
    seeded = Oracle([replace(pin, part=parts[pin.id]) for pin in pins])
    for slug, scores in seeded.scores.items():
        with np.errstate(divide="ignore"):
            np.testing.assert_allclose(scores_of(folder / "seeded", slug)["logs"], np.log(scores), atol=2e-3)
