"""Children with a time limit: one bad item costs one item."""

import multiprocessing
import os
import time
from itertools import count

import pytest

from mindpics.jobs import parallel


def work(item):
    if item == "hang":
        time.sleep(60)
    if item == "crash":
        os.abort()
    if item == "exit":
        os._exit(3)
    if item == "greedy":
        return len(bytearray(parallel.MEMORY_LIMIT))
    if item == "wrong":
        raise ValueError("not a picture")
    if item == "odd":
        raise KeyError("x")
    return item * 2


@pytest.mark.parametrize("at_once", [1, 4])
def test_results_keep_their_order_and_each_failure_its_reason(at_once):
    items = [1, "hang", 2, "crash", 3, "exit", "greedy", "wrong", "odd", 4]
    started = time.time()
    outcomes = list(parallel.run_each(work, items, workers=2, timeout=2, at_once=at_once))
    assert time.time() - started < 30
    assert [item for item, _, _ in outcomes] == items
    assert [result for _, result, reason in outcomes if reason is None] == [2, 4, 6, 8]
    reasons = {item: reason for item, _, reason in outcomes if reason}
    assert reasons["hang"] == "took more than 2 s"
    assert reasons["crash"].startswith("crashed its process")
    assert reasons["exit"].startswith("crashed its process")
    assert reasons["greedy"] == "needs too much memory"
    assert reasons["wrong"] == "not a picture"
    assert reasons["odd"] == "KeyError: 'x'"


def test_items_are_read_as_needed():
    read = []
    outcomes = parallel.run_each(abs, (read.append(i) or i for i in count()), workers=1)
    assert [next(outcomes)[1] for _ in range(5)] == [0, 1, 2, 3, 4]
    outcomes.close()
    assert len(read) <= parallel.WINDOW + 6


def test_an_error_of_the_reader_is_not_hidden():
    def items():
        yield 1
        raise RuntimeError("the list broke")

    with pytest.raises(RuntimeError, match="the list broke"):
        list(parallel.run_each(abs, items(), workers=1))


def test_a_process_that_may_have_no_children_is_told_how_a_dask_worker_may():
    context = multiprocessing.get_context("fork")
    said = context.SimpleQueue()

    def run():
        try:
            list(parallel.run_each(work, [1]))
        except ValueError as error:
            said.put(str(error))

    context.Process(target=run, daemon=True).start()
    assert "DASK_DISTRIBUTED__WORKER__DAEMON=False" in said.get()
