"""Which worker of pytest-xdist gets which items, and what happens to those of a worker that is lost."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("xdist", reason="pytest-xdist is not installed")

from pytest_exportcheck.session.xdist_scheduling import scheduler

FIRST = ["case.py::a[echo-nonstrict]", "case.py::a[echo-nonstrict-serdes]", "case.py::a[echo-strict]"]
SECOND = ["case.py::b[echo-nonstrict]", "case.py::b[echo-nonstrict-serdes]", "case.py::b[echo-strict]"]
OTHERS = ["test.py::test_one", "test.py::test_two", "test.py::test_three"]


class Worker:
    """What a scheduler sees of a worker: it takes the numbers of items, and may be told that there are no more."""

    def __init__(self, name):
        self.gateway = SimpleNamespace(id=name)
        self.shutting_down = False
        self.numbers = []

    def send_runtest_some(self, numbers):
        self.numbers += numbers

    def shutdown(self):
        self.shutting_down = True


class Config:
    def __init__(self, dist, workers):
        self._values = {"dist": dist, "tx": ["popen"] * workers}
        self.option = SimpleNamespace(loadscopereorder=True)

    def getvalue(self, name):
        return self._values[name]


def case_of(nodeid):
    return nodeid.partition("[")[0] if "[" in nodeid else ""


class Run:
    """A scheduler with its workers, all of which have collected the same items."""

    def __init__(self, items, *, workers=2, dist="load"):
        self.items = items
        self.sched = scheduler(Config(dist, workers), None, case_of)
        self.workers = [self.join(f"gw{number}", begin=False) for number in range(workers)]
        self.sched.schedule()

    def join(self, name, *, begin=True):
        worker = Worker(name)
        self.sched.add_node(worker)
        self.sched.add_node_collection(worker, self.items)
        if begin:
            self.sched.schedule()
        return worker

    def given(self, worker):
        return [self.items[number] for number in worker.numbers]

    def complete(self, worker, *items):
        for item in items:
            self.sched.mark_test_complete(worker, self.items.index(item))


def test_a_case_stays_on_one_worker_in_its_order():
    run = Run([*FIRST, *SECOND])
    assert [run.given(worker) for worker in run.workers] == [FIRST, SECOND]


def test_other_tests_go_to_whoever_is_free():
    run = Run([*OTHERS, *FIRST], workers=2)
    busy, free = run.workers
    assert run.given(busy) == FIRST
    assert run.given(free) == OTHERS[:2]
    run.complete(free, OTHERS[0])
    assert run.given(free) == OTHERS


@pytest.mark.parametrize("dist", ["load", "loadgroup", "loadscope", "loadfile"])
def test_an_item_that_ended_its_worker_is_not_run_again_and_the_rest_is(dist):
    run = Run(FIRST, workers=1, dist=dist)
    lost = run.workers[0]
    run.complete(lost, FIRST[0])
    assert run.sched.remove_node(lost) == FIRST[1]
    assert run.given(run.join("gw1")) == FIRST[2:]
    assert not run.sched.workqueue


def test_a_worker_that_ran_all_its_items_leaves_none():
    run = Run(FIRST, workers=1)
    run.complete(run.workers[0], *FIRST)
    assert run.sched.remove_node(run.workers[0]) is None


def test_a_worker_that_joins_late_gets_enough_to_begin():
    run = Run(OTHERS, workers=1)
    assert run.sched.remove_node(run.workers[0]) == OTHERS[0]
    assert sorted(run.given(run.join("gw1"))) == sorted(OTHERS[1:])


def test_a_worker_that_still_collects_gets_nothing():
    run = Run([*FIRST, *SECOND])
    for worker in run.workers:
        run.sched.remove_node(worker)
    collecting = Worker("gw3")
    run.sched.add_node(collecting)
    assert run.given(run.join("gw2")) == FIRST[1:]
    assert collecting.numbers == []


def test_a_worker_that_collected_other_items_is_not_waited_for():
    run = Run(FIRST, workers=1)
    late = Worker("gw1")
    run.sched.add_node(late)
    run.sched.add_node_collection(late, SECOND)
    run.sched.schedule()
    assert (late.numbers, late.shutting_down) == ([], True)


def test_after_a_stop_nothing_more_is_given_out():
    run = Run([*OTHERS, *FIRST], workers=1)
    run.sched.stop()
    run.complete(run.workers[0], *FIRST[:2])
    assert run.given(run.workers[0]) == FIRST
    assert run.workers[0].shutting_down


@pytest.mark.parametrize("dist", ["each", "worksteal", "no"])
def test_who_asks_for_another_distribution_gets_xdists_own(dist):
    assert scheduler(Config(dist, 2), None, case_of) is None
