"""Gradients: which outputs require grad, and what backward gives for parameters and inputs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pytest_exportcheck.checks import outputs
from pytest_exportcheck.checks.closeness import Own, Rule
from pytest_exportcheck.checks.compare.tensors import tensor_text, value_difference
from pytest_exportcheck.policy import CLOSE, FEW_ELEMENTS, LEAST_ROUNDOFFS, UNIT_ROUNDOFF, ZERO_GRADIENT
from pytest_exportcheck.records import Evidence, Finding, Gradients, Observation, StateRecord
from pytest_exportcheck.records.levels import ValueLevel

#: Below autograd the contract does not cover which outputs require grad.
_FLAGS_MATTER = ("bits", "close")

_FINDING = Finding.of("gradients")

_SUBJECTS = {"the call": "call", "backward": "backward"}


def check(evidence: Evidence) -> list[Finding]:
    """Compare call by call, as far as both sides returned the same values: gradients of other values mean nothing."""
    level = evidence.contract["gradients"]
    wrong = (
        {site.label for finding in outputs.check(evidence) if finding.key != "stride" for site in finding.on}
        if "outputs" in evidence.contract
        else ()
    )
    found: list[Finding] = []
    for before, after in zip(evidence.before.observations, evidence.after.observations, strict=False):
        if before.raised or after.raised:
            continue
        if level in _FLAGS_MATTER:
            found += _flags(before, after)
        if before.gradients is not None and not evidence.random and before.label not in wrong:
            differing = _gradients(evidence, before.label, before.gradients, after.gradients)
            found += [replace(each, on=(before.site,)) for each in differing]
    return found


def _flags(before: Observation, after: Observation) -> Iterator[Finding]:
    if len(before.outputs) != len(after.outputs):
        return
    for expected, actual in zip(before.outputs, after.outputs, strict=True):
        if expected.facts is None or actual.facts is None:
            continue
        for field in ("requires_grad", "has_grad_fn"):
            left, right = getattr(expected.facts, field), getattr(actual.facts, field)
            if left != right:
                name = "grad_fn" if field == "has_grad_fn" else field
                texts = _flag(name, left), _flag(name, right)
                yield _FINDING.at(expected.place, "changed", name, *texts, on=(before.site,))


def _flag(name: str, value: bool) -> str:
    return (f"a {name}" if value else f"no {name}") if name == "grad_fn" else f"{name}={value}"


def _gradients(evidence: Evidence, label: str, before: Gradients, after: Gradients | None) -> Iterator[Finding]:
    if before.raised is not None:
        return  # eager has no gradients to compare with
    if after is None or after.raised is not None:
        error = after.raised if after is not None else None
        place = "backward" if after is None else after.raised_by
        said = error or "no output requires grad"
        yield _FINDING.at(
            place, "raised", "", "gradients, as before", said, error=error, subject=_SUBJECTS.get(place, "")
        )
        return
    level: ValueLevel = "bits" if evidence.contract["gradients"] == "bits" else "close"
    for name, expected in before.values.items():
        present, actual = _of_group(name, after, evidence)
        if not present:
            continue  # the state check reports that it is gone
        if (expected is None) != (actual is None):
            texts = ["no gradient" if each is None else tensor_text(each) for each in (expected, actual)]
            yield _FINDING.at(name, "dropped" if actual is None else "gained", "", *texts)
        elif expected is not None:
            own = _own(evidence, label, name, expected)
            rule = Rule(level, evidence.tolerance, CLOSE, own, evidence.unmeasured)
            for difference in value_difference(expected, actual, rule):
                yield _FINDING.at(
                    name, "changed", difference.kind, difference.expected, difference.actual, difference.detail
                )


def _own(evidence: Evidence, label: str, name: str, gradient: Any) -> Own | None:
    """Return eager's own rounding of a gradient. The distance from float64 is not reliable for few elements that are
    zero except for rounding.
    """
    measured = evidence.rounding.get(label)
    named = [each for each in (name, *_tied(name, evidence.before.state)) if measured and each in measured.gradients]
    if measured is None or not named:
        return None
    dtype = str(gradient.dtype).removeprefix("torch.")
    exact = measured.exact_gradients.get(named[0], math.inf)
    few = gradient.numel() < FEW_ELEMENTS and exact <= ZERO_GRADIENT * measured.gradient_scale
    least = LEAST_ROUNDOFFS * UNIT_ROUNDOFF.get(dtype, 0.0) * measured.gradient_scale if few else 0.0
    return Own(max(measured.gradients[named[0]], least), measured.gradient_scale)


def _of_group(name: str, after: Gradients, evidence: Evidence) -> tuple[bool, Any]:
    """Return whether a tensor of this name, or of a tied name, exists, and the sum of their gradients: one tensor may
    have become several.
    """
    names = _tied(name, evidence.before.state)
    entries = evidence.after.state.entries if evidence.after.state else {}
    roots = dict.fromkeys(entries[each].tied_to if each in entries else each for each in names)
    present = [root for root in roots if root in after.values]
    parts = [after.values[root] for root in present if after.values[root] is not None]
    total = sum(parts[1:], parts[0]) if parts else None
    return bool(present), total


def _tied(name: str, state: StateRecord | None) -> list[str]:
    if state is None or name not in state.entries:
        return [name]
    root = state.entries[name].tied_to
    return [entry.name for entry in state.entries.values() if entry.tied_to == root]
