"""What a finding about dialect and verifiers says."""

from __future__ import annotations

import pytest

from pytest_exportcheck.checks import verifiers
from pytest_exportcheck.records import Raised
from tests.unit.records_of import program, record, summary

ADD = "x\nadd = aten.add.Tensor(x, 1)\nreturn add"


@pytest.fixture
def findings(evidence):
    def make(*, stage="serdes", before=None, mode=None, **after):
        first = record() if stage == "strict" else record(program(ADD, **(before or {})))
        options = {"mode": mode} if mode else {}
        return summary(verifiers.check(evidence(first, record(program(ADD, **after)), stage=stage, **options)))

    return make


ATEN = {"dialect": "ATEN", "verifiers": ("Verifier",)}


@pytest.mark.parametrize("stage", ["strict", "serdes", "retrace"])
def test_the_dialect_of_a_capture_is_kept(findings, stage):
    assert findings(stage=stage) == []


def test_a_capture_below_autograd_is_aten(findings):
    assert findings(stage="strict_postdispatch", **ATEN) == []


def test_lowering_gives_aten(findings):
    assert findings(stage="decompose", **ATEN) == []
    assert findings(stage="decompose") == [("dialect", "dialect", "ATEN", "TRAINING")]


def test_a_retrace_of_a_lowered_program_is_a_capture_again(findings):
    """torch.export.export gives training IR whatever it is given."""
    assert findings(stage="retrace", before=ATEN, mode="nonstrict-decompose-retrace") == []


def test_another_dialect_is_named(findings):
    assert findings(dialect="EDGE") == [("dialect", "dialect", "TRAINING", "EDGE")]


def test_another_verifier_is_named(findings):
    assert findings(verifiers=("Verifier",)) == [("verifiers", "changed", "TrainingIRVerifier", "Verifier")]


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("strict", ("verifiers", "missing", "a verifier", "none")),
        ("serdes", ("verifiers", "changed", "TrainingIRVerifier", "none")),
    ],
)
def test_a_program_without_a_verifier_is_a_finding(findings, stage, expected):
    assert findings(stage=stage, verifiers=()) == [expected]


@pytest.mark.parametrize("stage", ["strict", "decompose", "serdes", "retrace"])
def test_what_a_verifier_says_is_shown(findings, stage):
    dialect = ATEN if stage == "decompose" else {}
    assert findings(stage=stage, refused_by=Raised("TrainingIRVerifier", "no output"), **dialect) == [
        ("the program", "refused", "accepted by its verifiers", "TrainingIRVerifier: no output"),
    ]
