"""The time left: costs at the pace of each tool, the longest chain, and what comes later."""

import pytest

from mindpics.jobs.stages import Stage
from mindpics.jobs.time_left import BELIEF, time_left


def stage(name, cost, tool="tools/train_net", inputs=()):
    return Stage(name, (tool, name), tuple(inputs), (name,), cost=cost)


def test_before_anything_is_seen_the_costs_count_shared_between_jobs():
    stages = [stage("a", 100), stage("b", 60)]
    assert time_left(stages, {}, [], 1) == 160
    assert time_left(stages, {}, [], 2) == 100  # the longest chain
    assert time_left([stage("a", 100), stage("b", 60, inputs=("a",))], {}, [], 2) == 160


def test_a_running_stage_owes_what_it_has_not_had():
    assert time_left([stage("a", 100)], {"a": 30}, [], 1) == 70


def test_a_stage_over_its_cost_still_owes_something_and_slows_the_others_of_its_tool():
    late, alone = stage("a", 100), stage("b", 100)
    pace = (BELIEF + 240) / (BELIEF + 100)
    left = time_left([late, alone], {"a": 240}, [], 1)
    assert left == pytest.approx(100 * pace / 20 + 100 * pace)


def test_a_tool_keeps_its_own_pace():
    seen = [(stage("x", BELIEF), 3 * BELIEF)]  # twice the expected, belief included
    assert time_left([stage("a", 100)], {}, seen, 1) == pytest.approx(200)
    assert time_left([stage("a", 100, "tools/create_lmdb")], {}, seen, 1) == 100


def test_later_stages_count_after_these_at_the_same_pace():
    seen = [(stage("x", BELIEF), 3 * BELIEF)]
    later = [stage("c", 50), stage("d", 30)]
    assert time_left([stage("a", 100)], {}, seen, 2, later) == pytest.approx(200 + 2 * 80 / 2)
    assert time_left([], {}, [], 2) == 0
