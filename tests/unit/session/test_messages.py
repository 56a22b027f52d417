"""What crosses process borders."""

from __future__ import annotations

import json

import pytest

from pytest_exportcheck.expectations.baseline import ExpectationDelta, Failure
from pytest_exportcheck.records import FieldSurvival, Finding
from pytest_exportcheck.session.messages import Message, attach, message_of
from tests.unit.reports_of import TIED, VALUE, item

FAILED = item(
    status="failed", findings=(VALUE, TIED), ledger=(FieldSurvival(field="val", kept=1),), seconds={"torch": 1.5}
)
DELTA = ExpectationDelta(
    failures=(Failure("case_a.py::net", "torch", "strict", "outputs", "output: value"),), stale=(3,)
)


def report_with(message):
    report = pytest.TestReport("case_a.py::net[torch-strict]", ("case_a.py", 1, "net"), {}, "passed", None, "call")
    attach(report, message)
    return report


def sent(message):
    """The message as a process that is sent the report reads it."""
    report = report_with(message)
    return message_of(pytest.TestReport._from_json(json.loads(json.dumps(report._to_json()))))


@pytest.mark.parametrize(
    "message",
    [
        Message(outcome=FAILED, delta=DELTA),
        Message(error="case file case_b.py could not be imported"),
        Message(selected=(item("a"), item("b"))),
        Message(delta=ExpectationDelta()),
    ],
    ids=["an outcome", "an error", "the selected items", "a delta that is empty"],
)
def test_a_message_crosses_process_borders_with_its_report(message):
    assert sent(message) == message


def test_a_report_without_a_message_has_no_attribute_and_an_empty_message():
    report = report_with(Message())
    assert (vars(report).keys() & {"exportcheck"}, message_of(report)) == (set(), Message())


def test_text_that_no_encoding_can_carry_is_spelt_out():
    odd = Finding(check="c", place="p", change="changed", key="k", expected="\udc80", actual="é")
    (finding,) = sent(Message(outcome=item("a\ud800", findings=(odd,)))).outcome.findings
    assert (finding.expected, finding.actual) == ("\\udc80", "é")


def test_numbers_that_are_not_finite_are_left_out():
    row = item(seconds={"a": float("nan"), "b": 1.0, "c": float("inf")}, duration=float("nan"))
    told = sent(Message(outcome=row)).outcome
    assert (told.seconds, told.duration) == ({"b": 1.0}, 0.0)
