"""Checks: functions from evidence (records before and after a stage) to findings.

A check never raises and never runs a model. ``CHECKS`` is the table; a stage's contract says which apply.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pytest_exportcheck.checks import (
    aliasing,
    call_spec,
    constants,
    constraints,
    effects,
    examples,
    gradients,
    metadata,
    module_calls,
    nodes,
    outputs,
    rejects,
    signature,
    stability,
    state,
    val,
    verifiers,
)
from pytest_exportcheck.checks.alignment import align
from pytest_exportcheck.checks.ledger import ledger_of
from pytest_exportcheck.checks.rejects import judged as judged_refusal
from pytest_exportcheck.records import Check, Evidence, Finding

__all__ = ["CHECKS", "align", "deduplicated", "judged_refusal", "ledger_of", "run_checks"]

CHECKS: Mapping[str, Check] = {
    "outputs": outputs.check,
    "effects": effects.check,
    "aliasing": aliasing.check,
    "gradients": gradients.check,
    "state": state.check,
    "constants": constants.check,
    "constraints": constraints.check,
    "signature": signature.check,
    "nodes": nodes.check,
    "metadata": metadata.check,
    "val": val.check,
    "call_spec": call_spec.check,
    "module_calls": module_calls.check,
    "examples": examples.check,
    "verifiers": verifiers.check,
    "rejects": rejects.check,
    "stability": stability.check,
}


def run_checks(evidence: Evidence) -> list[Finding]:
    """The findings of every check that the contract of this stage names, each difference once."""
    found: list[Finding] = []
    for name in evidence.contract:
        found += _run(name, CHECKS[name], evidence)
    return deduplicated(found)


def deduplicated(findings: Iterable[Finding]) -> list[Finding]:
    """One finding per (check, place, kind): the first, with the calls of all."""
    kept: dict[tuple[str, str, str], Finding] = {}
    for finding in findings:
        first = kept.setdefault(finding.key, finding)
        labels = dict.fromkeys((*first.on, *finding.on))
        kept[finding.key] = replace(first, on=tuple(labels))
    return list(kept.values())


def _run(name: str, check: Check, evidence: Evidence) -> list[Finding]:
    try:
        return list(check(evidence))
    except Exception as error:  # a check that fails must not pass for a check that found nothing
        return [
            Finding(
                check=name,
                place="the check itself",
                kind="crashed",
                expected="a list of findings",
                actual=f"{type(error).__name__}: {error}",
                detail="This is a defect of pytest-exportcheck; please report it.",
            )
        ]
