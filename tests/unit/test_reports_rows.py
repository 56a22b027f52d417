"""What crosses process borders."""

from __future__ import annotations

import json

from pytest_exportcheck.reports.rows import item_of, plain, properties

ROW = {
    "nodeid": "a.py::net[torch-strict]",
    "path": "a.py",
    "case": "net",
    "engine": "torch",
    "mode": "strict",
    "status": "known",
}
FINDING = {"check": "state", "place": "w", "kind": "untied", "expected": "one", "actual": "two", "verdict": "known"}


def test_text_that_no_encoding_can_carry_is_spelt_out():
    told = plain({"a\udc80": ("b\ud800", ["é"]), "n": 1, "none": None})
    assert told == {"a\\udc80": ["b\\ud800", ["é"]], "n": 1, "none": None}
    json.dumps(told).encode()


def test_numbers_that_are_not_finite_are_left_out():
    row = {**ROW, "seconds": {"a": float("nan"), "b": 1.0, "c": float("inf")}, "duration": float("nan")}
    assert (item_of(row).seconds, item_of(row).duration) == ({"b": 1.0}, 0.0)


def test_a_row_becomes_an_item_with_what_only_the_reporter_knows():
    told = item_of({**ROW, "known": ["ties"], "findings": [{**FINDING, "known_as": "ties"}]}, worker="gw1")
    assert (told.status, told.findings[0].known_as, told.worker) == ("known", "ties", "gw1")


def test_properties_name_case_engine_mode_status_defects_and_time():
    row = {**ROW, "findings": [{**FINDING, "known_as": "ties"}], "seconds": {"a": 1.0, "b": 0.25}}
    assert properties(row) == [
        ("exportcheck_case", "net"),
        ("exportcheck_engine", "torch"),
        ("exportcheck_mode", "strict"),
        ("exportcheck_status", "known"),
        ("exportcheck_known", "ties"),
        ("exportcheck_seconds", "1.250"),
        ("exportcheck_finding", "state: w: untied [known]"),
    ]
