"""From the findings of a stage to the outcome of an item."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_exportcheck.harness.internal import internal_finding
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.records import Case, Cause, Expectation, FieldSurvival, Finding, KnownAs, Origin, Record
from pytest_exportcheck.run.stage import StageResult
from pytest_exportcheck.run.verdicts import ItemContext, judgement_of, not_set_up

ORIGIN = Origin("shop", "case_shop.py", 7)
CAPTURE, SERDES = Mode(("strict",)), Mode(("strict", "serdes"))
BROKEN = Finding(check="outputs", place="output", change="changed", key="value", expected="1", actual="2")
KNOWN = Finding(
    check="state",
    place="w",
    change="untied",
    expected="1",
    actual="2",
    verdict="known",
    known=KnownAs("serdes-splits", "a defect"),
)
TOLERATED = Finding(
    check="metadata", place="n", change="dropped", key="custom", expected="1", actual="2", verdict="tolerated"
)


def expecting(mode="*", *, engine="*", check="*", torch="", reason="issue 7"):
    return Expectation(mode=mode, engine=engine, check=check, reason=reason, torch=torch, origin=ORIGIN)


def item(*expect, mode=SERDES, profile="ship", selected=(CAPTURE, SERDES), **options):
    case = Case(name="net", build=lambda: None, origin=ORIGIN, expect=expect)
    return ItemContext(
        case=case,
        engine="torch",
        mode=mode,
        profile=profile,
        torch_version="2.14.1",
        selected=frozenset(selected),
        **options,
    )


def stage(*findings, mode=SERDES, **options):
    return StageResult(mode, record=Record(observations=()), findings=list(findings), **options)


def outcome_of(given, stage):
    return judgement_of(given, stage).outcome


def status(given, stage):
    return outcome_of(given, stage).status


def test_without_findings_an_item_passes():
    outcome = outcome_of(item(notes=("a note",), seconds={"torch-strict": 0.5}), stage())
    assert (outcome.case, outcome.engine, outcome.mode, outcome.status) == ("net", "torch", "strict-serdes", "passed")
    assert (outcome.notes, outcome.seconds, outcome.findings) == (("a note",), {"torch-strict": 0.5}, ())


def test_a_broken_finding_fails_it():
    outcome = outcome_of(item(), stage(BROKEN))
    assert (outcome.status, outcome.findings, outcome.reason) == ("failed", (BROKEN,), "")


def test_known_wrong_outputs_fail_only_for_inputs_that_the_case_declares():
    wrong = replace(BROKEN, verdict="known", known=KnownAs("aoti-unchecked-inputs", "a defect"))
    assert status(item(), stage(wrong)) == "failed"
    assert status(item(), stage(replace(wrong, causes=(Cause("undeclared_inputs", "layout"),)))) == "known"
    assert status(item(), stage(replace(BROKEN, causes=(Cause("undeclared_inputs", "layout"),)))) == "failed"


def test_an_unsupported_item_names_the_runtime():
    missing = stage(unsupported="no kernel", unsupported_by="executorch")
    assert outcome_of(item(), missing).reason == "unsupported by executorch: no kernel"


@pytest.mark.parametrize(("profile", "expected"), [("ship", "known"), ("conformance", "failed")])
def test_a_known_defect_fails_who_builds_engines(profile, expected):
    assert status(item(profile=profile), stage(KNOWN)) == expected


@pytest.mark.parametrize("profile", ["ship", "conformance"])
def test_what_is_lost_is_reported_and_never_fails(profile):
    outcome = outcome_of(item(profile=profile), stage(TOLERATED))
    assert (outcome.status, outcome.findings) == ("passed", (TOLERATED,))


def test_what_fails_an_item_is_shown_before_what_does_not():
    outcome = outcome_of(item(), stage(KNOWN, TOLERATED, BROKEN))
    assert (outcome.findings, outcome.failing_findings) == ((BROKEN, KNOWN, TOLERATED), (BROKEN,))


def test_what_fails_an_item_in_place_of_its_blocker_is_shown_first_too():
    outcome = outcome_of(item(selected=[SERDES]), blocked_by(KNOWN, BROKEN))
    assert (outcome.findings, outcome.failing_findings) == ((BROKEN, KNOWN), (BROKEN,))


@pytest.mark.parametrize("given", [(), (expecting(),)], ids=["passed", "expected"])
def test_an_item_that_does_not_fail_has_no_failing_findings(given):
    assert outcome_of(item(*given), stage(BROKEN if given else TOLERATED)).failing_findings == ()


def test_an_expected_failure_has_its_reason():
    outcome = outcome_of(item(expecting()), stage(BROKEN))
    assert (outcome.status, outcome.reason, outcome.findings) == ("expected", "issue 7", (BROKEN,))


def test_several_reasons_are_joined_and_none_repeated():
    given = item(expecting(), expecting("*-serdes"), expecting("strict*", reason="issue 8"))
    assert outcome_of(given, stage(BROKEN)).reason == "issue 7; issue 8"


@pytest.mark.parametrize(
    "elsewhere",
    [expecting("nonstrict*"), expecting(engine="mine"), expecting(torch="<2.14"), expecting("strict")],
    ids=["mode", "engine", "torch", "parent"],
)
def test_an_expectation_about_something_else_excuses_nothing_and_is_not_stale(elsewhere):
    assert status(item(elsewhere), stage(BROKEN)) == "failed"
    assert status(item(elsewhere), stage()) == "passed"


def test_an_expectation_of_one_check_excuses_no_other():
    other = Finding(check="effects", place="x", change="dropped", key="mutation", expected="1", actual="2")
    outcome = outcome_of(item(expecting(check="outputs")), stage(BROKEN, other))
    assert (outcome.status, outcome.findings) == ("failed", (other,))


@pytest.mark.parametrize("profile", ["ship", "conformance"])
def test_no_expectation_excuses_a_failure_of_the_plugin(profile):
    internal = internal_finding("the program", ValueError("no"))
    outcome = outcome_of(item(expecting(), profile=profile), stage(internal))
    assert outcome.status == ("stale" if profile == "ship" else "failed")
    assert internal in outcome.findings


def test_an_expectation_that_no_longer_holds_is_stale_and_names_its_line():
    outcome = outcome_of(item(expecting("strict-*", check="outputs")), stage())
    assert outcome.status == "stale"
    assert outcome.reason == (
        "expected to fail (check 'outputs': issue 7), but no longer does: "
        "delete the expect_failure('strict-*', ...) at case_shop.py:7, or narrow it to the items that still fail"
    )


def test_a_stale_expectation_of_one_item_is_to_be_deleted():
    outcome = outcome_of(item(expecting("strict-serdes", engine="torch", check="outputs")), stage())
    assert outcome.reason.endswith("no longer does: delete the expect_failure('strict-serdes', ...) at case_shop.py:7")


def test_of_two_expectations_the_stale_one_is_named():
    outcome = outcome_of(item(expecting(check="outputs"), expecting(check="state", reason="issue 8")), stage(BROKEN))
    assert (outcome.status, "issue 8" in outcome.reason, "issue 7" in outcome.reason) == ("stale", True, False)


def test_a_known_defect_may_be_expected_and_keeps_the_expectation_alive():
    assert status(item(expecting()), stage(KNOWN)) == "expected"


def test_what_is_lost_cannot_be_expected_to_fail():
    assert status(item(expecting()), stage(TOLERATED)) == "stale"


def test_a_failure_goes_before_a_stale_expectation():
    assert status(item(expecting(check="state")), stage(BROKEN)) == "failed"


def test_an_unsupported_stage_gives_its_reason():
    outcome = outcome_of(item(), stage(unsupported="no kernel"))
    assert (outcome.status, outcome.reason) == ("unsupported", "unsupported by torch: no kernel")


def blocked_by(*findings, **options):
    return StageResult(SERDES, blocker=stage(*findings, mode=CAPTURE, **options))


def test_behind_a_broken_mode_that_reports_for_itself_an_item_is_blocked():
    outcome = outcome_of(item(), blocked_by(BROKEN))
    assert (outcome.status, outcome.reason, outcome.findings) == ("blocked", "blocked by strict", ())


def test_behind_a_broken_mode_that_is_not_selected_it_fails_with_its_findings():
    outcome = outcome_of(item(selected=[SERDES]), blocked_by(BROKEN))
    assert (outcome.status, outcome.findings) == ("failed", (BROKEN,))
    assert outcome.reason == "strict is broken; this mode builds on it, and it is not part of this run"


def test_behind_a_mode_that_fails_as_expected_it_is_blocked():
    outcome = outcome_of(item(expecting("strict"), selected=[SERDES]), blocked_by(BROKEN))
    assert (outcome.status, outcome.reason) == ("blocked", "blocked by strict, which fails as expected")


def test_an_expectation_of_the_item_itself_does_not_excuse_its_blocker():
    assert status(item(expecting("strict-serdes"), selected=[SERDES]), blocked_by(BROKEN)) == "failed"


INTERNAL = internal_finding("the program", ValueError("no"))


def test_after_a_mode_that_only_the_engine_breaks_it_is_blocked():
    outcome = outcome_of(item(selected=[SERDES]), blocked_by(INTERNAL))
    assert (outcome.status, outcome.reason) == ("blocked", "blocked by strict, where the engine itself fails")


def test_after_a_mode_with_an_expected_failure_and_an_engine_error_the_expectation_is_named():
    outcome = outcome_of(item(expecting("strict"), selected=[SERDES]), blocked_by(INTERNAL, BROKEN))
    assert outcome.reason == "blocked by strict, which fails as expected"


def test_an_expectation_of_the_blocking_mode_is_not_stale_for_the_item():
    given = item(expecting("strict", check="state"), selected=[SERDES])
    reckoning = judgement_of(given, blocked_by(BROKEN)).reckoning
    assert (reckoning.mode, reckoning.stale, reckoning.unexcused) == ("strict", (), (BROKEN,))


@pytest.mark.parametrize(("profile", "expected"), [("ship", "blocked"), ("conformance", "failed")])
def test_behind_a_known_defect_the_profile_decides(profile, expected):
    assert status(item(selected=[SERDES], profile=profile), blocked_by(KNOWN)) == expected


def test_behind_an_unsupported_mode_it_is_unsupported():
    outcome = outcome_of(item(), blocked_by(unsupported="no kernel"))
    assert (outcome.status, outcome.reason) == ("unsupported", "strict is unsupported: no kernel")


STRIDE = Finding(
    check="outputs",
    place="output",
    change="changed",
    key="stride",
    expected="[4, 1]",
    actual="[1, 4]",
    verdict="known",
    known=KnownAs("lowered", "a defect"),
)


@pytest.mark.parametrize(
    ("profile", "finding", "expected"),
    [
        ("ship", STRIDE, "known"),
        ("conformance", STRIDE, "failed"),
        ("ship", replace(STRIDE, verdict="broken"), "failed"),
        ("ship", replace(STRIDE, key="value"), "failed"),
        ("ship", replace(STRIDE, key="shape"), "failed"),
    ],
)
def test_right_values_in_strides_that_a_known_defect_explains_are_a_warning(profile, finding, expected):
    assert status(item(profile=profile), stage(finding)) == expected


def test_an_engine_error_is_a_warning_that_the_item_keeps():
    outcome = outcome_of(item(), stage(INTERNAL, TOLERATED))
    assert (outcome.status, outcome.findings, outcome.reason) == ("engine_error", (INTERNAL, TOLERATED), "")


@pytest.mark.parametrize("findings", [(), (BROKEN,)], ids=["passed", "failed"])
def test_an_item_keeps_the_ledger_of_its_stage(findings):
    ledger = [FieldSurvival(field="metadata.custom", kept=1, dropped=2)]
    assert outcome_of(item(), stage(*findings, ledger=ledger)).ledger == tuple(ledger)


def test_a_judgement_tells_what_the_expectations_excused():
    entry = expecting("strict-serdes")
    reckoning = judgement_of(item(entry), stage(BROKEN)).reckoning
    assert (reckoning.mode, reckoning.excused, reckoning.unexcused) == ("strict-serdes", ((entry, BROKEN),), ())


@pytest.mark.parametrize(("torch", "expected"), [(">=2.14", "expected"), ("<2.14", "failed")])
def test_the_version_of_torch_decides_whether_an_expectation_holds(torch, expected):
    assert status(item(expecting(torch=torch)), stage(BROKEN)) == expected


def test_each_stale_expectation_has_a_line():
    outcome = outcome_of(item(expecting(check="outputs"), expecting(check="state", reason="issue 8")), stage())
    assert [line.partition(",")[0] for line in outcome.reason.splitlines()] == [
        "expected to fail (check 'outputs': issue 7)",
        "expected to fail (check 'state': issue 8)",
    ]


NOT_RUN = Finding(check="case", place="fresh inputs", change="raised", expected="inputs", actual="ValueError: no")


def test_a_case_at_fault_is_an_error_with_the_message_as_its_reason():
    outcome = outcome_of(item(), stage(BROKEN, TOLERATED, NOT_RUN))
    assert (outcome.status, outcome.findings) == ("error", (BROKEN, NOT_RUN, TOLERATED))
    assert outcome_of(item(), stage(NOT_RUN)).reason == "ValueError: no"


def test_the_first_item_of_a_case_that_cannot_be_set_up_reports_it():
    judgement = not_set_up(item(notes=("a note",)), "ValueError: no", "")
    finding = Finding.of("case").at(
        "set-up", "raised", "", "a module that runs on its example inputs", "ValueError: no"
    )
    outcome = judgement.outcome
    assert (outcome.status, outcome.reason, outcome.findings) == ("error", "ValueError: no", (finding,))
    assert (outcome.failing_findings, outcome.notes) == ((finding,), ("a note",))
    assert (judgement.reckoning.mode, judgement.reckoning.unexcused) == ("strict-serdes", (finding,))


def test_the_other_items_of_a_case_that_cannot_be_set_up_are_blocked():
    judgement = not_set_up(item(), "ValueError: no", "case_shop.py::net[torch-strict]")
    outcome = judgement.outcome
    assert (outcome.status, outcome.findings, judgement.reckoning) == ("blocked", (), None)
    assert outcome.reason == "blocked: the case could not be set up (see case_shop.py::net[torch-strict])"


def test_a_case_that_cannot_be_set_up_may_be_expected_to_fail():
    judgement = not_set_up(item(expecting(check="case"), expecting(check="state")), "ValueError: no", "")
    outcome = judgement.outcome
    assert (outcome.status, outcome.reason, len(outcome.findings)) == ("expected", "issue 7", 1)
    assert (len(judgement.reckoning.excused), judgement.reckoning.stale) == (1, ())
