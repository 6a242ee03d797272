"""What is compared, read from a run's files; the page's own tests hold it against scores and CSVs."""

import json

import numpy as np

from mindpics.results.comparisons import comparisons, differences_over_seeds, right_answers
from mindpics.results.run_files import RunFiles
from mindpics.results.table3 import COLUMNS
from pinterest_id.study import read_study

HEADER = "model,accuracy,f1_macro,recall_at_10,low95,high95,n,published_accuracy,published_f1,command\n"


def pinterest_run(folder, refined, test, parts=True):
    pins = folder / "pinterest_id"
    pins.mkdir(parents=True)
    (pins / "table2.csv").write_text(
        HEADER + f"CF,40,1,1,1,1,20,37.34,36.16,make\nCF+Ref,{refined},1,1,1,1,20,38.3,37.46,make\n"
    )
    (pins / "mcnemar.csv").write_text(f"first,second,only_first_right,only_second_right,p_value\n{test}\n")
    if parts:
        (pins / "run.json").write_text(json.dumps({"parts": {"train": 60, "validation": 20, "test": 20}}))
    return RunFiles(folder, study=read_study)


def test_a_picture_is_right_by_its_own_head_and_a_tie_counts_against(tmp_path):
    scores = np.full((4, 5, 2), 0.5, np.float32)
    scores[0, 0] = 0.9, 0.1  # label 0: trait O, low
    scores[1, 1] = 0.9, 0.1  # label 3: trait C, high
    scores[2, 1] = 0.9, 0.1  # label 4: trait E, low; another head's answer is none of its own
    np.savez(tmp_path / "scores.npz", ids=np.array(list("abcd")), labels=np.array([0, 3, 4, 9]), scores=scores)
    ids, right = right_answers(tmp_path / "scores.npz")
    assert list(ids) == list("abcd") and list(right) == [True, False, False, False]


def test_the_pinterest_test_is_read_whichever_model_stands_first(tmp_path):
    (one,) = comparisons(pinterest_run(tmp_path / "a", 50, "CF,CF+Ref,1,3,0.6"))
    (other,) = comparisons(pinterest_run(tmp_path / "b", 50, "CF+Ref,CF,3,1,0.6"))
    assert one == other
    assert (one.paired.only_first, one.paired.only_second, one.paired.n) == (3, 1, 20)
    assert one.points == 10 and one.paper == (38.3, 37.34) and one.test_to_train == 20 / 80


def test_without_the_size_of_the_training_set_there_is_no_interval_over_seeds(tmp_path):
    sized = [comparisons(pinterest_run(tmp_path / f"s{k}", 50 + k, "CF,CF+Ref,1,3,0.6")) for k in range(2)]
    assert differences_over_seeds(sized)["CF+Ref against CF"].mean == 10.5
    unsized = [comparisons(pinterest_run(tmp_path / f"u{k}", 50, "CF,CF+Ref,1,3,0.6", parts=False)) for k in range(2)]
    assert differences_over_seeds(unsized) == {} and differences_over_seeds(sized[:1]) == {}


def test_other_pairs_and_a_missing_file_are_no_comparison(tmp_path):
    assert comparisons(pinterest_run(tmp_path / "a", 50, "text only,CF,1,3,0.6")) == []
    pinterest_run(tmp_path / "b", 50, "CF,CF+Ref,1,3,0.6")
    (tmp_path / "b" / "pinterest_id" / "mcnemar.csv").unlink()
    assert comparisons(RunFiles(tmp_path / "b", study=read_study)) == []


def test_the_difference_of_heads_is_all_in_one_less_independent(tmp_path):
    header, ids = ",".join(COLUMNS), np.array(["a", "b"])
    lines = []
    for heads, average, right in (("independent", 50, 0), ("all-in-one", 100, 1)):
        cells = {"net": "alexnet", "heads": heads, "init": "scratch", "avg": average, "published_avg": 60 + right}
        lines.append(",".join(str(cells.get(column, 0)) for column in COLUMNS))
        scores = np.zeros((2, 5, 2), np.float32)
        scores[:, 0, 0] = 1, right - 0.5  # the second picture, of label 0 as well, is right in the second row alone
        folder = tmp_path / "mindpics" / f"alexnet_{heads}_scratch"
        folder.mkdir(parents=True)
        np.savez(folder / "scores.npz", ids=ids, labels=np.array([0, 0]), scores=scores)
    (tmp_path / "mindpics/table3.csv").write_text("\n".join([header, *lines]) + "\n")
    (heads,) = comparisons(RunFiles(tmp_path, study=read_study))
    assert heads.points == 50 and heads.paper == (61, 60)
    assert (heads.paired.only_first, heads.paired.only_second, heads.paired.n) == (1, 0, 2)
