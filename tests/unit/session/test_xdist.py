"""What each process of a run is told, and the outcome of an item whose process is gone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
import torch

from pytest_exportcheck.modes import Mode
from pytest_exportcheck.options import Options
from pytest_exportcheck.records import Outcome, Status
from pytest_exportcheck.session.items import SESSION
from pytest_exportcheck.session.messages import Message, message_of
from pytest_exportcheck.session.xdist import ParallelPlugin
from tests.unit.echo_session import case


def plugin_of(*, threads=None, maxfail=0, source=pytest.Config.ArgsSource.TESTPATHS, **option):
    """The plugin of a controller, and those that it would have in its workers gw0 and gw1."""
    given = {"dist": "load", "tx": ["2*popen"], "collectonly": False, "maxfail": maxfail, **option}
    config = SimpleNamespace(
        option=SimpleNamespace(**given),
        getvalue=given.get,
        getoption=lambda name, default: given.get(name, default),
        args_source=source,
        stash=stash(),
    )
    plugin = ParallelPlugin(cast("pytest.Config", config), Options(active=True, threads=threads))
    workers = []
    for name in ("gw0", "gw1"):
        node = SimpleNamespace(workerinput={"workerid": name})
        plugin.pytest_configure_node(node)
        worker = SimpleNamespace(workerinput=node.workerinput)
        workers.append(ParallelPlugin(cast("pytest.Config", worker), Options(active=True)))
    return plugin, *workers


def stash():
    return {SESSION: SimpleNamespace(registry=SimpleNamespace(engines=[SimpleNamespace(name="echo")]))}


def report_of(worker="gw0", nodeid="case_shop.py::net[echo-strict]", when="???"):
    report = pytest.TestReport(nodeid, ("case_shop.py", None, "case_shop.py"), {}, "failed", "gone", when)
    if worker:
        report.node = node_of(worker)  # type: ignore[attr-defined]  # xdist adds it
    return report


def node_of(worker):
    return SimpleNamespace(gateway=SimpleNamespace(id=worker))


def test_threads_are_divided_by_the_controller_for_every_worker(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    assert [each.options.threads for each in plugin_of()] == [3, 3, 3]
    assert [each.options.threads for each in plugin_of(tx=["popen"] * 9)] == [1, 1, 1]
    assert [each.workers for each in plugin_of()] == [2, 2, 2]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, False),
        ({"source": pytest.Config.ArgsSource.ARGS}, True),
        ({"lf": True}, True),
        ({"ignore": ["a.py"]}, True),
        ({"ignore_glob": ["a*"]}, True),
    ],
)
def test_workers_are_told_whether_files_are_left_out(options, expected):
    assert [each.in_part for each in plugin_of(**options)] == [expected] * 3


def test_threads_that_were_given_are_everyones():
    assert [each.options.threads for each in plugin_of(threads=5)] == [5, 5, 5]


@pytest.mark.parametrize("option", [{"dist": "no"}, {"collectonly": True}])
def test_one_process_has_the_threads_that_torch_chooses(option):
    plugin, *_ = plugin_of(**option)
    assert (plugin.workers, plugin.options.threads) == (0, None)


def test_the_outcome_of_an_item_whose_worker_is_gone():
    controller, worker, other = plugin_of()
    with worker.journal.running(case(), "echo", Mode.parse("strict")):
        controller.pytest_testnodedown(node_of("gw0"), "Not properly terminated")
        told = other.journal.blocker(case(), "echo", Mode.parse("strict-serdes"))
        assert f"{told} {told.how}" == "echo-strict of net ended worker gw0 (crashed) in this run"
    report = report_of()
    controller.pytest_runtest_logreport(report)
    reason = "gone\nIt was running echo-strict of net. Modes that depend on it are blocked in this run."
    assert message_of(report).outcome == Outcome(
        nodeid="case_shop.py::net[echo-strict]",
        path="case_shop.py",
        case="net",
        engine="echo",
        mode="strict",
        status=Status.INTERRUPTED,
        reason=reason,
    )
    assert report.longrepr == reason
    assert report.head_line == "net[echo-strict]"


def test_a_child_that_is_gone_was_running_what_its_parent_had_noted():
    parent, *_ = plugin_of()
    report = report_of(worker="")
    with parent.journal.running(case(), "echo", Mode.parse("strict")):
        parent.pytest_runtest_logreport(report)
    assert (
        report.longrepr == "gone\nIt was running echo-strict of net. Modes that depend on it are blocked in this run."
    )


@pytest.mark.parametrize(
    "nodeid", ["test_shop.py::test_net[echo strict]", "test_shop.py::test_net", "x.py::n[torch-strict]"]
)
def test_other_tests_get_no_outcome(nodeid):
    controller, *_ = plugin_of()
    report = report_of(nodeid=nodeid)
    controller.pytest_runtest_logreport(report)
    assert (message_of(report), report.longrepr) == (Message(), "gone")


def test_the_folder_of_the_journal_goes_with_the_session():
    controller, worker, _ = plugin_of()
    worker.pytest_unconfigure()
    folder = controller.journal._folder
    assert folder.exists()
    controller.pytest_unconfigure()
    assert not folder.exists()


def test_lost_workers_count_for_maxfail():
    stopped = []
    sched = SimpleNamespace(stop=lambda: stopped.append(1))
    controller, *_ = plugin_of(maxfail=2)
    controller.pytest_handlecrashitem(sched)
    assert stopped == []
    controller.pytest_runtest_logreport(report_of(when="call"))
    controller.pytest_handlecrashitem(sched)
    assert stopped == [1]
