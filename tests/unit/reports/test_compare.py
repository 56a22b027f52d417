"""Two reports are compared: what broke, what a new torch fixed, what it loses, and what takes longer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_exportcheck.errors import ReportError
from pytest_exportcheck.records import DifferenceOrigin, FieldSurvival, Finding, OriginNode, RunError
from pytest_exportcheck.reports.compare import change_of, compare_files, compared, without_findings
from pytest_exportcheck.reports.compare_text import comparison_lines, unfinished_text
from pytest_exportcheck.reports.html.compare import compare_page
from pytest_exportcheck.reports.json_report import write_report
from tests.unit.reports_of import TIED, VALUE, item, report, run

OLD, NEW = run(0, torch="2.13.0", selected=1), run(1, torch="2.14.1", selected=1)
RAISED = Finding(check="stage", place="nonstrict", change="raised", expected="a program", actual="ValueError: no")


def pair(old, new):
    """The comparison of two reports of these items, under two versions of torch."""
    old, new = ([each] if not isinstance(each, (list, tuple)) else each for each in (old, new))
    return compared(report(*old, runs=[OLD]), report(*new, runs=[NEW]))


def lines(comparison, **options):
    """The lines after those that name the reports and the settings."""
    return [line.text for line in comparison_lines(comparison, old="old.json", new="new.json", **options)][2:]


# --- the kind of a change -------------------------------------------------------------------

FAILED = item(status="failed", findings=(VALUE,))
KNOWN = item(status="known", findings=(TIED,))


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        (item(), FAILED, "newly_broken"),
        (item(status="blocked"), FAILED, "newly_broken"),
        (item(status="expected"), FAILED, "newly_broken"),
        (item(status="stale"), FAILED, "newly_broken"),
        (item(), item(status="error", reason="its factory raised"), "newly_broken"),
        (item(), item(status="interrupted"), "newly_broken"),
        (KNOWN, FAILED, "known_to_broken"),
        (FAILED, item(status="failed", findings=(RAISED,)), "broken_differently"),
        (FAILED, item(status="error", reason="its factory raised"), "broken_differently"),
        (FAILED, item(), "fixed"),
        (FAILED, item(status="expected"), "newly_expected"),
        (item(status="stale"), item(status="expected"), "newly_expected"),
        (item(), KNOWN, "newly_known"),
        (FAILED, KNOWN, "newly_known"),
        (KNOWN, item(), "known_gone"),
        (item(status="expected"), item(status="stale"), "stale"),
        (item(), item(status="engine_error"), "engine_error"),
        (item(), item(status="disagreement"), "disagreement"),
        (item(), item(status="blocked"), "not_judged"),
        (KNOWN, item(status="unsupported"), "not_judged"),
        (FAILED, item(status="blocked"), "not_judged"),
        (item(status="blocked"), item(), "newly_judged"),
    ],
    ids=lambda each: each if isinstance(each, str) else str(each.status),
)
def test_an_item_has_one_kind_of_change(old, new, kind):
    change = change_of(old, new)
    assert change is not None
    assert change.kind == kind


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (item(), item()),
        (FAILED, item(status="failed", findings=(replace(VALUE, place="output[1]", actual="7 at [3]"),))),
        (KNOWN, KNOWN),
        (item(status="blocked"), item(status="skipped")),
        (item(status="stale"), item()),
    ],
)
def test_an_item_with_the_same_result_has_none(old, new):
    assert change_of(old, new) is None


@pytest.mark.parametrize(
    ("old", "new", "broken"),
    [(item(), FAILED, True), (KNOWN, FAILED, True), (FAILED, item(), False), (item(), KNOWN, False)],
)
def test_only_what_is_newly_broken_breaks_the_upgrade(old, new, broken):
    assert pair(old, new).newly_broken is broken


# --- the text -------------------------------------------------------------------------------


def test_settings_come_first():
    comparison = compared(
        report(item(), runs=[run(0, torch="2.13.0", profile="ship")]),
        report(item(), runs=[run(1, torch="2.14.1", profile="lab", threads=4, allow=("metadata.custom",))]),
    )
    assert [line.text for line in comparison_lines(comparison, old="old.json", new="new.json")] == [
        "old.json (old) and new.json (new)",
        "torch: 2.13.0 -> 2.14.1",
        "profile: ship -> lab",
        "threads: 2 -> 4",
        "allow: nothing -> metadata.custom",
        "the verdicts are not comparable: profile, allow and forbid decide what fails.",
        "  Run both with the same settings.",
        "exportcheck: 1 item compared: the results are the same",
    ]


ORIGIN = DifferenceOrigin(
    kind="changed",
    after=OriginNode(
        name="add", operator="aten.add.Tensor", call="aten.add.Tensor(%x, 1)", line="net.py:7 in forward: x + 1"
    ),
)


def test_what_broke_is_shown_once_for_a_case_with_its_origin():
    value = replace(VALUE, origin=ORIGIN)
    modes = ("nonstrict", "nonstrict-serdes")
    found = pair(
        [item(mode=mode) for mode in modes], [item(mode=mode, status="failed", findings=(value,)) for mode in modes]
    )
    assert lines(found) == [
        "newly broken: 2 items",
        "  case_a.py::net (was passed): torch-nonstrict, torch-nonstrict-serdes",
        "    outputs: output: value: expected 1 at [0], got 2 at [0]",
        "    starts at: %add computes another value from the same inputs",
        "      after:  aten.add.Tensor(%x, 1)",
        "      line:   net.py:7 in forward: x + 1",
        "exportcheck: 2 items compared: 2 newly broken",
    ]


def test_a_defect_is_shown_with_its_items():
    found = pair([item(), item("other")], [KNOWN, item("other", status="known", findings=(TIED,))])
    assert lines(found) == [
        "newly a known defect (not of the model): 2 items",
        "  serdes-splits (2 items): a defect",
        "    net[torch-nonstrict], other[torch-nonstrict]",
        "exportcheck: 2 items compared: 2 newly known",
    ]


def test_a_failure_for_another_reason_is_shown_with_both():
    found = pair(FAILED, item(status="failed", findings=(RAISED,)))
    assert lines(found) == [
        "broken before too, now in another way: 1 item",
        "  case_a.py::net (was failed): torch-nonstrict",
        "    before: outputs: output: value: expected 1 at [0], got 2 at [0]",
        "    now:    stage: nonstrict: ValueError: no",
        "exportcheck: 1 item compared: 1 broken in another way",
    ]


def test_a_fixed_item_is_shown_with_what_was_wrong():
    assert lines(pair(FAILED, item()))[:3] == [
        "fixed: 1 item",
        "  case_a.py::net (was failed): torch-nonstrict",
        "    before: outputs: output: value: expected 1 at [0], got 2 at [0]",
    ]


def test_items_of_one_report_are_named_failing_first():
    found = pair([item(), item("gone")], [item(), item("a"), item("b", status="failed", findings=(VALUE,))])
    assert lines(found) == [
        "only in old.json: 1 item",
        "  case_a.py::gone[torch-nonstrict] (passed)",
        "only in new.json: 2 items, of which 1 fails",
        "  case_a.py::b[torch-nonstrict] (failed), case_a.py::a[torch-nonstrict] (passed)",
        "exportcheck: 1 item compared: the results are the same",
    ]


def test_a_new_error_is_newly_broken():
    broken = report(item(), runs=[NEW], errors=[RunError(nodeid="case_b.py::import", reason="no module\nmore")])
    found = compared(report(item(), runs=[OLD]), broken)
    assert found.newly_broken
    assert lines(found) == [
        "new error case_b.py::import: no module",
        "exportcheck: 1 item compared: 1 new error",
    ]


def test_an_item_that_the_new_run_did_not_reach_is_not_missing_by_design():
    left = item("left").nodeid
    stopped = report(item(), runs=[run(1, torch="2.14.1", selected=2, not_run=[left], stopped="KeyboardInterrupt")])
    found = compared(report(item(), item("left"), runs=[OLD]), stopped)
    assert lines(found) == [
        "new.json is not complete (KeyboardInterrupt): 1 of 2 items did not run",
        "not run in new.json, which is not complete: 1 item",
        "  case_a.py::left[torch-nonstrict] (passed)",
        "exportcheck: 1 item compared: the results are the same",
    ]
    assert unfinished_text(found, "new.json") == (
        "new.json is not complete: items that did not run may be broken. Run the checks to the end, and compare again."
    )


def test_verbose_lines_have_the_whole_failure():
    assert lines(pair(item(), FAILED), verbose=True)[:5] == [
        "newly broken: 1 item",
        "  case_a.py::net[torch-nonstrict] (passed -> failed)",
        "    nonstrict broke outputs",
        "",
        "      outputs: output: value",
    ]


def test_no_line_is_wider_than_a_terminal():
    long = replace(VALUE, actual="word " * 60, line="model.py:3 in forward: " + "x + " * 40)
    old = [item("case" * 8, mode=mode) for mode in ("nonstrict", "nonstrict-serdes", "strict")]
    new = [replace(each, status=FAILED.status, findings=(long,), failing=1) for each in old]
    for verbose in (False, True):
        assert [line for line in lines(pair(old, new), verbose=verbose) if len(line) > 80] == []


# --- settings of merged reports -------------------------------------------------------------


def test_the_settings_of_merged_reports_are_paired_by_what_differs_least():
    def merged(*versions, failing=""):
        runs = [run(torch=version, threads=threads) for version, threads in versions]
        items = [
            item(run=n, status="failed" if version == failing else "passed", findings=(VALUE,) * (version == failing))
            for n, (version, _) in enumerate(versions)
        ]
        return report(*items, runs=runs)

    old = merged(("2.13.0", 2), ("2.14.1", 2))
    new = merged(("2.14.1", 2), ("2.15.0", 2), failing="2.15.0")
    found = compared(old, new)
    assert [(each.name, each.old, each.new) for each in found.settings] == [
        ("torch", "2.13.0 and 2.14.1", "2.14.1 and 2.15.0")
    ]
    assert [(each.kind, each.old.run, each.new.run) for each in found.changes] == [("newly_broken", 0, 1)]
    assert (found.compared, found.missing, found.added) == (2, (), ())


# --- ledger and times -----------------------------------------------------------------------


def ledger_of(kept, dropped, *, field="metadata.custom", promised=True):
    return item(
        mode="nonstrict-serdes",
        ledger=(FieldSurvival(field=field, promised=promised, kept=kept, dropped=dropped),)
        if kept + dropped
        else (FieldSurvival(field="val", kept=1),),
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ((10, 0), (8, 2), ["  torch serdes: metadata.custom 10 of 10 -> 8 of 10"]),
        ((10, 0), (0, 0), ["  torch serdes: metadata.custom 10 of 10 -> nowhere"]),
        ((9, 1), (8, 1), []),  # fewer nodes
        ((10, 0), (12, 0), []),
        ((10, 10), (20, 20), []),  # the same part of a larger program
        ((5, 5), (9, 1), []),
    ],
)
def test_a_field_is_lost_where_more_places_lose_it(old, new, expected):
    found = lines(pair(ledger_of(*old), ledger_of(*new)))
    assert [line for line in found if line.startswith("  torch serdes")] == expected


def test_a_field_outside_the_contract_is_counted():
    found = pair(ledger_of(4, 0, promised=False), ledger_of(2, 2, promised=False))
    assert lines(found)[:2] == [
        "preservation ledger: fields lost in more places than before (kept of all)",
        "  1 field outside the contract (-v lists them)",
    ]


def timed(*seconds):
    return [item(f"net{n}", seconds={"torch-nonstrict": each}) for n, each in enumerate(seconds)]


@pytest.mark.parametrize(
    ("old", "new", "slower"),
    [
        ((2.0,), (6.0,), ["net0"]),
        ((2.0,), (3.9,), []),  # less than twice
        ((0.1,), (1.0,), []),  # less than a second
        ((1.0, 2.0, 3.0, 2.0, 2.0), (3.0, 6.0, 9.0, 6.0, 6.0), []),  # the machine is slower
        ((1.0, 2.0, 3.0, 2.0, 2.0), (3.0, 6.0, 9.0, 6.0, 30.0), ["net4"]),
    ],
)
def test_a_capture_is_slower_if_it_is_so_apart_from_the_speed_of_the_machine(old, new, slower):
    assert [each.case for each in pair(timed(*old), timed(*new)).captures.slower] == slower


def test_slower_captures_are_shown_with_the_rule_and_the_ratio():
    found = pair(timed(1.0, 2.0, 3.0, 2.0, 2.0), timed(1.0, 2.0, 3.0, 2.0, 9.0))
    assert lines(found)[:3] == [
        "slower captures (2 times as long and 1 s longer, apart from the ratio of all",
        "  captures, 1.00):",
        "  case_a.py::net4[torch-nonstrict] 2.0 s -> 9.0 s (4.5 times)",
    ]


# --- files ----------------------------------------------------------------------------------


def test_files_are_compared(tmp_path):
    for name, each, runs in (("old", item(), [OLD]), ("new", FAILED, [NEW])):
        write_report(tmp_path / f"{name}.json", report(each, runs=runs))
    found = compare_files(tmp_path / "old.json", tmp_path / "new.json")
    assert [each.kind for each in found.changes] == ["newly_broken"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            [item()],
            None,
            "{old} and {old} are reports of the same run. Name the report of before, then the report of after.",
        ),
        (
            [item()],
            [],
            "{new} has no item, so that nothing can be compared. Run the checks again.",
        ),
        (
            [item(), item("b")],
            [item("c")],
            "the reports have no item in common: {old} has case_a.py::b[torch-nonstrict] and 1 more item, {new} has "
            "case_a.py::c[torch-nonstrict]. Run the same cases in the same modes, from the same folder.",
        ),
    ],
)
def test_reports_that_cannot_be_compared_are_refused(tmp_path, old, new, message):
    paths = {"old": tmp_path / "old.json", "new": tmp_path / "new.json"}
    write_report(paths["old"], report(*old, runs=[OLD]))
    if new is not None:
        write_report(paths["new"], report(*new, runs=[NEW]))
    with pytest.raises(ReportError) as caught:
        compare_files(paths["old"], paths["new"] if new is not None else paths["old"])
    assert str(caught.value) == message.format(**paths)


def test_the_page_has_the_changes_and_escapes_them():
    found = pair(item(), item(status="failed", findings=(replace(VALUE, actual="<b>"),)))
    text = compare_page(found, old="a/old.json", new="new.json").decode()
    assert "<h1>old.json and new.json</h1>" in text
    assert "got &lt;b&gt;" in text
    assert "<b>" not in text
    assert '<li class="badge failed">1 newly broken</li>' in text


def test_the_json_has_no_findings_of_items_of_one_report():
    found = pair([item(), item("gone", status="failed", findings=(VALUE,))], item())
    (gone,) = without_findings(found).missing
    assert (gone.nodeid, gone.status, gone.findings) == ("case_a.py::gone[torch-nonstrict]", "failed", ())
