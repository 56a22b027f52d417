"""Outputs: structure, types, shape, dtype, device, strides and values, on the example and on fresh inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_exportcheck.checks.circumstances import of_call
from pytest_exportcheck.checks.closeness import Own, Rule
from pytest_exportcheck.checks.layout_operators import operators_of_layout
from pytest_exportcheck.checks.outside import later_hint
from pytest_exportcheck.checks.values import differences
from pytest_exportcheck.policy import CLOSE
from pytest_exportcheck.records import Evidence, Finding, Observation


def check(evidence: Evidence) -> list[Finding]:
    """Compare call by call. A call that raised before the stage is not judged."""
    pairs = zip(evidence.before.observations, evidence.after.observations, strict=False)
    return [finding for before, after in pairs if not before.raised for finding in _call(evidence, before, after)]


def rule_of(evidence: Evidence, check_name: str, label: str, place: str) -> Rule:
    """How the values of one place are compared, in the call of this label."""
    level = "structure" if evidence.random else evidence.contract[check_name]
    measured = evidence.rounding.get(label)
    own = Own(measured.values[place], measured.scale) if measured and place in measured.values else None
    return Rule(level, evidence.tolerance, CLOSE, own, evidence.unmeasured)


def _call(evidence: Evidence, before: Observation, after: Observation) -> Iterator[Finding]:
    label = (before.label,)
    hint = later_hint(evidence, before)
    if after.raised:
        yield Finding(
            check="outputs",
            place="the call",
            kind="raised",
            expected="outputs, as before",
            actual=str(after.raised),
            detail="\n".join(filter(None, [after.raised.detail, *of_call(evidence, before), hint])),
            on=label,
        )
    elif before.structure != after.structure:
        yield Finding(
            check="outputs",
            place="output",
            kind="structure",
            expected=spec_text(before.structure),
            actual=spec_text(after.structure),
            detail=hint,
            on=label,
        )
    else:
        shared = _passed_twice(evidence)
        for number, (expected, actual) in enumerate(zip(before.outputs, after.outputs, strict=True)):
            rule = rule_of(evidence, "outputs", before.label, expected.place)
            for difference in differences(expected, actual, rule):
                yield Finding(
                    check="outputs",
                    place=expected.place,
                    kind=difference.kind,
                    expected=difference.expected,
                    actual=difference.actual,
                    detail="\n".join(filter(None, [difference.detail, shared, hint])),
                    on=label,
                    operators=_layout_of(evidence, number) if difference.kind == "stride" else None,
                )


def _layout_of(evidence: Evidence, number: int) -> tuple[str, ...] | None:
    """The operators that determine the layout of an output; None where there is no program."""
    program = evidence.before.program or evidence.after.program
    return None if program is None else operators_of_layout(program, number)


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
