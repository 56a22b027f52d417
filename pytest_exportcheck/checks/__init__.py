"""Checks: functions from evidence (records before and after a stage) to findings.

A check never raises and never runs a model. ``CHECKS`` is the table; a stage's contract says which apply.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping
from dataclasses import replace

from pytest_exportcheck.checks import (
    aliasing,
    call_spec,
    constants,
    constraints,
    defaults,
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
from pytest_exportcheck.checks.compare.alignment import align
from pytest_exportcheck.checks.compare.ledger import ledger_of
from pytest_exportcheck.checks.outside import changes_of, explained
from pytest_exportcheck.checks.rejects import judged as judged_refusal
from pytest_exportcheck.harness.internal import internal_finding
from pytest_exportcheck.records import Check, Evidence, Finding, Identity

__all__ = [
    "CHECKS",
    "align",
    "changes_of",
    "deduplicated",
    "explained",
    "judged_refusal",
    "ledger_of",
    "run_checks",
]

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
    "defaults": defaults.check,
    "rejects": rejects.check,
    "stability": stability.check,
}


def run_checks(evidence: Evidence, added: Mapping[str, Check] | None = None) -> list[Finding]:
    """Return the findings of every check that the contract of this stage names, and of the ``added`` ones, each
    difference once.
    """
    checks = {name: CHECKS[name] for name in evidence.contract} | dict(added or {})
    return deduplicated(finding for name, check in checks.items() for finding in _run(name, check, evidence))


def deduplicated(findings: Iterable[Finding]) -> list[Finding]:
    """Return one finding per identity: the first, with the calls of all. Calls that the case does not declare are kept
    apart.
    """
    kept: dict[tuple[Identity, str], Finding] = {}
    for finding in findings:
        key = finding.identity, finding.undeclared
        first = kept.setdefault(key, finding)
        kept[key] = replace(first, on=tuple(dict.fromkeys((*first.on, *finding.on))))
    return list(kept.values())


def _run(name: str, check: Check, evidence: Evidence) -> list[Finding]:
    try:
        found = list(check(evidence))
        if not all(isinstance(each, Finding) for each in found):
            raise TypeError(f"a check returns a list of Finding, got {found!r}")
        return found
    except Exception as error:  # a check that fails must not look like a check that found nothing
        return [internal_finding(f"the check {name}", error) if CHECKS.get(name) is check else _crashed(name, error)]


def _crashed(name: str, error: Exception) -> Finding:
    """Return the finding for a check of a hook that raised."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return Finding(
        check=name,
        place="the check itself",
        change="crashed",
        expected="a list of findings",
        actual=f"{type(error).__name__}: {error}",
        detail=f"The check was added by a hook; it raised at {frame.filename}:{frame.lineno}.",
    )
