"""Effects: what a call did to its inputs, to the module's state over two calls, and to the random generators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_exportcheck.checks.outputs import rule_of
from pytest_exportcheck.checks.values import Rule, tensor_text, value_difference
from pytest_exportcheck.records import Evidence, Finding, Observation


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
    yield from _mutations("state", before.state, after.state, rule, on)
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


def _mutations(
    what: str, before: Mapping[str, Any], after: Mapping[str, Any], rule: Rule, on: tuple[str, ...]
) -> Iterator[Finding]:
    for name in dict.fromkeys((*before, *after)):
        place = f"{what} {name}"
        if name not in after:
            expected, actual, kind, detail = tensor_text(before[name]), "left as it was", "mutation lost", ""
        elif name not in before:
            expected, actual, kind, detail = "left as it was", tensor_text(after[name]), "mutation added", ""
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
