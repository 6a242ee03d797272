"""Six rows of Table 3 from six scores files of known answers, by tools/make_table3 and the report, cell by cell."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tool_module import run_tool

from mindpics.published import ROWS
from mindpics.report.tables import table3, table3_traits
from mindpics.results.metrics import evaluate, load_scores
from mindpics.results.run_files import RunFiles
from mindpics.results.seeds import rows_of as seeds_rows
from mindpics.results.table3 import read_table3, write_table3

ROOT = Path(__file__).resolve().parents[2]
# pictures of low and high of each trait, unequal, so that pooled, balanced and batch-wise accuracy differ
POLES = {"O": (12, 4), "C": (3, 9), "E": (10, 10), "A": (7, 1), "N": (5, 15)}
PUBLISHED = {  # Table 3
    ("alexnet", "independent", "scratch"): (61.6, 62.9, 63.4, 62.5, 64.0, 62.9),
    ("alexnet", "all-in-one", "scratch"): (62.3, 63.5, 63.6, 62.1, 65.4, 63.4),
    ("alexnet", "independent", "finetune"): (67.8, 68.3, 73.5, 67.4, 69.1, 69.2),
    ("alexnet", "all-in-one", "finetune"): (66.9, 69.2, 73.6, 67.8, 69.4, 69.4),
    ("resnet50", "independent", "finetune"): (69.5, 72.8, 76.9, 69.1, 70.3, 71.7),
    ("resnet50", "all-in-one", "finetune"): (69.8, 72.4, 77.7, 69.8, 69.6, 71.9),
}


def wrong(place, trait, pole):
    """How many of a trait and pole the row at a place gets wrong: another number in each row."""
    return min(POLES[trait][pole], (place + 2 * "OCEAN".index(trait) + pole) % 5)


def right(place):
    """Accuracy of each trait of a row, in percent."""
    return {
        trait: 100 * (1 - sum(wrong(place, trait, pole) for pole in (0, 1)) / sum(counts))
        for trait, counts in POLES.items()
    }


def write_scores(path, place):
    labels, scores = [], []
    for trait, counts in POLES.items():
        for pole, count in enumerate(counts):
            for number in range(count):
                answer = np.full((5, 2), 0.5)
                chosen = 1 - pole if number < wrong(place, trait, pole) else pole
                answer["OCEAN".index(trait)] = [0.9, 0.1] if chosen == 0 else [0.1, 0.9]
                labels.append(2 * "OCEAN".index(trait) + pole)
                scores.append(answer)
    path.parent.mkdir(parents=True)
    ids = np.array([f"p{i}" for i in range(len(labels))])
    np.savez(path, ids=ids, labels=np.array(labels), scores=np.array(scores, np.float32))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("six") / "run"
    given = []
    for place, row in enumerate(ROWS):
        path = folder / "mindpics" / row.name / "scores.npz"
        write_scores(path, place)
        given += ["--row", row.switch, path, f"command {place}"]
    run_tool("make_table3", "--out", folder / "mindpics" / "table3.csv", *given)
    return folder


def table(run):
    with open(run / "mindpics" / "table3.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def test_each_of_six_rows_is_of_its_own_scores(run):
    assert [tuple(row) for row in ROWS] == list(PUBLISHED)
    for place, (line, row) in enumerate(zip(table(run), ROWS, strict=True)):
        accuracy = right(place)
        assert (line["net"], line["heads"], line["init"], line["command"]) == (*row, f"command {place}")
        assert {trait: float(line[trait]) for trait in "OCEAN"} == pytest.approx(accuracy, abs=0.006)
        assert float(line["avg"]) == pytest.approx(np.mean(list(accuracy.values())), abs=0.006)
        assert float(line["larger_pole_avg"]) == pytest.approx(100 * np.mean([12 / 16, 9 / 12, 0.5, 7 / 8, 0.75]))
        assert (line["n"], float(line["published_avg"])) == ("76", PUBLISHED[tuple(row)][5])
    assert len({line["avg"] for line in table(run)}) == 5  # the sixth row is the first again, five wrong later


def test_the_figures_of_a_row_are_pooled_and_balanced_by_trait(run):
    for place, row in enumerate(ROWS):
        figures = evaluate(*load_scores(run / "mindpics" / row.name / "scores.npz")[1:])
        for trait, (low, high) in POLES.items():
            shares = [1 - wrong(place, trait, pole) / count for pole, count in enumerate((low, high))]
            assert figures[trait]["accuracy"] == pytest.approx(right(place)[trait] / 100)
            assert figures[trait]["balanced_accuracy"] == pytest.approx(np.mean(shares))
            assert figures[trait]["larger_pole"] == pytest.approx(max(low, high) / (low + high))
            assert figures[trait]["n"] == low + high


def test_the_report_has_each_row_beside_the_paper(run):
    table_, traits = table3(RunFiles(run)), table3_traits(RunFiles(run)).rows
    shown = [dict(zip([name for name, _ in table_.columns], line, strict=True)) for line in table_.rows]
    for place, (line, row) in enumerate(zip(shown, ROWS, strict=True)):
        *papers, paper = PUBLISHED[tuple(row)]
        average = float(table(run)[place]["avg"])
        wanted = {
            "row": row.title,
            "paper": f"{paper:.1f}",
            "ours": f"{average:.1f}",
            "n": "76",
            "difference": f"{average - paper:+.1f}",
            "command": f"command {place}",
        }
        assert line | wanted == line
        for own, trait, published in zip(traits[5 * place : 5 * place + 5], "OCEAN", papers, strict=True):
            value = float(table(run)[place][trait])
            assert own == [row.title, trait, f"{published:.1f}", f"{value:.1f}", f"{value - published:+.1f}"]


def test_the_rows_of_several_runs_are_each_rows_own(run):
    for place, row in enumerate(seeds_rows([RunFiles(run), RunFiles(run)])):
        assert (row.name, row.published) == (ROWS[place].title, PUBLISHED[tuple(ROWS[place])][5])
        assert row.mean == pytest.approx(float(table(run)[place]["avg"])) and row.sd == 0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("net,heads", "a,b", "line 1: found no column net, heads in a,"),
        (",command,", ",made,", "line 1: found no column command in net,"),
        (",76,63.4", ",many,63.4", "line 3: found what is no number .*'many'.*; wanted numbers in O, C, E, A, N, avg"),
        (
            "alexnet,all-in-one,scratch",
            "vgg,all-in-one,scratch",
            "line 3: found vgg, all-in-one, scratch; wanted a",
        ),
    ],
)
def test_a_broken_table_is_named_with_its_line(run, tmp_path, old, new, words):
    path = tmp_path / "table3.csv"
    text = (run / "mindpics" / "table3.csv").read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=f"table3.csv, {words}"):
        read_table3(path)


@pytest.mark.parametrize("average", ["", "85,2", "none"])
def test_an_average_that_is_no_number_is_named_with_its_line(run, tmp_path, average):
    rows = table(run)
    rows[1]["avg"] = average
    write_table3(tmp_path / "table3.csv", rows)
    with pytest.raises(ValueError, match="table3.csv, line 3: found what is no number"):
        read_table3(tmp_path / "table3.csv")


def test_no_table_is_made_of_no_scores_or_over_another_csv(run, tmp_path):
    out, scores = tmp_path / "table3.csv", run / "mindpics" / ROWS[0].name / "scores.npz"
    tool = [sys.executable, ROOT / "tools/make_table3", "--out", out, "--row", ROWS[0].switch]
    shutil.copy(run / "mindpics" / "table3.csv", out)
    for csv_there, given, words in (
        (out.read_text(), "TYPO.npz", "make_table3: TYPO.npz: found no scores of a row; wanted some, and"),
        ("a,b\n1,2\n", scores, f"make_table3: {out}, line 1: found no column net, heads, init"),
        ("net,heads,init,command\nx,y,z,rm\n", scores, f"make_table3: {out}, line 1: found no column O, C"),
    ):
        out.write_text(csv_there)
        refused = subprocess.run([*tool, given, "again"], capture_output=True, text=True)
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1) and words in refused.stderr
        assert out.read_text() == csv_there
