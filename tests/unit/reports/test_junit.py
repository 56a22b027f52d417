"""The properties of an item in junit's XML."""

from __future__ import annotations

from pytest_exportcheck.reports.junit import properties
from tests.unit.reports_of import TIED, item


def test_properties_name_case_engine_mode_status_defects_and_time():
    outcome = item(mode="strict", status="known", findings=(TIED,), seconds={"a": 1.0, "b": 0.25})
    assert properties(outcome) == [
        ("exportcheck_case", "net"),
        ("exportcheck_engine", "torch"),
        ("exportcheck_mode", "strict"),
        ("exportcheck_status", "known"),
        ("exportcheck_known", "serdes-splits"),
        ("exportcheck_seconds", "1.250"),
        ("exportcheck_finding", "state: w: untied [known]"),
    ]


def test_a_reason_that_no_encoding_can_carry_is_spelt_out():
    assert ("exportcheck_reason", "no \\udc80") in properties(item(status="blocked", reason="no \udc80"))
