"""Aliasing: which outputs share storage with inputs, with each other, and with state."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_exportcheck.records import Evidence, Finding, Observation, StateRecord

_FINDING = Finding.of("aliasing")


def check(evidence: Evidence) -> list[Finding]:
    """Compare call by call, as far as both sides returned the same structure."""
    found: list[Finding] = []
    for before, after in zip(evidence.before.observations, evidence.after.observations, strict=False):
        if not before.raised and not after.raised and before.structure == after.structure:
            found += _call(evidence, before, after)
    return found


def _call(evidence: Evidence, before: Observation, after: Observation) -> Iterator[Finding]:
    states = evidence.before.state, evidence.after.state
    old, new = _pairs(before, *states), _pairs(after, *states[::-1])
    on = (before.site,)
    for place, owner in sorted(old - new):
        yield _FINDING.at(f"{place} and {owner}", "dropped", "", f"shares storage with {owner}", "does not", on=on)
    for place, owner in sorted(new - old):
        yield _FINDING.at(f"{place} and {owner}", "added", "", f"does not share storage with {owner}", "does", on=on)


def _pairs(observation: Observation, own: StateRecord | None, others: StateRecord | None) -> set[tuple[str, str]]:
    """Return pairs of an output and the place that it shares storage with; state by a name that both sides have for it.
    Constants may have another name on the other side: then the place is only "state".
    """
    if own is None or others is None:
        return set(observation.aliases)
    return {(place, _owner(owner, own, others)) for place, owner in observation.aliases}


def _owner(name: str, own: StateRecord, others: StateRecord) -> str:
    if name not in own.entries:
        return name
    storage = own.entries[name].shares_with
    names = [each.name for each in own.entries.values() if each.shares_with == storage]
    return min((each for each in names if each in others.entries), default="the module's constants")
