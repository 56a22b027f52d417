"""Effects: what a call did to its inputs, to the module's state over two calls, and to the random generators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pytest_exportcheck.checks import outputs
from pytest_exportcheck.checks.circumstances import tracing_tensor
from pytest_exportcheck.checks.compare.tensors import tensor_text, value_difference
from pytest_exportcheck.checks.container_updates import container_updates
from pytest_exportcheck.checks.object_changes import object_changes
from pytest_exportcheck.checks.outputs import rule_of
from pytest_exportcheck.checks.outside import changes_of, is_taken_from_outside, may_depend, outside_findings
from pytest_exportcheck.records import CallSite, Change, Evidence, Finding, Observation, ProgramRecord, StateEntry

_UNCHANGED = "unchanged"
_FINDING = Finding.of("effects")


def check(evidence: Evidence) -> list[Finding]:
    """Compare call by call, as far as both sides returned."""
    pairs = zip(evidence.before.observations, evidence.after.observations, strict=False)
    found = [
        finding
        for before, after in pairs
        if not before.raised and not after.raised
        for finding in _call(evidence, before, after)
    ]
    if not _has_readable_state(evidence):
        return [*found, *_forgotten(evidence)]
    changed = changes_of(evidence.before) or any(each.rebound for each in evidence.before.observations)
    wrong = outputs.check(evidence) if changed else []
    if not wrong and not may_depend(evidence):
        found = [_unread(evidence, each) for each in found]
    return [*found, *outside_findings(evidence, wrong)]


def _unread(evidence: Evidence, finding: Finding) -> Finding:
    """Mark a plain attribute to which forward() assigns another tensor, and on which no output depends: it is set for
    other code to read, or filled before it is read, as weight normalisation does.
    """
    name = finding.place.removeprefix("state ")
    set_anew = any(name in each.rebound for each in evidence.before.observations)
    if finding.key == "attribute_mutation" and set_anew:
        return replace(finding, change="unread")
    return finding


def _call(evidence: Evidence, before: Observation, after: Observation) -> Iterator[Finding]:
    yield from _mutations(evidence, "input", before.inputs, after.inputs, before.site)
    yield from container_updates(evidence, before, after)
    kept = {
        name: value for name, value in after.state.items() if not is_taken_from_outside(evidence, before, name, value)
    }
    if not _has_readable_state(evidence):
        return
    for finding in _mutations(evidence, "state", before.state, kept, before.site):
        if _is_another_name(evidence, finding):
            continue
        named = _as_attribute(evidence, finding)
        yield replace(named, detail=named.detail or _hint(evidence, named))
    yield from object_changes(evidence, before, after)
    if before.generator != after.generator:
        deterministic = evidence.after.program is not None and not _draws(evidence.after.program)
        yield _FINDING.at(
            "random generator",
            "dropped" if deterministic else "changed",
            "generator",
            f"state {before.generator} after the call",
            f"state {after.generator}",
            "no operation of the program draws random values"
            if deterministic
            else "a different number of random values was drawn",
            on=(before.site,),
        )


def _forgotten(evidence: Evidence) -> Iterator[Finding]:
    """Report state that a package does not keep: its first call is right, and the second one, which depends on the state,
    yields other outputs.
    """
    names = sorted({name for each in evidence.before.observations for name in each.state})
    wrong = [each for each in outputs.check(evidence) if each.key == "value"] if names else []
    first, second, *_ = (*(each.site for each in evidence.before.observations), None, None)
    shown = {site for each in wrong for site in each.on}
    if second in shown and first not in shown:
        what = ", ".join(names)
        yield _FINDING.at(
            f"state {what}",
            "dropped",
            "between_calls",
            "every call reads what the call before it wrote",
            "every call reads the value that is saved in the package",
            on=tuple(dict.fromkeys(site for each in wrong for site in each.on)),
        )


def _has_readable_state(evidence: Evidence) -> bool:
    """Return True if the state after a call can be read: a package of a runtime shows only what it returns."""
    return evidence.after.shows_state


def _draws(program: ProgramRecord) -> bool:
    """Return True if an operation draws random numbers."""
    return any("random" in node.facts for graph in program.graphs.values() for node in graph.nodes)


def _is_another_name(evidence: Evidence, finding: Finding) -> bool:
    """Return True if a mutation is of a tensor that had another name before, under which it is compared: a module that
    is called twice becomes two that share their state.
    """
    before, after = evidence.before.state, evidence.after.state
    name = finding.place.removeprefix("state ")
    if before is None or after is None or name in before.entries or name not in after.entries:
        return False
    tensor = after.entries[name].tied_to
    return any(each.tied_to == tensor for each in after.entries.values() if each.name in before.entries)


def _as_attribute(evidence: Evidence, finding: Finding) -> Finding:
    """Name a lost mutation of a tensor that is neither a parameter nor a buffer."""
    entry = _entry(evidence, finding)
    if entry is None or entry.kind != "attribute" or finding.change != "dropped":
        return finding
    subject = "attribute_entry" if "[" in entry.name else "attribute"
    return replace(finding, key="attribute_mutation", subject=subject)


def _entry(evidence: Evidence, finding: Finding) -> StateEntry | None:
    state = evidence.before.state
    return state.entries.get(finding.place.removeprefix("state ")) if state else None


def _hint(evidence: Evidence, finding: Finding) -> str:
    """Return the remedy for a lost mutation of a tensor that is not a buffer."""
    entry = _entry(evidence, finding)
    if finding.key == "attribute_mutation":
        return "A plain tensor attribute is a constant to a program: use register_buffer, and update it in place."
    if finding.change == "dropped" and entry is not None:
        return "If forward assigns to it, update it in place (copy_, add_) instead."
    return ""


def _mutations(
    evidence: Evidence, what: str, before: Mapping[str, Any], after: Mapping[str, Any], site: CallSite
) -> Iterator[Finding]:
    for name in dict.fromkeys((*before, *after)):
        place = f"{what} {name}"
        if name not in after:
            yield _mutation(place, "dropped", f"changed to {tensor_text(before[name])}", _UNCHANGED, site)
        elif name not in before:
            added = _mutation(place, "added", _UNCHANGED, f"changed to {tensor_text(after[name])}", site)
            yield replace(added, causes=tuple(tracing_tensor(type(after[name]).__name__)))
        else:
            rule = rule_of(evidence, "effects", site.label, place)
            difference = next(value_difference(before[name], after[name], rule), None)
            if difference is None or rule.level == "structure":
                continue
            yield _mutation(place, "changed", difference.expected, difference.actual, site, detail=difference.detail)


def _mutation(place: str, change: Change, expected: str, actual: str, site: CallSite, detail: str = "") -> Finding:
    return _FINDING.at(place, change, "mutation", expected, actual, detail, on=(site,))
