"""Updates of the caller's containers: entries that a call added, removed or replaced, compared by value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pytest_exportcheck.checks.closeness import Rule
from pytest_exportcheck.checks.compare.tensors import differences, tensor_text
from pytest_exportcheck.checks.outputs import rule_of
from pytest_exportcheck.harness.tensors import leaf_of, same_bits
from pytest_exportcheck.records import Change, Evidence, Finding, Leaf, Observation, Update

#: Findings for one argument; further entries are listed in the last of them. A cache has two for every layer.
_SHOWN = 4

_FINDING = Finding.of("effects")

#: Facts that are compared for outputs only.
_OF_RESULTS = ("type", "stride")


def container_updates(evidence: Evidence, before: Observation, after: Observation) -> Iterator[Finding]:
    """Compare the containers of the caller after the call, wherever one side updated them."""
    by_argument: dict[str, list[Finding]] = {}
    captured = evidence.before is evidence.module
    for place in dict.fromkeys((*before.updates, *after.updates)):
        finding = _entry(place, before, after, rule_of(evidence, "effects", before.label, f"input {place}"))
        if finding is not None:
            argument = (before.updates.get(place) or after.updates[place]).argument
            if captured and finding.change == "dropped" and argument not in by_argument:
                finding = replace(finding, detail="\n".join([*_lines(finding.detail), *_hints(place, before)]))
            by_argument.setdefault(argument, []).append(finding)
    for argument, findings in by_argument.items():
        yield from _shortened(argument, findings)


def _entry(place: str, before: Observation, after: Observation, rule: Rule) -> Finding | None:
    old, new = before.updates.get(place), after.updates.get(place)
    expected = old.after if old else _left(place, before, new)
    actual = new.after if new else _left(place, after, old)
    if rule.level == "structure" and (old is None or new is None):
        rule = replace(rule, level="bits")  # one side left the entry unchanged: random numbers explain no difference
    texts = _difference(expected, actual, rule)
    if texts is None:
        return None
    change: Change = "changed" if old and new else "dropped" if old else "added"
    return _FINDING.at(f"input {place}", change, "container_update", *texts, on=(before.site,))


def _left(place: str, observation: Observation, update: Update | None) -> Leaf | None:
    """Return the value of an entry that a call did not replace: as it was, or as the call mutated it in place."""
    if place in observation.inputs:
        return _of(place, observation.inputs[place])
    return update.before if update else None


def _of(place: str, value: object) -> Leaf:
    return leaf_of(place, value, clone=False)


def _difference(expected: Leaf | None, actual: Leaf | None, rule: Rule) -> tuple[str, str, str] | None:
    """Return the expected text, the actual text and the detail; None where the two agree."""
    if expected is None and actual is None:
        return None
    if expected is None or actual is None:
        return _text(expected), _text(actual), ""
    tensors = [leaf.facts is not None for leaf in (expected, actual)]
    found = [each for each in differences(expected, actual, rule) if not (all(tensors) and each.kind in _OF_RESULTS)]
    if any(each.kind != "value" for each in found):
        return _text(expected), _text(actual), ""
    return (found[0].expected, found[0].actual, found[0].detail) if found else None


def _text(leaf: Leaf | None) -> str:
    if leaf is None:
        return "no entry"
    return tensor_text(leaf.value) if leaf.facts is not None else f"{type(leaf.value).__name__} {leaf.value!r}"


def _hints(place: str, eager: Observation) -> Iterator[str]:
    """Yield the cause, and the remedy: a program unpacks the containers that it is given."""
    update = eager.updates[place]
    yield (
        f"forward() updates the {update.owner} that the caller passes; a program reads the tensors in it but does not "
        "update it."
    )
    if update.after is None:
        yield "Let the caller remove the entry."
        return
    returned = _returned(update.after, eager.outputs)
    if returned:
        yield f"The program returns the new value as {returned}: let the caller store it."
    elif update.before is not None and update.before.facts is not None:
        instead = "use a cache that writes" if update.owner.endswith("Cache") else "write"
        yield f"Return the new value and let the caller store it, or {instead} to the tensor in place (copy_)."
    else:
        yield "Return the new value and let the caller store it."


def _returned(value: Leaf, outputs: Iterable[Leaf]) -> str:
    if value.facts is None:
        return ""
    same = (each.place for each in outputs if each.facts is not None and same_bits(each.value, value.value))
    return next(same, "")


def _lines(text: str) -> list[str]:
    return [text] if text else []


def _shortened(argument: str, findings: list[Finding]) -> Iterator[Finding]:
    """Yield the findings of one argument, of which the last shown lists the rest."""
    shown, rest = findings[:_SHOWN], findings[_SHOWN:]
    if rest:
        places = [each.place.removeprefix("input ") for each in rest]
        listed = ", ".join(places[:_SHOWN]) + (", ..." if len(places) > _SHOWN else "")
        more = f"{len(rest)} more entries of {argument} differ: {listed}"
        shown[-1] = replace(shown[-1], detail="\n".join([*_lines(shown[-1].detail), more]))
    yield from shown
