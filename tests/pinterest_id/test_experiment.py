"""The whole experiment on generated pins: the paper's order, resuming, tables, figures, bad input."""

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_experiment import SMALL, small_pins, write_data
from tool_module import parsed, run_tool

from mindpics.files.tables import rows_of
from pinterest_id import experiment as experiment_module
from pinterest_id.classifiers import JointLogisticRegression
from pinterest_id.experiment import Experiment, Options
from pinterest_id.figures import SHOWN
from pinterest_id.generated import GeneratedPins, generate_pins
from pinterest_id.published import published
from pinterest_id.scores import load_scores
from pinterest_id.study import facts_table
from pinterest_id.tables import TABLE2, format_table2, write_report
from pinterest_id.words import word_statistics

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of 12 users, with a second kind of features as the fine-tuned ones."""
    folder = tmp_path_factory.mktemp("pins")
    experiment = write_data(folder, small_pins())
    command = "tools/run_identification --pins p"
    Experiment(folder / "pins.jsonl", folder / "fc7", folder / "run", SMALL, fine_tuned=folder / "fc7").run(command)
    write_report(folder / "run", command)
    return experiment.out


@pytest.mark.parametrize("seed", range(5))
def test_telling_texts_and_dull_images_give_the_papers_order(tmp_path, seed):
    """Images < text < CF <= CF+Ref, as in Table 2."""
    generated = generate_pins(8, 300, 16, n_words=50, text_signal=0.5, image_noise=3, variations=0.5, seed=seed)
    experiment = write_data(tmp_path, generated)
    experiment.options = Options(sizes=(200, 50, 50))
    experiment.run()
    rows = {row["model"]: row["accuracy"] for row in write_report(experiment.out)}
    assert rows["images only"] < rows["text only"] < rows["CF"] <= rows["CF+Ref"]


def test_table2_has_the_papers_rows_and_columns_then_ours(run):
    rows = list(csv.DictReader((run / "table2.csv").open()))
    assert list(rows[0]) == TABLE2
    assert [row["model"] for row in rows][:7] == [
        "text only",
        "images only",
        "linear 0.3",
        "linear 0.5",
        "linear 0.7",
        "CF",
        "CF+Ref",
    ]
    assert rows[6]["published_accuracy"] == "38.3" and rows[6]["published_f1"] == "37.46"
    assert all(row["published_accuracy"] == "" for row in rows[7:]) and len(rows) == 12
    assert all(float(row["low95"]) <= float(row["accuracy"]) <= float(row["high95"]) for row in rows)
    assert {row["n"] for row in rows} == {"48"} and rows[0]["command"].startswith("tools/run_identification")
    text = format_table2(write_report(run))
    assert text.index("CF+Ref") < text.index("not in the paper") < text.index("late fusion")


def test_scores_carry_ids_and_the_files_agree(run):
    split = {row["id"]: row for row in csv.DictReader((run / "split.csv").open())}
    scores = load_scores(run / "scores" / "cf_ref.npz")
    assert all(split[i]["split"] == "test" for i in scores.ids)
    assert [split[i]["user"] for i in scores.ids] == list(scores.users[scores.codes])
    text, image, cf = (load_scores(run / "scores" / f"{name}.npz").logs for name in ("text", "images", "cf"))
    np.testing.assert_allclose(cf, text + image, rtol=1e-6)


@pytest.mark.parametrize("name", ["figure2", "figure3", "figure4", "figure5", "confused_pairs"])
def test_every_figure_is_png_and_svg_with_its_csv(run, name):
    figures = run / "figures"
    assert (figures / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (figures / f"{name}.svg").read_text()
    assert len(list(csv.DictReader((figures / f"{name}.csv").open()))) >= 1


def test_other_tables(run):
    assert len(list(csv.DictReader((run / "table1.csv").open()))) == 25
    table3 = list(csv.DictReader((run / "table3.csv").open()))
    f1 = [float(row["f1"]) for row in table3]
    assert f1[:5] == sorted(f1[:5]) and f1[5:] == sorted(f1[5:], reverse=True) and f1[0] <= f1[5]
    assert table3[5]["published_f1"] == "0.995" and table3[5]["published_note"] == ""
    user83 = next(row for row in table3 if row["published_user"] == "83")
    assert user83["published_median_words"] == "13.5" and "printed 135" in user83["published_note"]
    curve = list(csv.DictReader((run / "models" / "image" / "curve.csv").open()))
    assert [float(row["C"]) for row in curve] == [0.1, 1, 10, 100]
    chosen = [row for row in curve if row["chosen"] == "True"]
    assert len(chosen) == 1 and chosen[0]["accuracy"] == max((row["accuracy"] for row in curve), key=float)
    summary = json.loads((run / "summary.json").read_text())
    assert summary["pearson_f1_vs_median_words"]["published"] == 0.46
    facts = json.loads((run / "run.json").read_text())
    assert facts["parts"] == {"train": 144, "validation": 48, "test": 48}


def test_what_the_paper_says_of_its_data_stands_beside_the_runs(run):
    summary = json.loads((run / "summary.json").read_text())
    with np.load(run / "projection.npz") as arrays:
        explained = {name: arrays[f"{name}_variance"].sum() for name in ("text", "image")}
    assert summary["explained_variance_10_pcs"]["published"] == {"text": 0.043, "image": 0.321}
    assert summary["explained_variance_10_pcs"]["measured"] == pytest.approx(explained, abs=1e-4)
    assert summary["image_features"]["published"].startswith("DeCAF, 4,096 activations of layer 7")
    assert summary["image_features"]["measured"].endswith("fc7.npy, ready-made; as they are")
    assert summary["images_shared_by_two_or_more_users_pct"] == {"measured": None, "published": 4.2}  # no pictures


def test_the_share_of_pictures_that_several_users_pinned_is_by_their_bytes(tmp_path):
    experiment = write_data(tmp_path, small_pins())  # 12 users of 20 pins each
    for i in range(240):
        content = {0: b"shared", 20: b"shared", 40: b"shared", 1: b"twice", 2: b"twice"}.get(i, bytes([i]))
        (tmp_path / f"{i:06d}.jpg").write_bytes(content)
    experiment.run()
    write_report(experiment.out)
    summary = json.loads((experiment.out / "summary.json").read_text())
    # 240 pins: one picture of three users, one that a user has twice, 235 others
    assert summary["image_features"]["published"].startswith("DeCAF, 4,096 activations of layer 7")
    assert summary["image_features"]["measured"].endswith("fc7.npy, ready-made; as they are")
    assert summary["images_shared_by_two_or_more_users_pct"]["measured"] == round(100 / 237, 2)


def test_figure4_shows_every_row_of_table2():
    assert list(SHOWN) == [row["model"] for row in published()["table2"]]


def test_figures_are_redone_from_scores_alone(run, tmp_path):
    before = (run / "table2.csv").read_text()
    (run / "table2.csv").write_text(before.replace("text only", "?"))
    (run / "figures" / "figure4.png").unlink()
    subprocess.run([sys.executable, ROOT / "tools" / "eval_identification", run], check=True, capture_output=True)
    assert (run / "figures" / "figure4.png").is_file() and "text only" in (run / "table2.csv").read_text()


def test_tables_are_redone_with_the_runs_own_command_and_its_seed_unless_asked_otherwise(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    facts = json.loads((run / "run.json").read_text()) | {"command": "tools/run_identification --scores-only"}
    (tmp_path / "run/run.json").write_text(json.dumps(facts | {"options": facts["options"] | {"seed": 3}}))
    said = []
    for words in ((), ("--seed", 3), ("--seed", 0)):
        tool, arguments = parsed("eval_identification", tmp_path / "run", *words)
        tool.main(arguments)
        said.append([(tmp_path / "run" / name).read_text() for name in ("table1.csv", "intervals.csv")])
    assert said[0] == said[1] and said[1][0] != said[2][0] and said[1][1] != said[2][1]
    assert {row["command"] for row in rows_of(tmp_path / "run/table2.csv")} == {facts["command"]}


def test_a_killed_run_fits_only_what_is_missing(tmp_path, monkeypatch):
    experiment, fits = write_data(tmp_path, small_pins()), []
    fit = JointLogisticRegression.fit

    def counted(self, X, y, *args, **kwargs):
        if len(fits) == 6:
            raise KeyboardInterrupt
        fits.append(self.C)
        return fit(self, X, y, *args, **kwargs)

    monkeypatch.setattr(JointLogisticRegression, "fit", counted)
    with pytest.raises(KeyboardInterrupt):
        experiment.run()
    monkeypatch.setattr(JointLogisticRegression, "fit", lambda *a, **k: (fits.append(0), fit(*a, **k))[1])
    experiment.run()
    assert len(fits) == 10  # two modalities, four C and a refit each
    experiment.run()
    assert len(fits) == 10
    np.save(tmp_path / "fc7.npy", np.load(tmp_path / "fc7.npy") + 1)
    Experiment(tmp_path / "pins.jsonl", tmp_path / "fc7", tmp_path / "run", SMALL).run()
    assert len(fits) == 15  # the images changed, the texts did not


def test_features_are_taken_as_they_are_unless_asked_otherwise(tmp_path):
    experiment = write_data(tmp_path, small_pins())
    experiment.arrange()
    row = experiment.features["image"].row[experiment.pins.ids[0]]
    raw = np.load(tmp_path / "fc7.npy")[row]
    seen = []
    for unit in (False, True):
        experiment.options = Options(sizes=(12, 4, 4), unit_features=unit)
        seen.append(experiment.fit_images("image").matrix[0])
    np.testing.assert_array_equal(seen[0], raw)
    np.testing.assert_allclose(seen[1], raw / np.linalg.norm(raw), rtol=1e-6)
    assert not Options().unit_features


def test_features_of_other_pins_are_an_error(tmp_path):
    experiment = write_data(tmp_path, small_pins(), ids=[f"q{i}" for i in range(240)])
    with pytest.raises(ValueError, match=r"fc7.ids.txt: found no features of 240 of 240 pins, among them p000000"):
        experiment.run()


def test_rejected_pictures_are_counted_and_extra_rows_passed_over(tmp_path):
    generated = small_pins()
    ids = [pin.id for pin in generated.pins()]
    experiment = write_data(tmp_path, generated, ids=["extra", *ids[1:]])
    with pytest.raises(ValueError, match="found no features of 1 of 240 pins, among them p000000"):
        experiment.run()
    (tmp_path / "fc7.rejected.jsonl").write_text('{"id": "p000000", "reason": "empty file"}\n')
    experiment = Experiment(tmp_path / "pins.jsonl", tmp_path / "fc7", tmp_path / "run", Options(sizes=(0.6, 0.2, 0.2)))
    experiment.run()
    assert experiment.facts["rejected"] == {"no features: empty file": 1} and experiment.facts["pins"] == 239


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda array: array[:-1], "240 ids for 239 rows of features"),
        (lambda array: array.astype(int), r"int64 \(240, 24\); wanted float \[N, D\]"),
        (lambda array: np.where(np.arange(240)[:, None] == 7, np.nan, array), "infinite features of pin p000007"),
    ],
)
def test_features_that_cannot_be_used_are_named(tmp_path, change, message):
    write_data(tmp_path, small_pins())
    np.save(tmp_path / "fc7.npy", change(np.load(tmp_path / "fc7.npy")))
    with pytest.raises(ValueError, match=message):
        Experiment(tmp_path / "pins.jsonl", tmp_path / "fc7", tmp_path / "run", SMALL).run()


def test_an_id_twice_in_the_features_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="fc7.ids.txt: found id 'p1' twice"):
        write_data(tmp_path, small_pins(), ids=["p1"] * 240)


def test_one_user_or_a_user_with_one_pin(tmp_path):
    experiment = write_data(tmp_path, generate_pins(1, 20, 8))
    with pytest.raises(ValueError, match="found 1 of 1 users with 20 pins or more; wanted two"):
        experiment.run()
    generated = small_pins()
    generated.users[0] = "lonely"
    experiment = write_data(tmp_path, generated)
    with pytest.raises(ValueError, match=r"fewer than 20 pins: lonely \(1\), user000 \(19\)"):
        experiment.run()
    experiment.options = Options(sizes=(12, 4, 4), drop_small_users=True)
    experiment.run()
    assert experiment.facts["users_dropped"] == {"lonely": 1, "user000": 19} and experiment.facts["users"] == 11


def test_what_is_said_of_the_data_is_of_the_pins_that_take_part(tmp_path):
    """Users are dropped whose texts are long and whose pictures are one and the same; nothing counts them."""
    generated = small_pins()
    generated.users[0] = "lonely"
    experiment = write_data(tmp_path, generated)
    lines = [json.loads(line) for line in (tmp_path / "pins.jsonl").read_text().splitlines()]
    for i, pin in enumerate(lines):
        pin["text"] += " word" * 500 * (i < 20)
        (tmp_path / pin["image"]).write_bytes(b"shared" if i < 20 else bytes([i]))
    (tmp_path / "pins.jsonl").write_text("".join(json.dumps(pin) + "\n" for pin in lines))
    experiment.options = Options(sizes=(12, 4, 4), drop_small_users=True, C_grid=(1,))
    experiment.run()
    write_report(experiment.out)
    texts = [pin["text"] for pin in lines[20:]]
    assert experiment.facts["pins"] == 220 and experiment.facts["pins_left_out"] == 20
    assert experiment.facts["words_per_pin"] == word_statistics(texts)
    summary = json.loads((experiment.out / "summary.json").read_text())
    assert summary["pins_left_out"]["measured"] == 20 and summary["users"] == 11
    assert summary["images_shared_by_two_or_more_users_pct"]["measured"] == 0
    for name, users in (("words_by_user", 11), ("top_words", 11), ("figures/figure2", 11), ("table1", 5)):
        named = {row["user"] for row in csv.DictReader((experiment.out / f"{name}.csv").open())}
        assert len(named) == users and not named & {"lonely", "user000"}, name


def test_users_whom_a_split_of_ones_own_does_not_test_have_no_f1(tmp_path):
    """Four users whom anyone could tell, two of them tested: both are always right."""
    users = np.repeat(["ann", "bob", "cat", "dan"], 6)
    texts = [f"{user} {user}s {n % 2 * 'more'}" for n, user in enumerate(users)]
    experiment = write_data(tmp_path, GeneratedPins(texts, np.repeat(np.eye(4, dtype=np.float32), 6, axis=0), users))
    parts = [*["train"] * 3, "validation", "test", "test", *["train"] * 5, "validation"] * 2
    rows = [f"p{i:06d},{part}" for i, part in enumerate(parts)]
    (tmp_path / "own.csv").write_text("\n".join(["id,split", *rows, ""]))
    experiment.options = Options(split_file=str(tmp_path / "own.csv"), C_grid=(100,))
    experiment.run()
    assert {(row["accuracy"], row["f1_macro"]) for row in write_report(experiment.out)} == {(100, 100)}
    assert {row["user"] for row in rows_of(experiment.out / "table3.csv")} == {"ann", "cat"}
    assert [row["user"] for row in rows_of(experiment.out / "figures/figure4.csv")] == ["ann", "cat"]
    summary = json.loads((experiment.out / "summary.json").read_text())
    assert summary["users"] == 4 and summary["users_without_a_test_pin"]["measured"] == 2
    assert (summary["users_f1_below_10pct"]["measured"], summary["users_f1_above_90pct"]["measured"]) == (0, 2)
    ((_, table),) = facts_table(experiment.out / "summary.json", "ours")
    assert ["users without a test pin, who have no F1", 0, 2] in table.rows


def test_features_that_are_all_0_have_no_variance_and_the_report_says_so(tmp_path):
    experiment = write_data(tmp_path, replace(small_pins(), images=np.zeros((240, 24), np.float32)))
    experiment.options = replace(SMALL, C_grid=(1,))
    experiment.run()
    write_report(experiment.out)
    ((_, table),) = facts_table(experiment.out / "summary.json", "ours")
    said = next(row[2] for row in table.rows if row[0].startswith("variance explained"))
    assert said.startswith("text 0.") and said.endswith("; image none")


def test_scores_of_different_pins_are_not_put_in_one_table(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    with np.load(run / "scores" / "cf.npz") as arrays:
        np.savez(tmp_path / "run" / "scores" / "cf.npz", **dict(arrays) | {"ids": arrays["ids"][::-1]})
    with pytest.raises(ValueError, match="cf.npz: found other pins; wanted those of"):
        write_report(tmp_path / "run")
    (tmp_path / "run" / "scores" / "cf.npz").unlink()
    with pytest.raises(ValueError, match="found no scores of cf; wanted what tools/run_identification makes"):
        write_report(tmp_path / "run")


def test_a_run_without_fine_tuned_features_in_a_folder_that_had_them_has_no_rows_of_them(run, tmp_path):
    experiment = write_data(tmp_path, small_pins())
    shutil.copytree(run, experiment.out)
    experiment.run()
    assert not list((experiment.out / "scores").glob("*_fine_tuned.npz"))
    assert [row["model"] for row in write_report(experiment.out)][7:] == ["late fusion, learned"]


def test_a_killed_run_with_other_options_leaves_no_results_of_the_run_before(run, tmp_path, monkeypatch):
    write_data(tmp_path, small_pins())
    shutil.copytree(run, tmp_path / "run")
    paths = (
        tmp_path / "pins.jsonl",
        tmp_path / "fc7",
        tmp_path / "run",
        replace(SMALL, unit_features=True, C_grid=(1,)),
    )
    fits, fit = [], JointLogisticRegression.fit

    def killed(self, X, y, *args, **kwargs):
        if X.shape[1] == 24 and fits.count(24) == 2:  # the images' are done, the fine-tuned features' are not
            raise KeyboardInterrupt
        fits.append(X.shape[1])
        return fit(self, X, y, *args, **kwargs)

    monkeypatch.setattr(JointLogisticRegression, "fit", killed)
    with pytest.raises(KeyboardInterrupt):
        Experiment(*paths, fine_tuned=tmp_path / "fc7").run()
    left = {path.relative_to(tmp_path / "run").as_posix() for path in (tmp_path / "run").rglob("*.*")}
    tables = {"run.json", "table1.csv", "table2.csv", "table3.csv", "intervals.csv", "mcnemar.csv", "summary.json"}
    assert not left & tables and "split.csv" in left
    assert not [name for name in left if name.startswith("figures/") or name.endswith("_fine_tuned.npz")]
    with pytest.raises(ValueError, match="run.json: found no such file"):
        write_report(tmp_path / "run")
    monkeypatch.setattr(JointLogisticRegression, "fit", fit)
    kept = [path.stat().st_mtime_ns for path in (tmp_path / "run/models/image").glob("*.npz")]
    Experiment(*paths, fine_tuned=tmp_path / "fc7").run()
    assert [path.stat().st_mtime_ns for path in (tmp_path / "run/models/image").glob("*.npz")] == kept
    assert len(write_report(tmp_path / "run")) == 12


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"seed": 2**32}, "seed: found 4294967296; wanted 0 to 4294967295"),
        ({"seed": -1, "split_file": "split.csv"}, "seed: found -1; wanted 0 to"),
        ({"C_grid": (1, 0)}, "C: found 0; wanted a positive, finite number"),
        ({"C_grid_baselines": (float("inf"),)}, "baselines_C: found inf; wanted"),
        ({"tol": float("nan")}, "tol: found nan; wanted"),
    ],
)
def test_options_that_no_fit_or_projection_takes_are_refused_before_a_run(fields, found):
    assert Options(seed=2**32 - 1).seed == 2**32 - 1
    with pytest.raises(ValueError, match=found):
        Options(**fields)


def test_a_C_that_is_refused_leaves_the_earlier_runs_tables(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    before = (run / "table2.csv").read_bytes()
    words = ["--pins", run.parent / "pins.jsonl", "--features", run.parent / "fc7", "--out", tmp_path / "run"]
    with pytest.raises(ValueError, match="C: found 0; wanted a positive"):
        run_tool("run_identification", *words, "--split", 12, 4, 4, "--C", 0)
    assert (tmp_path / "run/table2.csv").read_bytes() == before


def test_the_tool_runs_and_says_what_is_wrong(tmp_path):
    write_data(tmp_path, small_pins())
    command = [
        sys.executable,
        ROOT / "tools" / "run_identification",
        "--pins",
        tmp_path / "pins.jsonl",
        "--features",
        tmp_path / "fc7",
        "--out",
        tmp_path / "run",
    ]
    done = subprocess.run(
        [*command, "--split", "12", "4", "4", "--classifier", "liblinear", "--refine", "concat"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "CF+Ref" in done.stdout and (tmp_path / "run" / "table2.csv").is_file()
    ran = json.loads((tmp_path / "run/run.json").read_text())["command"]
    assert ran == rows_of(tmp_path / "run/table2.csv")[0]["command"] and ran.endswith("--refine concat")
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert failed.stderr.startswith("run_identification: 12 users have fewer than 600 pins")
    words = map(str, command[2:])
    with pytest.raises(ValueError, match="--text-ids takes --text-matrix"):
        run_tool("run_identification", *map(str, command[2:]), "--text-ids", "ids.txt")
    with pytest.raises(ValueError, match="--split-file fixed.csv: found --split, --lacking as well; wanted the file"):
        run_tool("run_identification", *words, "--split-file", "fixed.csv", "--split", 12, 4, 4, "--lacking", 1)


def test_it_never_imports_caffe():
    code = "import sys, pinterest_id.tables, pinterest_id.experiment; sys.exit('caffe' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd="/").returncode == 0
    assert experiment_module.__doc__
