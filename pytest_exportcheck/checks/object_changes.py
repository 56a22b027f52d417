"""Changes of the objects that operators take: script objects and opaque objects among inputs and state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_exportcheck.checks.compare.tensors import differences, object_text
from pytest_exportcheck.checks.outputs import rule_of
from pytest_exportcheck.records import Evidence, Finding, Leaf, ObjectValue, Observation

_UNCHANGED = "left as it was"
_FINDING = Finding.of("effects")


def object_changes(evidence: Evidence, before: Observation, after: Observation) -> Iterator[Finding]:
    """Compare the objects that one side changed, by name, and those that a capture named itself by their classes."""
    names = _paired(before.objects, after.objects)
    on = (before.site,)
    for place, name in names.items():
        old, new = before.objects[place], after.objects.get(name)
        if new is None:
            yield _FINDING.at(place, "dropped", "mutation", f"changed to {object_text(old)}", _UNCHANGED, on=on)
            continue
        rule = rule_of(evidence, "effects", before.label, place)
        if rule.level == "structure":
            continue
        for difference in differences(Leaf(place, old), Leaf(place, new), rule):
            yield _FINDING.at(
                place, "changed", "mutation", difference.expected, difference.actual, difference.detail, on=on
            )
    for name, new in after.objects.items():
        if name not in names.values():
            yield _FINDING.at(name, "added", "mutation", _UNCHANGED, f"changed to {object_text(new)}", on=on)


def _paired(before: Mapping[str, ObjectValue], after: Mapping[str, ObjectValue]) -> dict[str, str]:
    """Return the name after the stage of each object: the same, or the first unpaired one of its class."""
    names = {name: name for name in before if name in after}
    for name, value in before.items():
        if name not in names:
            others = (each for each, other in after.items() if other.kind == value.kind and each not in names.values())
            names[name] = next(others, name)
    return names
