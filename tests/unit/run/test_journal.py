"""What the journal takes for interrupted, and what it blocks."""

from __future__ import annotations

import pytest

from pytest_exportcheck.modes import Mode
from pytest_exportcheck.run.journal import Journal
from tests.unit.echo_session import Echo, Session, case, modes

NET = case()


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal")


def run(journal, error, *stage):
    with pytest.raises(type(error)), running(journal, *stage):
        raise error


def running(journal, engine="", mode=""):
    return journal.running(NET, engine, Mode.parse(mode) if mode else None)


def blocker(journal, mode, engine="echo", of=NET):
    found = journal.blocker(of, engine, Mode.parse(mode))
    return found and f"{found} {found.how}"


@pytest.mark.parametrize(
    "error",
    [ValueError("no"), SystemExit(3), KeyboardInterrupt(), pytest.skip.Exception("gpu"), pytest.exit.Exception("")],
)
def test_a_stage_that_raises_is_over(journal, error):
    run(journal, error, "echo", "strict")
    assert blocker(journal, "strict") is None
    assert journal.end("crashed") is None


def test_a_stage_that_is_stopped_blocks_what_builds_on_it_and_nothing_else(journal):
    run(journal, pytest.fail.Exception("Timeout (>2.0s).\nand more"), "echo", "nonstrict-decompose")
    told = "echo-nonstrict-decompose of net was interrupted in this run (Timeout (>2.0s))"
    assert blocker(journal, "nonstrict-decompose") == told
    assert blocker(journal, "nonstrict-decompose-serdes") == told
    assert [blocker(journal, each) for each in ("nonstrict", "nonstrict-serdes", "strict-decompose")] == [None] * 3
    assert blocker(journal, "nonstrict-decompose", engine="torch") is None
    assert blocker(journal, "nonstrict-decompose", of=case(name="other")) is None


def test_a_capture_does_not_block_another_whose_name_it_begins(journal):
    run(journal, pytest.fail.Exception("stop"), "echo", "nonstrict")
    assert blocker(journal, "nonstrict_postdispatch") is None


def test_a_fuzz_stage_blocks_what_is_fuzzed_behind_it_and_nothing_else(journal):
    run(journal, pytest.fail.Exception("stop"), "echo", "nonstrict-fuzz")
    reason = "echo-nonstrict-fuzz of net was interrupted in this run (stop)"
    fuzzed = ("nonstrict-fuzz", "nonstrict-serdes-fuzz", "nonstrict-serdes-retrace-fuzz")
    assert [blocker(journal, mode) for mode in fuzzed] == [reason] * 3
    assert [blocker(journal, mode) for mode in ("nonstrict", "nonstrict-serdes", "strict-fuzz")] == [None] * 3


def test_a_fuzz_stage_that_is_interrupted_after_an_edge_does_not_block_the_one_before(journal):
    run(journal, pytest.fail.Exception("stop"), "echo", "nonstrict-serdes-fuzz")
    assert blocker(journal, "nonstrict-fuzz") is None


def test_a_stage_that_ran_another_one_is_still_known_when_its_process_is_gone(tmp_path):
    controller, lost = Journal(tmp_path), Journal(tmp_path, "gw0")
    with running(lost, "echo", "nonstrict-serdes-fuzz"):
        with running(lost, "echo", "nonstrict-fuzz"):
            pass
        assert str(controller.end("crashed", "gw0")) == "echo-nonstrict-serdes-fuzz of net"
    assert blocker(controller, "nonstrict-serdes-retrace-fuzz") == "echo-nonstrict-serdes-fuzz of net crashed"
    assert blocker(controller, "nonstrict-fuzz") is None


def test_of_a_stage_inside_another_one_the_inner_one_is_at_fault_and_both_are_interrupted(tmp_path):
    controller, lost = Journal(tmp_path), Journal(tmp_path, "gw0")
    with running(lost, "echo", "nonstrict-serdes-fuzz"), running(lost, "torch", "strict"):
        assert str(controller.end("crashed", "gw0")) == "torch-strict of net"
        assert controller.end("crashed", "gw0") is None
    assert blocker(controller, "strict-serdes", engine="torch") == "torch-strict of net crashed"
    assert blocker(controller, "nonstrict-serdes-fuzz") == (
        "echo-nonstrict-serdes-fuzz of net ran torch-strict of net, which crashed"
    )


def test_what_builds_on_both_is_blocked_by_the_one_at_fault(tmp_path):
    controller, lost = Journal(tmp_path), Journal(tmp_path, "gw0")
    with running(lost, "echo", "nonstrict-serdes-fuzz"), running(lost, "echo", "nonstrict-fuzz"):
        controller.end("crashed", "gw0")
    assert blocker(controller, "nonstrict-serdes-fuzz") == "echo-nonstrict-fuzz of net crashed"


def test_a_stop_inside_another_stage_interrupts_both(journal):
    with (
        pytest.raises(pytest.fail.Exception),
        running(journal, "echo", "nonstrict"),
        running(journal, "torch", "strict"),
    ):
        raise pytest.fail.Exception("stop")
    how = "was interrupted in this run (stop)"
    assert blocker(journal, "strict", engine="torch") == f"torch-strict of net {how}"
    assert blocker(journal, "nonstrict-serdes") == f"echo-nonstrict of net {how}"


def test_a_stop_that_another_stage_survives_leaves_that_stage_in_progress(journal):
    with running(journal, "echo", "nonstrict"):
        run(journal, pytest.fail.Exception("stop"), "torch", "strict")
        assert blocker(journal, "nonstrict") is None
        assert str(journal.end("crashed")) == "echo-nonstrict of net"


def test_a_stage_that_was_ended_is_not_interrupted_again_by_what_it_raises(journal):
    with pytest.raises(pytest.fail.Exception), running(journal, "echo", "nonstrict"):
        journal.end("crashed")
        raise pytest.fail.Exception("stop")
    assert [each.how for each in journal._interrupted()] == ["crashed"]


@pytest.mark.parametrize("name", ["gw[1]", "gw1"])
def test_processes_whose_names_begin_alike_do_not_share_pages(tmp_path, name):
    one, other = Journal(tmp_path, name), Journal(tmp_path, f"{name}0")
    with running(one, "echo", "strict"), running(other, "echo", "nonstrict"):
        assert str(one.end("crashed")) == "echo-strict of net"
        assert str(other.end("crashed")) == "echo-nonstrict of net"


def test_a_case_whose_setting_up_is_stopped_is_blocked_in_every_mode(journal):
    run(journal, pytest.fail.Exception("stop"))
    assert blocker(journal, "strict-serdes") == "setting up net was interrupted in this run (stop)"


def test_a_process_that_is_gone_leaves_its_stage_to_who_ends_it(tmp_path):
    controller, lost, other = Journal(tmp_path), Journal(tmp_path, "gw0"), Journal(tmp_path, "gw1")
    with running(lost, "echo", "strict"):
        assert blocker(other, "strict") is None
        assert str(controller.end("ended worker gw0 (crashed) in this run", "gw0")) == "echo-strict of net"
    assert blocker(other, "strict-serdes") == "echo-strict of net ended worker gw0 (crashed) in this run"


def test_every_interruption_of_one_process_is_kept(journal):
    run(journal, pytest.fail.Exception("stop"), "echo", "strict")
    run(journal, pytest.fail.Exception("stop"), "echo", "nonstrict-serdes")
    assert [blocker(journal, mode) is None for mode in ("strict", "nonstrict", "nonstrict-serdes")] == [
        False,
        True,
        False,
    ]


class Hanging(Echo):
    def decompose(self, program, decomp_table=None):
        self.calls.append("decompose")
        raise pytest.fail.Exception("Timeout (>2.0s)")


def test_the_runner_does_not_run_an_interrupted_stage_again(journal):
    echo = Hanging()
    names = ("nonstrict-decompose", "nonstrict-decompose-serdes", "nonstrict-decompose-retrace", "strict")
    session = Session(echo, case(), wanted=modes(*names), journal=journal)
    with pytest.raises(pytest.fail.Exception):
        session.run(names[0])
    outcomes = session.run(*names[1:])
    reason = "blocked: echo-nonstrict-decompose of net was interrupted in this run (Timeout (>2.0s))"
    assert [(each.status, each.reason) for each in outcomes] == [("blocked", reason)] * 2 + [("passed", "")]
    assert echo.calls == ["nonstrict", "decompose", "strict"]


def test_the_runner_does_not_set_up_a_case_again_that_was_interrupted_there(journal):
    builds = []

    def build():
        builds.append(1)
        raise pytest.fail.Exception("Timeout (>2.0s)")

    session = Session(Echo(), case(build), wanted=modes("nonstrict", "strict"), journal=journal)
    with pytest.raises(pytest.fail.Exception):
        session.run("nonstrict")
    outcome = session.run("strict")
    assert (outcome.status, outcome.reason) == (
        "blocked",
        "blocked: setting up net was interrupted in this run (Timeout (>2.0s))",
    )
    assert builds == [1]
