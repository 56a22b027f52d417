"""Outputs: structure, types, shape, dtype, device, strides and values, on the example and on fresh inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pytest_exportcheck.checks.circumstances import of_call, tracing_tensor
from pytest_exportcheck.checks.closeness import Own, Rule
from pytest_exportcheck.checks.compare.tensors import differences
from pytest_exportcheck.checks.layout_operators import operators_of_layout
from pytest_exportcheck.checks.outside import later_hint
from pytest_exportcheck.policy import CLOSE
from pytest_exportcheck.records import Cause, Evidence, Finding, Observation

_FINDING = Finding.of("outputs")


def check(evidence: Evidence) -> list[Finding]:
    """Compare call by call. A call that raised before the stage is not judged."""
    pairs = zip(evidence.before.observations, evidence.after.observations, strict=False)
    return [finding for before, after in pairs if not before.raised for finding in _call(evidence, before, after)]


def rule_of(
    evidence: Evidence, check_name: Literal["outputs", "effects"], label: str, place: str, number: int | None = None
) -> Rule:
    """Return the rule for comparing the values of one place, in the call of this label; ``number`` is that of an
    output.
    """
    level = "structure" if evidence.random else evidence.contract[check_name]
    measured = evidence.rounding.get(label)
    own = Own(measured.values[place], measured.scale) if measured and place in measured.values else None
    budget = evidence.agreement
    if budget is not None and number is not None:
        budget = budget.of(place, number)
    return Rule(level, evidence.tolerance, CLOSE, own, evidence.unmeasured, budget)


def _call(evidence: Evidence, before: Observation, after: Observation) -> Iterator[Finding]:
    on = (before.site,)
    hint = later_hint(evidence, before)
    if after.raised:
        yield _FINDING.at(
            "the call",
            "raised",
            "",
            "outputs, as before",
            after.raised,
            "\n".join(filter(None, [after.raised.detail, hint])),
            causes=tuple(of_call(evidence, before)),
            error=after.raised,
            on=on,
        )
    elif before.structure != after.structure:
        texts = spec_text(before.structure), spec_text(after.structure)
        yield _FINDING.at("output", "changed", "structure", *texts, hint, on=on)
    else:
        shared = tuple(_passed_twice(evidence))
        for number, (expected, actual) in enumerate(zip(before.outputs, after.outputs, strict=True)):
            rule = rule_of(evidence, "outputs", before.label, expected.place, number)
            for difference in differences(expected, actual, rule):
                left_by_tracer = tracing_tensor(difference.actual) if difference.kind == "type" else ()
                yield _FINDING.at(
                    expected.place,
                    "changed",
                    difference.kind,
                    difference.expected,
                    difference.actual,
                    "\n".join(filter(None, [difference.detail, hint])),
                    causes=(*shared, *left_by_tracer),
                    on=on,
                    operators=_layout_of(evidence, number) if difference.kind == "stride" else None,
                )


def _layout_of(evidence: Evidence, number: int) -> tuple[str, ...] | None:
    """Return the operators that determine the layout of an output; None where there is no program."""
    program = evidence.before.program or evidence.after.program
    return None if program is None else operators_of_layout(program, number)


def _passed_twice(evidence: Evidence) -> Iterator[Cause]:
    """Name, at a capture, the arguments of the example that are one tensor, which a capture may treat as one
    argument.
    """
    if evidence.before is not evidence.module:
        return
    places: dict[int, list[str]] = {}
    for leaf in evidence.given:
        if leaf.facts is not None:
            places.setdefault(id(leaf.value), []).append(leaf.place)
    yield from (Cause("shared_argument", " and ".join(group)) for group in places.values() if len(group) > 1)


def spec_text(spec: Any) -> str:
    """Return a pytree spec in one line, types of containers included."""
    return " ".join(str(spec).split())
