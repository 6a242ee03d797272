"""Iterates of a run: Caffe's own accuracies from its test passes, and the snapshot of the best pass."""

import pytest

from mindpics.training.iterates import best_snapshot, caffes_accuracies, iterate_of, run_of

TESTS = "iteration,accuracy_O,accuracy_C,loss_O\n10,0.5,0.7,1\n20,0.9,0.9,1\n30,0.8,nan,1\n40,0.8,0.8,1\n"


def make_run(folder, snapshots=(21, 40)):
    (folder / "snapshots").mkdir()
    (folder / "test.csv").write_text(TESTS)
    for iteration in snapshots:
        (folder / f"snapshots/net_iter_{iteration}.caffemodel").touch()
    return folder


def test_caffes_accuracy_is_the_mean_over_heads_and_a_pass_that_is_not_finite_has_none(tmp_path):
    assert caffes_accuracies(make_run(tmp_path)) == pytest.approx({10: 60, 20: 90, 40: 80})
    assert caffes_accuracies(tmp_path / "nothing") == {}


def test_the_best_snapshot_has_the_best_pass_nearest_to_it_and_of_equals_the_earlier(tmp_path):
    path, iteration = best_snapshot(make_run(tmp_path))
    assert (path.name, iteration) == ("net_iter_21.caffemodel", 21)
    (tmp_path / "snapshots/net_iter_19.caffemodel").touch()
    assert best_snapshot(tmp_path)[1] == 19


def test_a_caffemodel_is_of_the_run_above_its_snapshots_or_beside_it():
    assert [str(run_of(path)) for path in ("a/snapshots/x.caffemodel", "snapshots/x", "a/final.caffemodel", "x")] == [
        "a",
        ".",
        "a",
        ".",
    ]


def test_a_run_without_snapshots_has_no_best(tmp_path):
    with pytest.raises(ValueError, match="found no snapshot; wanted a run of train_net"):
        best_snapshot(make_run(tmp_path, ()))


def test_weights_are_the_last_iterate_where_a_run_ended_with_them_alone(tmp_path):
    make_run(tmp_path)
    (tmp_path / "run.json").write_text('{"iterations": 40, "caffemodel": "run/final.caffemodel"}')
    assert iterate_of(tmp_path / "final.caffemodel") == iterate_of(tmp_path / "final.caffemodel.h5") == ("last", 40)
    assert iterate_of(tmp_path / "snapshots/net_iter_40.caffemodel") == ("last", 40)
    assert iterate_of(tmp_path / "snapshots/net_iter_21.caffemodel") == ("a snapshot", 21)
    (tmp_path / "run.json").write_text('{"iterations": 60, "caffemodel": "run/snapshots/net_iter_60.caffemodel"}')
    assert iterate_of(tmp_path / "final.caffemodel") == ("weights as given", None)  # of before it went on
    assert iterate_of("caffe_alexnet_train_iter_450000.caffemodel") == ("a snapshot", 450_000)
    for path in (tmp_path / "bvlc_alexnet.caffemodel", tmp_path / "other/final.caffemodel", "final.caffemodel"):
        assert iterate_of(path) == ("weights as given", None)
