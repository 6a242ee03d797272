"""Schedules in epochs become iterations; the solver's fields."""

import pytest
from caffe.proto import caffe_pb2

from mindpics.nets.solvers import SCHEDULES, Schedule, solver
from mindpics.published import published
from mindpics.training.rates import Rates


def make(**changes):
    given = {"train": 1000, "batch": 64, "test": 373, "test_batch": 40, "prefix": "runs/x"} | changes
    return solver("net.prototxt", Schedule(10, 4, 0.01), **given)


def test_epochs_become_iterations_and_round_up():
    message = make()
    assert message.max_iter == 157  # 10 * 1000 / 64 = 156.25
    assert message.stepsize == 63
    assert list(message.test_iter) == [10]  # 373 pictures in batches of 40: the last wraps around


def test_rates_are_the_papers():
    rates = published()["training"]["base_lr"]
    assert rates == {"scratch": 0.01, "finetune": 0.001}
    assert {init: schedule.base_lr for init, schedule in SCHEDULES.items()} == rates


def test_the_rate_is_a_tenth_from_each_step_on():
    message = make()
    assert message.gamma == pytest.approx(0.1) and message.lr_policy == "step"
    rates = [Rates(message, iteration).next() for iteration in (0, 62, 63, 125, 126)]
    assert rates == pytest.approx([0.01, 0.01, 0.001, 0.001, 0.0001])


def test_seed_is_set_only_when_given():
    assert not make().HasField("random_seed")
    assert make(seed=0).HasField("random_seed")


def test_no_solver_mode_so_that_caffe_train_runs_with_and_without_a_gpu():
    assert not make().HasField("solver_mode")


@pytest.mark.parametrize("tests", [1, 20])
def test_there_is_always_at_least_one_iteration_between_tests_and_snapshots(tests):
    message = make(train=10, tests=tests)
    assert isinstance(message, caffe_pb2.SolverParameter)
    assert message.max_iter >= 1
    assert message.test_interval >= 1
    assert message.snapshot >= 1


@pytest.mark.parametrize("train", [640, 6510, 121_000])
def test_each_of_several_snapshots_falls_on_a_test_pass_and_a_single_one_is_the_last_iterate(train):
    message = make(train=train)
    assert message.snapshot % message.test_interval == 0 and 10 <= message.max_iter // message.snapshot <= 12
    alone = make(train=train, snapshots=1)
    assert alone.snapshot == alone.max_iter
