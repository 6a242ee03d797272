"""Ready-made features and tf-idf: each kind of file gives the same experiment; what is no matrix is named."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from scipy.io import savemat
from sklearn.datasets import dump_svmlight_file
from small_experiment import SMALL, small_pins, write_data

from pinterest_id.experiment import Experiment
from pinterest_id.feature_files import FeatureFile
from pinterest_id.identify import open_identifier
from pinterest_id.matrix_files import load_matrix
from pinterest_id.scores import load_scores
from pinterest_id.text import PinTfidf

ROOT = Path(__file__).resolve().parents[2]
X = np.array([[0, 1.5, 0], [2, 0, 0.25]], np.float32)


def save_npy(path, matrix):
    np.save(path.with_suffix(".npy"), matrix)
    return path.with_suffix(".npy")


def save_mat(path, matrix):
    savemat(path.with_suffix(".mat"), {"G": matrix})
    return path.with_suffix(".mat")


def save_named_mat(path, matrix):
    savemat(path.with_suffix(".mat"), {"G": matrix, "labels": np.ones((3, 1))})
    return f"{path}.mat:G"


def save_sparse_mat(path, matrix):
    savemat(path.with_suffix(".mat"), {"G": sparse.csc_matrix(matrix.astype(float))})
    return path.with_suffix(".mat")


def save_csv(path, matrix, header=()):
    with open(path.with_suffix(".csv"), "w", newline="") as stream:
        csv.writer(stream).writerows([*header, *matrix.astype(str)])
    return path.with_suffix(".csv")


def save_csv_with_header(path, matrix):
    return save_csv(path, matrix, [[f"f{i}" for i in range(matrix.shape[1])]])


def save_svmlight(path, matrix):
    dump_svmlight_file(matrix, np.arange(len(matrix)), str(path.with_suffix(".svmlight")))
    return path.with_suffix(".svmlight")


KINDS = [save_npy, save_mat, save_named_mat, save_sparse_mat, save_csv, save_csv_with_header, save_svmlight]


@pytest.mark.parametrize("save", KINDS)
def test_each_kind_of_file_holds_the_same_rows(tmp_path, save):
    name = save(tmp_path / "x", X)
    (tmp_path / "ids").write_text("a\nb\n")
    (tmp_path / "x.ids.txt").write_text("a\nb\n")
    for file in (FeatureFile(name, tmp_path / "ids"), FeatureFile(name)):
        np.testing.assert_array_equal(file.matrix(["b", "a"]), X[::-1])
        np.testing.assert_array_equal(file.rows(["b"]).toarray(), X[1:])
        assert file.matrix(["a"]).dtype == file.rows(["a"]).dtype == np.float32


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", b"1,2\n3\n", r"x.csv: .*wanted numbers between commas, as many in each line"),
        ("x.csv", b"1,two\n1,2\n3,four\n", r"x.csv: .*wanted numbers"),
        ("x.mat", b"text", r"x.mat: found no .mat file"),
        ("x.svmlight", b"1 a:b\n", r"x.svmlight: found no svmlight file"),
        ("x.npy", b"cos\nsystem\n", r"x.npy: found .*wanted an array"),
        ("gone.mat", None, r"gone.mat: found no such file; wanted a matrix"),
    ],
)
def test_what_is_no_matrix_is_named(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        load_matrix(str(tmp_path / name))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (",0,1\n0,.5,.2\n1,.1,.4\n2,.3,.9\n", "x.csv, line 1: found a first column named '', an index"),
        ('"","V1"\n1,.5\n2,.1\n', "x.csv, line 1: found a first column named '', an index"),
        ("id,0,1\n17,.5,.2\n3,.1,.4\n", "x.csv, line 1: found a first column named 'id', an index"),
        ("0,.5,.2\n1,.1,.4\n2,.3,.9\n", "x.csv: found the numbers of the rows in its first column"),
        ("n,f0\n1,.5\n2,.1\n3,.3\n", "x.csv: found the numbers of the rows in its first column"),
    ],
)
def test_an_index_is_no_feature(tmp_path, content, found):
    (tmp_path / "x.csv").write_text(content)
    with pytest.raises(ValueError, match=f"{found}; wanted features alone, as pandas' to_csv"):
        load_matrix(tmp_path / "x.csv")


@pytest.mark.parametrize("name", ["fc7.npz", "fc7.h5", "fc7"])
def test_a_file_of_another_ending_is_told_from_one_that_is_not_there(tmp_path, name):
    with pytest.raises(ValueError, match=f"{name}.npy: found no such file"):
        FeatureFile(tmp_path / name)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match=f"{name}: found no matrix by its ending; wanted .npy, .mat, .*NAME of NAME"):
        FeatureFile(tmp_path / name)


def test_a_mat_of_several_matrices_wants_a_name(tmp_path):
    savemat(tmp_path / "x.mat", {"G": X, "H": X, "words": np.array(["a"], object)})
    with pytest.raises(ValueError, match=r"x.mat: found 2 matrices \(G, H\); wanted one, or .*x.mat:NAME"):
        load_matrix(f"{tmp_path}/x.mat")
    with pytest.raises(ValueError, match="found the matrices G, H; wanted K"):
        load_matrix(f"{tmp_path}/x.mat:K")


@pytest.mark.parametrize("name", ["./x.mat", "./x.mat:G", "x.mat", "x.mat:G", "below/../x.mat:G", "below//../x.mat"])
def test_a_path_of_a_mat_may_be_written_in_any_way(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "below").mkdir()
    savemat("x.mat", {"G": X})
    np.testing.assert_array_equal(load_matrix(name), X)


@pytest.mark.parametrize(("name", "content"), [("x.csv", "1,2\n3,inf\n"), ("x.svmlight", "1 1:2\n1 1:3 2:inf\n")])
def test_values_that_are_not_finite_are_named(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    (tmp_path / "ids").write_text("a\nb\n")
    with pytest.raises(ValueError, match=f"{name}: found NaN or infinite .* of pin b; wanted finite"):
        FeatureFile(tmp_path / name, tmp_path / "ids").rows(["a", "b"])


def test_ready_matrices_and_a_fixed_split_give_what_words_and_pictures_gave(tmp_path):
    """A tf-idf matrix of the training and validation pins' dictionary; pins without text or picture."""
    experiment = write_data(tmp_path, small_pins())
    experiment.options = replace(SMALL, C_grid=(1,))  # whose choice would be by the training pins' dictionary
    experiment.run()
    pins, n = experiment.pins, experiment.pins.n_seen
    save_svmlight(tmp_path / "tfidf", PinTfidf().fit(pins.texts[:n]).transform(pins.texts).toarray())
    save_mat(tmp_path / "fc7", np.load(tmp_path / "fc7.npy"))
    (tmp_path / "tfidf.ids.txt").write_text("".join(f"{id_}\n" for id_ in pins.ids))
    lines = [json.loads(line) for line in (tmp_path / "pins.jsonl").read_text().splitlines()]
    bare = "".join(json.dumps(pin | {"text": None, "image": None}) + "\n" for pin in lines)
    (tmp_path / "bare.jsonl").write_text(bare)
    command = [
        sys.executable,
        ROOT / "tools" / "run_identification",
        "--pins",
        tmp_path / "bare.jsonl",
        "--features",
        tmp_path / "fc7.mat",
        "--text-matrix",
        tmp_path / "tfidf.svmlight",
        "--keep-no-image",
        "--C",
        "1",
        "--split-file",
        tmp_path / "run" / "split.csv",
        "--out",
        tmp_path / "ready",
    ]
    subprocess.run(command, check=True, capture_output=True)
    for name in ("images", "text", "cf_ref"):
        ours, theirs = (load_scores(tmp_path / run / "scores" / f"{name}.npz") for run in ("ready", "run"))
        assert list(ours.ids) == list(theirs.ids)
        np.testing.assert_allclose(ours.logs, theirs.logs, atol=1e-3)
    facts = json.loads((tmp_path / "ready" / "summary.json").read_text())
    assert facts["dictionary_words"]["measured"] is None
    with pytest.raises(ValueError, match="found a run on a ready tf-idf matrix, whose words are not known"):
        open_identifier(tmp_path / "ready")


def test_pins_without_a_row_are_an_error(tmp_path):
    write_data(tmp_path, small_pins())
    save_npy(tmp_path / "tfidf", np.ones((2, 3), np.float32))
    (tmp_path / "tfidf.ids.txt").write_text("p000000\np000001\n")
    text = FeatureFile(tmp_path / "tfidf.npy")
    with pytest.raises(ValueError, match="tfidf.ids.txt: found no features of 238 of 240 pins"):
        Experiment(tmp_path / "pins.jsonl", tmp_path / "fc7", tmp_path / "run", SMALL, text=text).run()
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").glob("*.csv"))
