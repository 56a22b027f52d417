"""The report as data, and as a file."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest

from pytest_exportcheck.errors import ReportError
from pytest_exportcheck.records import FieldSurvival, Finding, RunError
from pytest_exportcheck.reports.json_report import encoded, json_schema, read_report, write_report
from tests.unit.reports_of import VALUE, item, report, run

SMALL = """{
"schema": "exportcheck-report",
"version": "2.4",
"complete": true,
"counts": {"passed":1},
"runs": [
{"settings":{"exportcheck":"0.1.0","torch":"2.14.1","python":"3.11.7","platform":"linux-x86_64","profile":"ship",\
"seed":0,"threads":2,"allow":[],"forbid":[]},"engines":["torch"],"modes":["nonstrict","nonstrict-serdes","strict"],\
"started":"2026-01-02T03:04:00Z","seconds":1.5,"exit_status":0,"stopped":"","selected":1,"not_run":[]}
],
"errors": [],
"items": [
{"nodeid":"case_a.py::net[torch-nonstrict]","run":0,"path":"case_a.py","case":"net","engine":"torch",\
"mode":"nonstrict","status":"passed","reason":"","file":"case_a.py","line":3,"findings":[],"failing":0,"notes":[],\
"ledger":[{"field":"val","promised":true,"kept":2,"changed":0,"dropped":0,"gained":0}],"sizes":null,"reproduce":"","seconds":{"torch-nonstrict":1.25},"facts":{},\
"duration":1.3,"examples":0,"worker":""}
],
"overruled": [],
"ledger": [
{"field":"val","promised":true,"kept":2,"changed":0,"dropped":0,"gained":0,"run":0,"engine":"torch","edge":"nonstrict"}
]
}
"""


def small():
    return report(item(ledger=(FieldSurvival(field="val", kept=2),), seconds={"torch-nonstrict": 1.25}, duration=1.3))


def test_the_file_has_a_line_for_every_run_item_and_total():
    assert encoded(small()).decode() == SMALL


def test_a_file_that_was_written_reads_as_the_same_report(tmp_path):
    write_report(tmp_path / "new" / "report.json", small())
    assert read_report(tmp_path / "new" / "report.json") == small()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["report.json"]


def test_the_schema_document_knows_every_field_of_the_file():
    definitions = json.loads(json_schema())["$defs"]
    assert set(definitions["Report"]["properties"]) == set(json.loads(SMALL))
    assert set(definitions["Outcome"]["properties"]) == set(json.loads(SMALL)["items"][0])


def test_the_report_has_every_field_of_a_finding_and_says_which_findings_fail_the_item():
    known = replace(VALUE, verdict="known")
    (told,) = json.loads(encoded(report(item(status="failed", findings=(VALUE, known)))))["items"]
    assert [set(finding) for finding in told["findings"]] == [{each.name for each in fields(Finding)}] * 2
    assert told["failing"] == 1


def test_items_are_in_order_whatever_the_order_they_ran_in():
    ordered = [item("a"), item("b"), item("b", "strict")]
    assert report(*reversed(ordered)).items == tuple(ordered)


def test_counts_are_in_the_order_of_the_legend_without_zeros():
    counts = report(item("a", status="blocked"), item("b", status="failed"), item("c"), item("d")).counts
    assert list(counts.items()) == [("passed", 2), ("failed", 1), ("blocked", 1)]


def test_the_ledger_is_summed_by_engine_edge_and_field():
    lines = (FieldSurvival(field="val", kept=1, promised=False), FieldSurvival(field="custom", dropped=1))
    totals = report(
        item("a", "nonstrict-serdes", ledger=lines),
        item("b", "strict-serdes", ledger=(FieldSurvival(field="val", kept=2, gained=1),)),
        item("b", "strict", ledger=(FieldSurvival(field="val", changed=1),)),
    ).ledger
    told = [
        (line.edge, line.field, line.promised, line.kept, line.changed, line.dropped, line.gained) for line in totals
    ]
    assert told == [
        ("serdes", "custom", True, 0, 0, 1, 0),
        ("serdes", "val", True, 3, 0, 0, 1),
        ("strict", "val", True, 0, 1, 0, 0),
    ]


@pytest.mark.parametrize(
    ("of", "complete"),
    [
        (run(selected=1), True),
        (run(selected=2, not_run=["case_a.py::other[torch-strict]"]), False),
        (run(selected=2, not_run=["case_a.py::net[torch-nonstrict]"]), True),
        (run(selected=None), False),
    ],
    ids=["all ran", "one is missing", "another run has it", "nobody knows"],
)
def test_a_report_is_complete_where_every_selected_item_has_an_outcome(of, complete):
    assert report(item(), runs=[of]).complete is complete
    assert report(item(), runs=[of]).failed is not complete


def test_what_failed_beside_items_fails_the_report():
    assert report(item(), errors=[RunError(nodeid="case_b.py::import", reason="no")]).failed


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "{path} cannot be read: No such file or directory."),
        (b"", "{path} is not a report (Input data was truncated); pytest --exportcheck --exportcheck-json writes one."),
        (
            b'{"a": 1}',
            "{path} is not a report (Object missing required field `schema`); "
            "pytest --exportcheck --exportcheck-json writes one.",
        ),
        (
            b'{"schema": "x", "version": "1.0"}',
            "{path} is not a report: its schema is 'x', expected 'exportcheck-report'.",
        ),
        (
            SMALL.replace('"2.4"', '"1.2"').encode(),
            "{path} has version 1.2 of the report, and this pytest-exportcheck reads version 2. "
            "Run the checks again, or read it with the version of pytest-exportcheck that wrote it.",
        ),
        (
            SMALL.replace('"2.4"', '"2.5"').encode(),
            "{path} has version 2.5 of the report, and this pytest-exportcheck knows 2.4: what is new in it would be lost. "
            "Read it with the newest pytest-exportcheck that wrote one of the files.",
        ),
        (
            b'{"schema": "exportcheck-report", "version": "3.0"}',
            "{path} has version 3.0 of the report, and this pytest-exportcheck knows 2.4: what is new in it would be lost. "
            "Read it with the newest pytest-exportcheck that wrote one of the files.",
        ),
        (
            SMALL.replace('"status":"passed"', '"status":"exploded"').encode(),
            "{path} is a damaged report: Invalid enum value 'exploded' - at `$.items[0].status`. Run the checks again.",
        ),
        (
            b'{"schema": "exportcheck-report", "version": "2.4"}',
            "{path} is a damaged report: Object missing required field `complete`. Run the checks again.",
        ),
        (
            SMALL.replace('"run":0', '"run":4').encode(),
            "{path} is a damaged report: it names run 4 but has 1 runs. Run the checks again.",
        ),
    ],
    ids=[
        *("missing", "empty", "other JSON", "other schema", "older major", "newer minor", "newer major"),
        *("unknown status", "fields missing", "run missing"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path, content, message):
    path = tmp_path / "report.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ReportError) as caught:
        read_report(path)
    assert str(caught.value) == message.format(path=path)


def test_a_report_cannot_replace_a_folder(tmp_path):
    with pytest.raises(ReportError) as caught:
        write_report(tmp_path, small())
    assert str(caught.value) == f"the report cannot be written to {tmp_path}: it is a folder. Name a file in it."


def test_a_report_cannot_lie_below_a_file(tmp_path):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "report.json"
    with pytest.raises(ReportError) as caught:
        write_report(path, small())
    assert str(caught.value) == f"the report cannot be written to {path}: File exists."


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    write_report(path, small())

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(ReportError):
        write_report(path, report(item(findings=(VALUE,))))
    assert read_report(path) == small()
    assert [each.name for each in tmp_path.iterdir()] == ["report.json"]
