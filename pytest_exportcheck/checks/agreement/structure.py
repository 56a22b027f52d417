"""Differences in the signature and in the operators of two programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from pytest_exportcheck.checks import align, nodes
from pytest_exportcheck.checks.agreement.harmless import without_harmless
from pytest_exportcheck.checks.agreement.sides import UNDECIDED, Pair, Side
from pytest_exportcheck.checks.compare.alignment import refs
from pytest_exportcheck.records import Culprit, Finding, ProgramRecord, SignatureRecord, SpecRecord, StateRecord
from pytest_exportcheck.records.levels import Levels

_FINDING = Finding.of("signature")
_STATE = ("PARAMETER", "BUFFER")
_SEQUENCE: Levels = {"nodes": "sequence"}


def structure_findings(pair: Pair, values: Sequence[Finding]) -> Iterator[Finding]:
    """Yield the differences. ``values`` are those in what the programs compute, which may say who is at fault."""
    one, other = pair.one.record.program, pair.other.record.program
    if one is None or other is None:
        return
    computing = _computing_otherwise(values)
    for finding in _signature(pair, one, other):
        culprit = _of_contract(pair) or computing or _undecided(pair)
        yield pair.finding(finding, culprit.name, culprit.reason)
    for finding in _operators(pair, one, other):
        culprit = computing or _undecided(pair)
        yield pair.finding(finding, culprit.name, culprit.reason)


def _operators(pair: Pair, one: ProgramRecord, other: ProgramRecord) -> list[Finding]:
    evidence = replace(pair.evidence, contract=_SEQUENCE, alignment=align(one, other, "sequence"))
    found = nodes.check(evidence)
    if not found:
        return []
    before, after = evidence.before, evidence.after
    swapped = replace(evidence, before=after, after=before, alignment=align(other, one, "sequence"))
    return without_harmless(found, nodes.check(swapped), one, other)


def _signature(pair: Pair, one: ProgramRecord, other: ProgramRecord) -> Iterator[Finding]:
    """Compare the inputs that nodes use, and the outputs. Names of placeholders, the order of state and state that no
    node uses have no effect on a call.
    """
    state = pair.evidence.module.state if pair.evidence.module else None
    old, new = (Counter(_state_inputs(each, state)) for each in (one, other))
    for text in old - new:
        yield _FINDING.at(text, "dropped", "", text, "no such input")
    for text in new - old:
        yield _FINDING.at(text, "added", "", "no such input", text)
    counts = [sum(spec.kind == "USER_INPUT" for spec in each.signature.inputs) for each in (one, other)]
    if counts[0] != counts[1]:
        yield _FINDING.at("inputs", "changed", "number", *(f"{count} of the user's" for count in counts))
    left, right = (_outputs(each.signature) for each in (one, other))
    if len(left) != len(right):
        yield _FINDING.at("outputs", "changed", "number", *(f"{len(each)} outputs" for each in (left, right)))
    for number, (before, after) in enumerate(zip(left, right, strict=False)):
        if before != after:
            yield _FINDING.at(f"outputs[{number}]", "changed", "kind", before, after)


def _state_inputs(program: ProgramRecord, state: StateRecord | None) -> Iterator[str]:
    used = {ref.name for node in program.graphs[""].nodes for ref in refs(node)}
    for spec in program.signature.inputs:
        if spec.kind in _STATE and spec.name in used:
            kept = "" if spec.kind != "BUFFER" or spec.persistent else " (not persistent)"
            yield f"{spec.kind} {_one_name(spec, state)}{kept}"


def _one_name(spec: SpecRecord, state: StateRecord | None) -> str:
    """Return the name of a tensor of the module; the first of the names of a tied one."""
    entry = state.entries.get(spec.target or "") if state else None
    if state is None or entry is None:
        return spec.target or ""
    return entry.tied_to


def _outputs(signature: SignatureRecord) -> list[str]:
    places = {spec.name: number for number, spec in enumerate(_of_user(signature))}
    found = []
    for spec in signature.outputs:
        target = f" args[{places[spec.target]}]" if spec.target in places else f" {spec.target}" if spec.target else ""
        constant = "" if spec.value.startswith("TensorArgument") else f" {spec.value}"
        found.append(f"{spec.kind}{target}{constant}")
    return found


def _of_user(signature: SignatureRecord) -> list[SpecRecord]:
    return [spec for spec in signature.inputs if spec.kind == "USER_INPUT"]


def _of_contract(pair: Pair) -> Culprit | None:
    """Return the side of which only its own capture breaks the contract of the signature."""
    checks = ("signature", "state", "constants")
    broken = [_broken(side, *checks) for side in (pair.one, pair.other)]
    if bool(broken[0]) == bool(broken[1]):
        return None
    wrong = (broken[0] or broken[1])[0]
    name, right = pair.names if broken[0] else pair.names[::-1]
    return Culprit(
        name, f"the capture of {name} is not that of the module ({wrong.name} {wrong.place}), and {right}'s is"
    )


def _broken(side: Side, *checks: str) -> list[Finding]:
    return [each for each in side.failing(*checks) if each.verdict != "known"]


def _computing_otherwise(values: Sequence[Finding]) -> Culprit | None:
    """Return the only side that computes something else than eager, if every difference in values names it."""
    culprits = {each.culprit.name: each for each in values if each.culprit}
    if len(culprits) != 1 or UNDECIDED in culprits:
        return None
    name, first = next(iter(culprits.items()))
    return Culprit(name, f"only {name} computes something else than eager ({first.check}: {first.place})")


def _undecided(pair: Pair) -> Culprit:
    calls = " and ".join(each.label for each in pair.evidence.before.observations)
    sized = f" and at {pair.sampled} sampled sizes" if pair.sampled else ""
    return Culprit(
        UNDECIDED, f"no difference from eager shows which one is right: both were called with {calls}{sized}"
    )
