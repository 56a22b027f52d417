"""The example inputs that a program carries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_exportcheck.checks.closeness import Rule
from pytest_exportcheck.checks.compare.tensors import differences
from pytest_exportcheck.checks.outputs import spec_text
from pytest_exportcheck.records import Evidence, Finding, Leaf

_BITS = Rule("bits", None, {})
_FINDING = Finding.of("examples")


def check(evidence: Evidence) -> list[Finding]:
    """Compare with what the capture was given, or with before."""
    program = evidence.after.program
    if program is None:
        return []
    given = evidence.given if evidence.contract["examples"] == "given" else _before(evidence)
    if given is None:
        return []
    if program.examples is None:
        return [_FINDING.at("example inputs", "dropped", "", f"{len(given)} leaves", "none")]
    found = list(_leaves(given, program.examples))
    structure = evidence.before.program.example_structure if evidence.before.program else None
    if structure is not None and structure != program.example_structure:
        expected, actual = spec_text(structure), spec_text(program.example_structure)
        found.append(_FINDING.at("example inputs", "changed", "structure", expected, actual))
    return found


def _before(evidence: Evidence) -> Sequence[Leaf] | None:
    return evidence.before.program.examples if evidence.before.program else None


def _leaves(before: Sequence[Leaf], after: Sequence[Leaf]) -> Iterator[Finding]:
    old, new = {leaf.place: leaf for leaf in before}, {leaf.place: leaf for leaf in after}
    for place, leaf in old.items():
        if place not in new:
            yield _FINDING.at(place, "dropped", "", "an example", "none")
            continue
        facts = leaf.facts, new[place].facts
        if facts[0] and facts[1] and facts[0].requires_grad != facts[1].requires_grad:
            flags = [f"requires_grad={each.requires_grad}" for each in facts if each]
            yield _FINDING.at(place, "changed", "requires_grad", *flags)
        for difference in differences(leaf, new[place], _BITS):
            yield _FINDING.at(
                place, "changed", difference.kind, difference.expected, difference.actual, difference.detail
            )
    for place in new:
        if place not in old:
            yield _FINDING.at(place, "added", "", "no example", "an example")
