"""Rows of the tables over several runs: mean, spread, and what one run lacks."""

import csv
import json

import pytest

from mindpics.results.run_files import RunFiles
from mindpics.results.seeds import TABLE3, RowOfRuns, format_seeds, write_seeds
from pinterest_id.study import read_study


def make_run(folder, rows, data="stand-in: emoji"):
    folder.mkdir(parents=True)
    (folder / "pinterest_id").mkdir()
    lines = ["model,accuracy,f1_macro,recall_at_10,low95,high95,n,published_accuracy,published_f1,command"]
    lines += [f"{name},{accuracy},1,1,1,1,{n},{paper},,make" for name, accuracy, n, paper in rows]
    (folder / "pinterest_id" / "table2.csv").write_text("\n".join(lines) + "\n")
    (folder / "run.json").write_text(json.dumps({"data": data}))
    return folder


def test_seeds_csv_has_every_row_of_some_run(tmp_path):
    roots = [
        make_run(tmp_path / "mini", [("CF", 50, 150, 37.34), ("learned", 60, 150, "")]),
        make_run(tmp_path / "mini-seed1", [("CF", 53, 152, 37.34)]),
    ]
    rows = write_seeds(tmp_path / "seeds.csv", [RunFiles(root, study=read_study) for root in roots])
    with open(tmp_path / "seeds.csv", newline="") as stream:
        cascade, learned = csv.DictReader(stream)
    assert cascade == {
        "table": "Table 2",
        "row": "CF",
        "data": "stand-in",
        "n": "150..152",
        "published": "37.34",
        "runs": "2",
        "mean": "51.50",
        "sd": "2.12",
        "min": "50.00",
        "max": "53.00",
        "mini": "50.00",
        "mini-seed1": "53.00",
    }
    assert (learned["published"], learned["runs"], learned["sd"], learned["mini-seed1"]) == ("", "1", "", "")
    text = format_seeds(rows, [0, 1], "on the stand-in").split("\n")
    assert text[0] == "Table 2 (Pinterest), seeds 0, 1: accuracy in %, on the stand-in"
    assert text[2].split() == ["CF", "37.34", "51.50", "2.12", "50.00..53.00", "2", "150..152"]


def test_folders_of_one_name_are_told_by_their_paths(tmp_path):
    roots = [make_run(tmp_path / part / "mini", [("CF", 50, 10, 37.34)], "MY/posts.jsonl") for part in "ab"]
    write_seeds(tmp_path / "seeds.csv", [RunFiles(root, study=read_study) for root in roots])
    with open(tmp_path / "seeds.csv", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert row["data"] == "MY/posts.jsonl" and row[str(roots[0])] == row[str(roots[1])] == "50.00"


def test_a_mean_is_over_the_runs_that_have_the_row():
    row = RowOfRuns(TABLE3, "x", None, (1.0, None, 3.0), (5, 5))
    assert row.mean == 2 and row.sd == pytest.approx(2**0.5) and row.tested == "5"
