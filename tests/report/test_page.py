"""The report: its numbers are the CSVs', nothing in it leaves the machine, and values are escaped."""

import base64
import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from html_tables import Page
from PIL import Image

from mindpics.published import Row
from mindpics.report.facts import readable
from mindpics.report.page import write_report
from mindpics.report.runs import Comparing
from mindpics.report.specification import draw_sensitivity
from mindpics.report.summary import summary
from mindpics.results.claims import claims
from mindpics.results.comparisons import right_answers
from mindpics.results.run_files import RunFiles
from mindpics.results.sensitivity import Change, Move, Varied
from mindpics.results.sensitivity import line_of as sensitivity_line
from mindpics.results.table3 import line_of, write_table3
from mindpics.sweeps.page import section_of, write_page
from pinterest_id.study import read_study

ROOT = Path(__file__).resolve().parents[2]
EVIL = "<script>alert('x')</script>"
MODEL = ("alexnet", "all-in-one", "scratch")


def make_run(folder):
    """Make a run with one row of Table 3 of six, 40 pictures, and text that would break a careless page."""
    mindpics, pictures = folder / "run" / "mindpics", folder / "emoji"
    model = mindpics / "_".join(MODEL)
    (model / model.name).mkdir(parents=True)
    (pictures / "images").mkdir(parents=True)
    labels, rng = np.arange(40) % 10, np.random.default_rng(0)
    high = rng.uniform(0.05, 0.95, (40, 5))
    ids = [f"p{i}" for i in range(40)]
    scores = np.stack([1 - high, high], axis=-1).astype(np.float32)
    np.savez(model / "scores.npz", ids=np.array(ids), labels=labels, scores=scores)
    with open(mindpics / "mindpics.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("id", "image", "trait", "pole", "word", "label", "split", "group"))
        for i, label in enumerate(labels):
            Image.new("RGB", (8, 8), (i * 6, 99, 0)).save(pictures / "images" / f"{i}.png")
            row_ = (f"p{i}", f"images/{i}.png", "OCEAN"[label // 2], ("low", "high")[label % 2], EVIL, label, "test", i)
            writer.writerow(row_)
    (mindpics / "summary.json").write_text(json.dumps({"arguments": {"posts": str(pictures / "posts.jsonl")}}))
    (mindpics / "rejected.jsonl").write_text(json.dumps({"id": "q", "reason": f"broken {EVIL}"}) + "\n")
    (model / model.name / "run.json").write_text(json.dumps({"iterations": 7, "caffemodel_sha256": "ab12"}))
    (model / model.name / "train.csv").write_text("iteration,lr,loss_O\n0,0.1,0.7\n1,0.1,0.6\n")
    (folder / "run" / "run.json").write_text(json.dumps({"data": "stand-in: emoji", "seed": 3, "gpu": None}))
    write_table3(mindpics / "table3.csv", [line_of(Row(*MODEL), model / "scores.npz", f"tools/reproduce {EVIL}")])
    return folder / "run"


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(run, page, its text, what was left out) of a run that no test changes."""
    folder = make_run(tmp_path_factory.mktemp("made"))
    return folder, *page_of(folder)


def page_of(run, **options):
    path, left_out = write_report(run, study=read_study, **options)
    text = path.read_text(encoding="utf-8")
    return Page(text), text, left_out


def test_table_3_is_the_csv_beside_the_paper(made):
    run, page, text, _ = made
    (ours,) = read(run / "mindpics" / "table3.csv")
    table = page.table("row", "paper", "ours, on the stand-in")
    avg, paper = float(ours["avg"]), 63.4
    assert table[1] == [
        "alexnet all-in-one scratch",
        f"{paper}",
        f"{avg:.1f}",
        f"{avg - paper:+.1f}",
        f"{float(ours['low95']):.1f} to {float(ours['high95']):.1f}",
        f"{float(ours['larger_pole_avg']):.1f}",
        "40",
        "3",
        f"from fillers; {ours['iterate']}; {ours['data']}",
        ours["command"],
    ]
    traits = {line[1]: line[3] for line in page.table("row", "trait")[1:]}
    assert traits == {trait: f"{float(ours[trait]):.1f}" for trait in "OCEAN"}
    assert "1 of Table 3&#39;s six rows are here" in text


def test_nothing_leaves_the_machine(made):
    _, page, text, _ = made
    assert page.links and all(link.startswith("data:") for link in page.links)
    assert "default-src 'none'" in text
    assert not re.search(r"url\(|@import|\bfetch\b|https?://", text)


def test_of_what_lies_beside_the_pictures_only_open_corpora_are_told(run):
    pictures = run.parent / "emoji"
    for name in ("emoji", "clipart", "thesis", "notes"):
        (run.parent / name).mkdir(exist_ok=True)
        (run.parent / name / "rejected.jsonl").write_text(json.dumps({"reason": f"of {name}"}) + "\n")
        (run.parent / name / "summary.json").write_text(json.dumps({"read": 2, "drawn": 1}))
    (run.parent / "notes" / "rejected.jsonl").write_text("['no JSON']\n")
    (run.parent / "notes" / "summary.json").write_text("[]")
    of_crawl = RunFiles(run)
    assert [Path(row["file"]).parent.name for row in of_crawl.rejected()] == ["mindpics", "emoji"]
    assert of_crawl.corpora() == {}
    for name in ("emoji", "clipart"):
        (run.parent / name / "request.json").write_text("{}")
    of_open = RunFiles(run)
    assert [row["reasons"] for row in of_open.rejected()[1:]] == [[("of clipart", 1)], [("of emoji", 1)]]
    assert list(of_open.corpora()) == ["clipart", "emoji"]
    (pictures / "rejected.jsonl").write_text('{"reason": "a"}\n["b"]\n')
    with pytest.raises(ValueError, match="emoji/rejected.jsonl, line 2: found a list; wanted a JSON object"):
        of_open.rejected()


def test_values_are_escaped(made):
    _, page, text, _ = made
    assert EVIL not in text
    assert page.scripts == 1
    assert EVIL in page.table("row", "paper")[1][-1]
    assert any(EVIL in line[2] for line in page.table("list", "rejected")[1:])


def test_every_figure_has_its_three_files_and_is_in_the_page(made):
    run, _, text, left_out = made
    names = {path.stem for path in (run / "report" / "figures").glob("*.csv")}
    assert names >= {"figure1", "figure3", "figure4", "figure8", "figure10", "confusion", "words"}
    assert f"training_{'_'.join(MODEL)}" in names
    for name in names:
        assert all((run / "report" / "figures" / f"{name}.{kind}").is_file() for kind in ("png", "svg"))
        assert f'download="{name}.csv"' in text
    assert [figure for figure, _ in left_out] == [
        "Figures 4 to 9 over all MindPics",
        "Figures 4c to 8c and 9 (t-SNE)",
    ]


def test_two_processes_draw_the_same_figures(made, tmp_path):
    run, _, text, left_out = made
    path, again = write_report(run, study=read_study, out=tmp_path / "r/index.html", workers=2)
    assert again == left_out and path.read_text(encoding="utf-8") == text
    drawn = {file.name: file.read_bytes() for file in (run / "report/figures").iterdir()}
    assert drawn == {file.name: file.read_bytes() for file in (tmp_path / "r/figures").iterdir()}


def test_with_features_and_activations_the_maps_are_drawn_over_all_mindpics_and_of_test_pictures_second(run):
    name = run / "mindpics" / "_".join(MODEL) / "pool5"
    units = np.random.default_rng(1).normal(size=(40, 5, 2)).astype(np.float32)
    np.savez(name.with_name("activations.npz"), ids=np.array([f"p{i}" for i in range(40)]), activations=units)
    np.save(f"{name}.npy", np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32))
    Path(f"{name}.ids.txt").write_text("".join(f"p{i}\n" for i in range(40)))
    _, text, left_out = page_of(run)
    assert left_out == [] and "Figure 9" in text and "Figure 4c" in text
    for name in ("figure4", "figure4c", "figure9"):
        assert text.index(f'download="{name}.csv"') < text.index(f'download="{name}_test.csv"')
    first = read(run / "report/figures/figure4.csv")[0]
    assert (first["id"], first["activation"]) == (f"p{units[:, 0, 1].argmax()}", f"{units[:, 0, 1].max():.4f}")


@pytest.mark.parametrize("extracted", [range(1, 40), range(39, 40)], ids=["all but p0", "p39 alone"])
def test_pictures_without_features_cost_their_places_in_the_maps_alone(run, extracted):
    name, maps = run / "mindpics" / "_".join(MODEL) / "pool5", "Figures 4c to 8c and 9 (t-SNE), test pictures"
    np.save(f"{name}.npy", np.random.default_rng(0).normal(size=(len(extracted), 6)).astype(np.float32))
    Path(f"{name}.ids.txt").write_text("".join(f"p{i}\n" for i in extracted))
    _, text, (_, told) = page_of(run)
    if len(extracted) == 1:
        assert told == (maps, f"found features of 1 of 40 pictures in {name}; wanted of two at least")
        assert 'download="figure9.csv"' not in text
    else:
        assert told == (f"{maps}: 1 of 40 pictures", f"found no features of them in {name}, p0 the first")
        assert 'download="figure9.csv"' in text
        assert "p0" not in {row["id"] for row in read(run / "report/figures/figure9.csv")}
        assert "p0" in {row["id"] for row in read(run / "report/figures/figure4.csv")}


def test_the_open_readings_stand_in_the_page_once_their_table_is_there(run):
    _, text, _ = page_of(run, pictures=run / "none")
    assert 'id="sensitivity"' not in text
    line = sensitivity_line(
        Varied(Change("MindPics", "its number", "length", "28 epochs", EVIL), [Move(80, 82, -1, 5, 40)])
    )
    failed = sensitivity_line(
        Varied(Change("MindPics", "its number", "split", "by image", "by group"), [], ["diverged"])
    )
    (run / "sensitivity").mkdir()
    (run / "sensitivity" / "rejected.jsonl").write_text(json.dumps({"id": "q", "reason": "of a reading"}) + "\n")
    draw_sensitivity([line, failed], run / "sensitivity" / "readings")
    page, text, _ = page_of(run)
    rows = page.table("number", "choice", "default")
    assert rows[1][3:10] == [EVIL, "80.0", "82.0", "+2.0", "-1.0 to +5.0", "test pictures", "40"]
    assert rows[2][4:] == ["", "", "", "", "", "", "0", "diverged"]
    assert 'id="sensitivity"' in text and 'download="readings.csv"' in text
    assert not any("sensitivity" in row[0] for row in page.table("list", "rejected")[1:])


def test_pinterest_beside_mindpics(run):
    folder = run / "pinterest_id"
    (folder / "figures").mkdir(parents=True)
    (folder / "table2.csv").write_text(
        "model,accuracy,f1_macro,recall_at_10,low95,high95,n,published_accuracy,published_f1,command\n"
        "CF,36.0,35.22,81.33,30.67,41.33,300,37.34,36.16,make\nlearned,50.0,50.0,87.0,45.0,55.0,300,,,make\n"
    )
    Image.new("RGB", (8, 8)).save(folder / "figures" / "figure4.png")
    page, text, _ = page_of(run, pictures=run / "none")
    table = page.table("model", "paper")
    assert table[1][:5] == ["CF", "37.34", "36.00", "-1.34", "30.67 to 41.33"]
    assert table[2][:4] == ["learned", "", "50.00", ""]
    assert "F1 of each user" in text


def test_an_unfinished_run_without_pictures_says_so(run):
    (run / "run.json").unlink()
    (run / "mindpics" / "summary.json").unlink()
    page, text, left_out = page_of(run)
    assert "run.json is not there" in text and page.table("row", "paper", "ours")
    assert left_out == [("Figures 1, 4 to 10", "the pictures' folder is not there: not recorded (--pictures)")]


def test_what_cannot_be_reported_is_said(run, tmp_path):
    with pytest.raises(ValueError, match="no scores of resnet50_x; wanted one of alexnet_all-in-one_scratch"):
        write_report(run, model="resnet50_x")
    done = subprocess.run([sys.executable, ROOT / "tools/report", tmp_path / "no"], capture_output=True, text=True)
    assert done.returncode == 1 and "found no table3.csv and no table2.csv" in done.stderr
    (run / "run.json").write_text("{")
    with pytest.raises(ValueError, match="run.json: found what is not JSON"):
        write_report(run)


def two_heads(folder, seed, split="image"):
    """A run with all-in-one and independent of one net, 40 test pictures, and CF with and without refinement."""
    run, rng, rows = make_run(folder), np.random.default_rng(seed), []
    for heads in ("all-in-one", "independent"):
        path = run / "mindpics" / f"alexnet_{heads}_scratch" / "scores.npz"
        path.parent.mkdir(exist_ok=True)
        high = rng.uniform(0.05, 0.95, (40, 5))
        scores = np.stack([1 - high, high], axis=-1).astype(np.float32)
        np.savez(path, ids=np.array([f"p{i}" for i in range(40)]), labels=np.arange(40) % 10, scores=scores)
        rows.append(line_of(Row("alexnet", heads, "scratch"), path, "make"))
    write_table3(run / "mindpics" / "table3.csv", rows)
    (run / "run.json").write_text(json.dumps({"data": "stand-in: emoji", "seed": seed, "versions": {"numpy": "2"}}))
    asked = {"split": split, "group_by": "['author', 'copies']"}
    (run / "mindpics" / "summary.json").write_text(json.dumps({"arguments": asked, "train": 160, "test": 40}))
    pins = run / "pinterest_id"
    (pins / "figures").mkdir(parents=True)
    (pins / "run.json").write_text(json.dumps({"parts": {"train": 60, "validation": 20, "test": 20}}))
    (pins / "table2.csv").write_text(
        "model,accuracy,f1_macro,recall_at_10,low95,high95,n,published_accuracy,published_f1,command\n"
        f"CF,{40 + seed},35,80,30,50,20,37.34,36.16,make\nCF+Ref,50,50,87,45,55,20,38.3,37.46,make\n"
    )
    (pins / "mcnemar.csv").write_text("first,second,only_first_right,only_second_right,p_value\nCF,CF+Ref,1,3,0.6\n")
    (pins / "table3.csv").write_text("performance,rank,user,w,f,u,m,p\nlowest,1,Ann [ann@home.org],3,0.1,13,4,0.05\n")
    Image.new("RGB", (8, 8)).save(pins / "figures" / "figure4.png")
    (pins / "figures" / "figure4.csv").write_text("user,CF\nAnn [ann@home.org],0.5\n")
    return run


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """(runs, page, its text) of three runs that differ in the seed alone."""
    folders = [tmp_path_factory.mktemp("seed") for _ in range(3)]
    runs = [two_heads(folder, seed).rename(folder / f"mini-seed{seed}") for seed, folder in enumerate(folders)]
    page, text, _ = page_of(runs[0], other_roots=runs[1:], pictures=runs[0] / "none")
    return runs, page, text


def rows_by_name(table):
    return {line[0]: dict(zip(table[0], line, strict=True)) for line in table[1:]}


def test_several_seeds_stand_side_by_side_with_mean_and_spread(seeds):
    runs, page, text = seeds
    shown = rows_by_name(page.table("row", "paper", "mini-seed0", "mini-seed1", "mini-seed2", "n", "mean"))
    row_ = shown["alexnet all-in-one scratch"]
    values = [float(row_[f"mini-seed{seed}"]) for seed in range(3)]
    for value, run in zip(values, runs, strict=True):
        with open(run / "mindpics" / "table3.csv", newline="") as stream:
            assert value == float(next(csv.DictReader(stream))["avg"])
    assert row_["n"] == "40"
    assert row_["mean"] == f"{np.mean(values):.2f}" and row_["sd"] == f"{np.std(values, ddof=1):.2f}"
    assert row_["least to most"] == f"{min(values):.2f} to {max(values):.2f}"
    assert page.table("what", "mini-seed0")[1:] == [["seed", "0", "1", "2"]]
    assert "3 runs that differ in the seed alone" in text and "are of mini-seed0." in text
    written = read(runs[0] / "report" / "seeds.csv")
    assert [line["mean"] for line in written if line["row"] == "alexnet all-in-one scratch"] == [row_["mean"]]
    assert {line["data"] for line in written} == {"stand-in"}


@pytest.mark.parametrize(
    ("what", "facts", "pins"),
    [
        ("BatchNorm of fine-tuned nets", {"setting": {"given": {"frozen_batch_norm": True}}}, {}),
        ("layers of the losses", {"setting": {"given": {}, "loss": "native"}}, {}),
        ("unit_features (pins)", {}, {"options": {"unit_features": True}}),
        ("seed", {"seed": 0}, {}),
    ],
)
def test_runs_of_other_readings_or_of_one_seed_are_no_repeats(tmp_path, what, facts, pins):
    runs = []
    for seed, name in enumerate(("plain", "other")):
        (tmp_path / name).mkdir()
        run = two_heads(tmp_path / name, seed).rename(tmp_path / f"run-{name}")
        setting = {"setting": {"given": {}, "loss": "python"}}
        recorded = json.loads((run / "run.json").read_text()) | setting
        changed = {"options": {"unit_features": False, "seed": seed}}
        if name == "other":
            recorded, changed = recorded | facts, {"options": changed["options"] | pins.get("options", {})}
        (run / "run.json").write_text(json.dumps(recorded))
        parts = json.loads((run / "pinterest_id/run.json").read_text())
        (run / "pinterest_id/run.json").write_text(json.dumps(parts | changed))
        runs.append(RunFiles(run, study=read_study))
    comparing = Comparing(runs)
    assert not comparing.repeats
    assert (what == "seed") != (what in {row[0] for row in comparing.differing().rows})
    if what.endswith("(pins)"):
        (runs[1].root / "pinterest_id/run.json").unlink()  # of paper 1 alone
        assert Comparing([runs[0], RunFiles(runs[1].root, study=read_study)]).repeats
    with pytest.raises(ValueError, match="run-plain: found this run twice"):
        write_report(runs[0].root, [tmp_path / "other" / ".." / "run-plain"])


def test_the_papers_words_stand_beside_each_run(seeds):
    runs, page, _ = seeds
    shown = rows_by_name(page.table("claim", "paper, points"))
    first = claims(runs[0] / "mindpics")[0]
    assert shown[first.words]["so it is"] == first.verdict
    assert shown[first.words]["paper, points"] == f"{first.paper:+.1f}"


def test_paired_tests_are_the_scores_and_the_csv(seeds):
    runs, page, _ = seeds
    shown, written = page.table("run", "comparison")[1:], read(runs[0] / "report" / "paired.csv")
    assert len(shown) == len(written) == 6
    for seed, run in enumerate(runs):
        ours, theirs = (
            right_answers(run / "mindpics" / f"alexnet_{heads}_scratch" / "scores.npz")[1]
            for heads in ("all-in-one", "independent")
        )
        only = [str(int((ours & ~theirs).sum())), str(int((theirs & ~ours).sum()))]
        assert shown[2 * seed][2:5] == [*only, "40"]
        assert [written[2 * seed][key] for key in ("only_first_right", "only_second_right", "n")] == [*only, "40"]
        assert shown[2 * seed + 1][1:6] == ["CF+Ref against CF", "3", "1", "20", "+10.0"]


def test_over_seeds_and_sampling_error(seeds):
    runs, page, _ = seeds
    over = rows_by_name(page.table("comparison", "paper, points", "mean difference"))["CF+Ref against CF"]
    assert [over[key] for key in ("paper, points", "mean difference", "sd", "seeds")] == ["+0.96", "+9.00", "1.00", "3"]
    half = 4.302653 * (1 / 3 + 20 / 80) ** 0.5  # 20 test pins, 80 that train
    assert over["95% interval"] == f"{9 - half:+.2f} to {9 + half:+.2f}"
    errors = rows_by_name(page.table("comparison", "paper's difference"))
    net = errors["alexnet scratch: all-in-one against independent"]
    assert (net["paper's n"], net["standard error, unpaired"]) == ("24,200", "0.44")
    assert errors["CF+Ref against CF"]["discordant here, %"] == "20.0"
    assert read(runs[0] / "report" / "paired_over_seeds.csv")[1]["mean"] == "9.0"


def test_runs_that_differ_in_more_than_the_seed_get_no_mean(tmp_path):
    first, second = two_heads(tmp_path / "a", 0), two_heads(tmp_path / "b", 1, "group")
    other = second.rename(tmp_path / "group")
    path, _ = write_report(
        first, [other], out=tmp_path / "page" / "index.html", pictures=tmp_path / "none", study=read_study
    )
    assert path == tmp_path / "page" / "index.html" and not (first / "report").exists()
    page = Page(path.read_text(encoding="utf-8"))
    side = page.table("row", "paper", "run", "group")
    assert side[0][-1] == "second less first" and "mean" not in side[0]
    assert float(side[1][-1]) == pytest.approx(float(side[1][3]) - float(side[1][2]))
    assert ["split", "by image", "by group: author, copies"] in page.table("what", "run", "group")
    assert "paired_over_seeds.csv" not in path.read_text(encoding="utf-8")


def test_runs_of_one_seed_and_setting_are_said_to_differ_in_nothing(tmp_path):
    runs = [two_heads(tmp_path / name, 0).rename(tmp_path / f"run-{name}") for name in "ab"]
    for recorded in (True, False):
        comparing = Comparing([RunFiles(run, study=read_study) for run in runs])
        unlike = "These runs differ in more than the seed, or not in it, or not all is recorded"
        assert summary(comparing)[0] == f"Side by side: run-a, run-b. {unlike}, see below."
        assert unlike in comparing.side_by_side(comparing.rows).caption
        assert not recorded or comparing.differing().caption == "Nothing that is recorded differs."
        (runs[1] / "run.json").unlink(missing_ok=True)


def test_addresses_in_names_are_not_shown(seeds):
    _, page, text = seeds
    assert page.table("F1", "rank", "user")[1][2] == "Ann [ann@…]"
    csvs = [base64.b64decode(link.split(",")[1]).decode() for link in page.links if link.startswith("data:text/csv")]
    assert any("Ann [ann@…],0.5" in content for content in csvs)
    assert not any("home.org" in content for content in [*csvs, text])


def test_models_scored_on_other_pictures_are_not_compared(tmp_path):
    run = two_heads(tmp_path, 0)
    path = run / "mindpics" / "alexnet_independent_scratch" / "scores.npz"
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **arrays | {"ids": arrays["ids"][::-1]})
    with pytest.raises(ValueError, match="found other pictures than .*; wanted the same"):
        write_report(run, pictures=tmp_path / "none")


def read(path):
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_settings_read_as_words():
    assert readable("{('alexnet', 'pretrain'): Schedule(epochs=10, step_epochs=8)}") == (
        "alexnet pretrain: epochs=10, step_epochs=8"
    )
    assert readable("{broken") == "{broken" and readable("None") == "none" and readable(0.95) == "0.95"


def test_a_sweep_is_a_section_with_its_figure_and_its_runs(run, tmp_path):
    sweep = tmp_path / "sweep"
    sweep.mkdir()
    runs = [{"settings": {"base_lr": rate}, "weights": None, "seed": 0} for rate in (0.1, 0.01)]
    (sweep / "sweep.json").write_text(json.dumps({"solver": EVIL, "runs": runs}))
    (sweep / "runs.csv").write_text(
        "base_lr,seed,ended,iterations,best_mean_accuracy,path\n0.1,0,done,9,0.75,a\n0.01,0,done,9,0.5,b\n"
    )
    write_page(sweep)
    page, text, _ = page_of(run, further=[section_of(sweep)])
    assert '<section id="sweep">' in text and EVIL not in text
    assert page.table("base_lr", "ended")[1:] == [["0.1", "done", "9", "0.75", "a"], ["0.01", "done", "9", "0.5", "b"]]
    assert 'download="runs.csv"' in text and 'alt="Test result by setting"' in text
