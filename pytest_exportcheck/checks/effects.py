"""Effects: what a call did to its inputs, to the module's state over two calls, and to the random generators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pytest_exportcheck.checks.outputs import rule_of
from pytest_exportcheck.checks.values import Rule, tensor_text, value_difference
from pytest_exportcheck.records import Evidence, Finding, Observation

_UNCHANGED = "left as it was"


def check(evidence: Evidence) -> list[Finding]:
    """Compare call by call, as far as both sides returned."""
    pairs = zip(evidence.before.observations, evidence.after.observations, strict=False)
    return [
        finding
        for before, after in pairs
        if not before.raised and not after.raised
        for finding in _call(evidence, before, after)
    ]


def _call(evidence: Evidence, before: Observation, after: Observation) -> Iterator[Finding]:
    rule = rule_of(evidence, "effects")
    on = (before.label,)
    yield from _mutations("input", before.inputs, after.inputs, rule, on)
    for finding in _mutations("state", before.state, after.state, rule, on):
        yield replace(finding, detail=finding.detail or _hint(evidence, finding))
    if before.generator != after.generator:
        yield Finding(
            check="effects",
            place="random generator",
            kind="generator",
            expected=f"state {before.generator} after the call",
            actual=f"state {after.generator}",
            detail="another number of random values was drawn",
            on=on,
        )


def _hint(evidence: Evidence, finding: Finding) -> str:
    """What to do about a lost mutation of a tensor that is no buffer."""
    state = evidence.before.state
    entry = state.entries.get(finding.place.removeprefix("state ")) if state else None
    if finding.kind != "mutation lost" or entry is None:
        return ""
    if entry.kind == "attribute":
        return "A plain tensor attribute is a constant to a program: use register_buffer, and update it in place."
    return "If forward assigns to it, update it in place (copy_, add_) instead."


def _mutations(
    what: str, before: Mapping[str, Any], after: Mapping[str, Any], rule: Rule, on: tuple[str, ...]
) -> Iterator[Finding]:
    for name in dict.fromkeys((*before, *after)):
        place = f"{what} {name}"
        if name not in after:
            expected, actual, kind, detail = f"changed to {tensor_text(before[name])}", _UNCHANGED, "mutation lost", ""
        elif name not in before:
            expected, actual, kind, detail = _UNCHANGED, f"changed to {tensor_text(after[name])}", "mutation added", ""
        else:
            difference = next(value_difference(before[name], after[name], rule), None)
            if difference is None or rule.level == "structure":
                continue
            expected, actual, kind, detail = (
                difference.expected,
                difference.actual,
                "mutated to another value",
                difference.detail,
            )
        yield Finding(check="effects", place=place, kind=kind, expected=expected, actual=actual, detail=detail, on=on)
