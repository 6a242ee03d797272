"""Stages as a plan: what waits for what, and what a target stands on."""

from mindpics.jobs.stages import Stage, stages_for, ways_left
from mindpics.jobs.time_left import format_plan

FIRST = Stage("first", ("tools/verify", "1"), ("given",), ("f",), cost=1)
THEN = Stage("then", ("tools/verify", "2"), ("f",), ("t",), cost=10, note="sizes")
QUICK = Stage("quick", ("tools/verify", "3"), (), ("q",), cost=5)


def test_the_longest_chain_starts_first():
    assert ways_left([QUICK, FIRST, THEN]) == {"quick": 5, "first": 11, "then": 10}


def test_ways_may_go_by_other_seconds_than_the_costs():
    assert ways_left([FIRST, THEN], {"first": 3, "then": 4}) == {"first": 7, "then": 4}


def test_stages_for_takes_only_what_a_target_stands_on():
    assert stages_for([FIRST, QUICK, THEN], ["t"]) == [FIRST, THEN]
    assert stages_for([FIRST, QUICK, THEN], ["f"]) == [FIRST]


def test_the_plan_names_each_stage_with_its_sizes_and_command():
    lines = format_plan([[FIRST, THEN, QUICK]], 2).split("\n")
    assert [line.split() for line in lines[2:4]] == [["then", "sizes"], ["tools/verify", "2"]]
    assert lines[-1] == "3 stages, 2 at a time: about 0:11 from nothing"  # of the longest chain


def test_the_plan_of_several_seeds_is_as_long_as_all_of_them_though_their_stages_have_the_same_names():
    assert format_plan([[FIRST, THEN], [FIRST, THEN], [QUICK]], 2).endswith("2 at a time: about 0:27 from nothing")
