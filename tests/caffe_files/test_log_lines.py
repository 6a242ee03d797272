"""What a Caffe log says, as it comes from glog, from Windows, and from copies that cut or glued its lines."""

import math

import pytest

from mindpics.caffe_files.log_lines import Log, number
from mindpics.training.caffe_log import TestPasses

PREFIX = "I1125 18:24:49.123456  4711 solver.cpp:239] "


def read(text):
    log = Log()
    for line in text.splitlines():
        log.read(line)
    return log


@pytest.mark.parametrize("prefix", [PREFIX, "", "I20261125 18:24:49 4711 solver.cpp:239] ", "2026-11-25 worker-3 | "])
def test_any_prefix_will_do(prefix):
    log = read(
        f"{prefix}Iteration 20 (3.1 iter/s, 6.4s/20 iters), loss = 0.69\n"
        f"{prefix}    Train net output #0: loss_O = 0.7 (* 1 = 0.7 loss)\n"
        f"{prefix}Iteration 20, lr = 1e-05\n"
    )
    assert log.train == {("loss", 20): 0.69, ("loss_O", 20): 0.7, ("lr", 20): 1e-05}
    assert log.unread == 0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("nan", math.nan),
        ("-nan", math.nan),
        ("-nan(ind)", math.nan),
        ("1.#QNAN", math.nan),
        ("-1.#IND", math.nan),
        ("1.#INF", math.inf),
        ("-inf", -math.inf),
        ("87.3365", 87.3365),
        ("1.5e+07", 1.5e7),
    ],
)
def test_a_number_is_what_c_prints(text, value):
    assert number(text) == pytest.approx(value, nan_ok=True)
    found = read(f"{PREFIX}Iteration 3, loss = {text}").train["loss", 3]
    assert found == pytest.approx(value, nan_ok=True)


def logged(iteration, total, *outputs):
    lines = [f"{PREFIX}Iteration {iteration} (3.1 iter/s, 6.4s/20 iters), loss = {total}"]
    lines += [f"{PREFIX}    Train net output #{number}: {text}" for number, text in enumerate(outputs)]
    return "\n".join((*lines, ""))


def test_an_output_loss_is_no_sum_of_losses_and_none_that_caffe_smoothed():
    aux = logged(0, 3.3, "aux = 2.5 (* 0.4 = 1 loss)", "loss = 2.3 (* 1 = 2.3 loss)") + logged(5, 3)
    assert read(aux).train == {("aux", 0): 2.5, ("loss", 0): 2.3, ("total_loss", 0): 3.3, ("total_loss", 5): 3}
    smoothed = logged(0, 2.5, "loss = 2.5 (* 1 = 2.5 loss)") + logged(5, 2, "loss = 1.5 (* 1 = 1.5 loss)")
    assert read(smoothed).train == {("loss", 0): 2.5, ("loss", 5): 1.5, ("total_loss", 0): 2.5, ("total_loss", 5): 2}
    named = logged(0, 3, "total_loss = 1 (* 1 = 1 loss)", "loss = 2 (* 1 = 2 loss)")
    assert read(named).train == {("total_loss", 0): 1, ("loss", 0): 2, ("total_total_loss", 0): 3}
    alone = logged(0, 3, "aux = 2.5 (* 0.4 = 1 loss)")
    assert read(alone).train == {("aux", 0): 2.5, ("loss", 0): 3}


def test_an_output_loss_that_is_all_there_is_to_minimise_is_one_series():
    """Caffe's mean over one loss is the loss before and the difference, which rounds."""
    log = read(logged(0, 87.3, "loss = 87.3") + logged(5, 0.100002, "loss = 0.1") + logged(9, "nan", "loss = nan"))
    log.read("Iteration 10, loss = 0.05")
    assert {key: value for key, value in log.train.items() if key[1] != 9} == {
        ("loss", 0): 87.3,
        ("loss", 5): 0.1,
        ("loss", 10): 0.05,
    }
    assert math.isnan(log.train["loss", 9]) and len(log.train) == 4


def test_glued_lines_are_all_read_and_a_cut_one_costs_itself():
    log = read(
        f"{PREFIX}Iteration 0, loss = 0.5{PREFIX}Iteration 0, lr = 0.01\n{PREFIX}Iteration 20, loss = \n"
        f"{PREFIX}Iteration 4"
    )
    assert log.train == {("loss", 0): 0.5, ("lr", 0): 0.01}
    assert log.unread == 2


def test_names_with_spaces_several_values_of_an_output_and_several_test_nets():
    log = read("""Iteration 7, Testing net (#0)
        Test net output #0: per class = 0.1
        Test net output #1: per class = 0.2
        Test net output #2: top 5 accuracy = 0.9
    Iteration 7, Testing net (#1)
        Test net output #0: per class = 0.3
    """)
    assert log.test == {
        ("per class", 7): 0.1,
        ("per class[1]", 7): 0.2,
        ("top 5 accuracy", 7): 0.9,
        ("per class#1", 7): 0.3,
    }
    assert log.passes() == [
        {"iteration": 7, "per class": 0.1, "per class[1]": 0.2, "top 5 accuracy": 0.9, "per class#1": 0.3}
    ]


def test_a_pass_counts_once_a_training_line_has_followed_it(tmp_path):
    path = tmp_path / "caffe.log"
    path.write_text("Iteration 0, Testing net (#0)\n Test net output #0: a = 0.5\n Test net out")
    passes = TestPasses(path)
    path.write_text("")
    passes = TestPasses(path)
    with path.open("a") as log:
        log.write("Iteration 0, Testing net (#0)\n Test net output #0: a = 0.5\n Test net out")
        log.flush()
        assert passes.update() == []
        log.write("put #1: b = 0.25\nIteration 0, loss = 1\nIteration 20, Test")
        log.flush()
        assert passes.update() == [{"iteration": 0, "a": 0.5, "b": 0.25}]
        log.write("ing net (#0)\n Test net output #0: a = 0.75\n")
        log.flush()
    assert passes.update(whole=True) == [{"iteration": 20, "a": 0.75}]
    assert [row["iteration"] for row in passes.rows] == [0, 20]
    assert TestPasses(path, before=20).rows == [{"iteration": 0, "a": 0.5, "b": 0.25}]
