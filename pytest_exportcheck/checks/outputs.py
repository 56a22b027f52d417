"""Outputs: structure, types, shape, dtype, device, strides and values, on the example and on fresh inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_exportcheck.checks.values import Rule, differences
from pytest_exportcheck.policy import CLOSE
from pytest_exportcheck.records import Evidence, Finding, Observation


def check(evidence: Evidence) -> list[Finding]:
    """Compare call by call. A call that raised before the stage is not judged."""
    pairs = zip(evidence.before.observations, evidence.after.observations, strict=False)
    return [finding for before, after in pairs if not before.raised for finding in _call(evidence, before, after)]


def rule_of(evidence: Evidence, check_name: str) -> Rule:
    """How values are compared at this stage of this case."""
    level = "structure" if evidence.random else evidence.contract[check_name]
    return Rule(level, evidence.tolerance, CLOSE)


def _call(evidence: Evidence, before: Observation, after: Observation) -> Iterator[Finding]:
    label = (before.label,)
    if after.raised:
        yield Finding(
            check="outputs",
            place="the call",
            kind="raised",
            expected="outputs, as before",
            actual=str(after.raised),
            detail=after.raised.detail,
            on=label,
        )
    elif before.structure != after.structure:
        yield Finding(
            check="outputs",
            place="output",
            kind="structure",
            expected=spec_text(before.structure),
            actual=spec_text(after.structure),
            on=label,
        )
    else:
        rule = rule_of(evidence, "outputs")
        shared = _passed_twice(evidence)
        for expected, actual in zip(before.outputs, after.outputs, strict=True):
            for difference in differences(expected, actual, rule):
                yield Finding(
                    check="outputs",
                    place=expected.place,
                    kind=difference.kind,
                    expected=difference.expected,
                    actual=difference.actual,
                    detail="\n".join(filter(None, [difference.detail, shared])),
                    on=label,
                )


def _passed_twice(evidence: Evidence) -> str:
    """At a capture: which arguments of the example are one tensor, which a capture may take for one argument."""
    if evidence.before is not evidence.module:
        return ""
    places: dict[int, list[str]] = {}
    for leaf in evidence.given:
        if leaf.facts is not None:
            places.setdefault(id(leaf.value), []).append(leaf.place)
    shared = [" and ".join(group) for group in places.values() if len(group) > 1]
    return f"the example inputs pass one tensor as {'; '.join(shared)}" if shared else ""


def spec_text(spec: Any) -> str:
    """A pytree spec in one line, types of containers included."""
    return " ".join(str(spec).split())
