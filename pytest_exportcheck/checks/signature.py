"""The graph signature: kinds, targets, order, mutations, persistence, and that graph and state agree with it."""

from __future__ import annotations

import builtins
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest

from pytest_exportcheck.checks.compare.alignment import flat
from pytest_exportcheck.checks.unwrapped import signature_without, unwrapped_names
from pytest_exportcheck.records import (
    Cause,
    Evidence,
    Finding,
    NodeRef,
    ProgramRecord,
    SignatureRecord,
    SpecRecord,
    StateRecord,
)
from pytest_exportcheck.records.levels import SignatureLevel

_STATE = ("PARAMETER", "BUFFER", "CONSTANT_TENSOR", "CUSTOM_OBJ")
_STATE_MUTATIONS = ("BUFFER_MUTATION", "PARAMETER_MUTATION")


def check(evidence: Evidence) -> list[Finding]:
    """Judge the signature as strictly as the contract says."""
    program, level = evidence.after.program, evidence.contract["signature"]
    if program is None:
        return []
    found = list(_agrees_with_graph(program))
    if level == "sane":
        state = evidence.before.state
        return [*found, *(_agrees_with_state(program, state) if state else ())]
    if evidence.before.program is None:
        return found
    before = evidence.before.program
    unwrapped = unwrapped_names(evidence.before.state, evidence.after.state)
    found += _LEVELS[level](
        signature_without(before.signature, unwrapped), signature_without(program.signature, unwrapped)
    )
    if level == "kinds" and before.dialect == program.dialect:  # a capture of a lowered program mutates in place
        found += _mutations(before.signature, program.signature)
    return found


_FINDING = Finding.of("signature")


# --- a program without one before -----------------------------------------------------------


def _agrees_with_graph(program: ProgramRecord) -> Iterator[Finding]:
    """Yield findings where input specs are not the placeholders in order, or output specs not the outputs in order."""
    nodes = program.graphs[""].nodes
    placeholders = [node.name for node in nodes if node.op == "placeholder"]
    inputs = [spec.name for spec in program.signature.inputs]
    yield from _order("inputs", "placeholder", placeholders, inputs)
    outputs = [
        ref.name if isinstance(ref, NodeRef) else "" for node in nodes if node.op == "output" for ref in flat(node.args)
    ]
    specs = [spec.name for spec in program.signature.outputs]
    named = [(one, other) for one, other in zip(outputs, specs, strict=False) if one and other]
    yield from _order("outputs", "output", [one for one, _ in named], [other for _, other in named])
    if len(outputs) != len(specs):
        yield _FINDING.at(
            "outputs", "changed", "number", f"{len(outputs)} outputs of the graph", f"{len(specs)} output specs"
        )


def _order(place: str, what: str, graph: Sequence[str], specs: Sequence[str]) -> Iterator[Finding]:
    for number, (one, other) in enumerate(zip_longest(graph, specs, fillvalue="nothing")):
        if one != other:
            yield _FINDING.at(
                f"{place}[{number}]", "changed", "name", f"{what} {one}", other, causes=_renamed(other, one)
            )
            return


def _renamed(name: object, to: object) -> tuple[Cause, ...]:
    """Explain a name that torch changes when it copies a graph; empty for all others."""
    if isinstance(name, str) and hasattr(builtins, name) and to == f"{name}_1":
        return (Cause("builtin_name", name),)
    return ()


def _agrees_with_state(program: ProgramRecord, state: StateRecord) -> Iterator[Finding]:
    """Yield findings for targets that are not names of the module's state, or differ in kind or persistence."""
    for spec in program.signature.inputs:
        if spec.kind not in ("PARAMETER", "BUFFER", "CONSTANT_TENSOR") or spec.target is None:
            continue
        entry = state.entries.get(spec.target)
        if entry is None and spec.kind == "CONSTANT_TENSOR":  # made by the capture
            continue
        if entry is None:
            yield _FINDING.at(spec.name, "changed", "target", "a name of the module's state", spec.target)
            continue
        kind = "PARAMETER" if entry.kind == "parameter" else "BUFFER" if entry.kind == "buffer" else "CONSTANT_TENSOR"
        if kind != spec.kind:
            yield _FINDING.at(spec.name, "changed", "kind", kind, spec.kind, detail=f"of {spec.target}")
        elif spec.kind == "BUFFER" and spec.persistent != entry.persistent:
            yield _FINDING.at(
                spec.name, "changed", "persistent", entry.persistent, spec.persistent, detail=f"of {spec.target}"
            )
    for spec in program.signature.outputs:
        if spec.kind in _STATE_MUTATIONS and spec.target is not None and spec.target not in state.entries:
            yield _FINDING.at(spec.name, "changed", "target", "a name of the module's state", spec.target)


# --- compared with before -------------------------------------------------------------------


def _equal(before: SignatureRecord, after: SignatureRecord) -> Iterator[Finding]:
    yield from _specs("inputs", before.inputs, after.inputs)
    yield from _specs("outputs", before.outputs, after.outputs)


def _inputs(before: SignatureRecord, after: SignatureRecord) -> Iterator[Finding]:
    """Compare input specs; of the outputs compare the kinds only, because the lowered program chooses their names. It
    adds a token for each kind of effect.
    """
    yield from _specs(
        "inputs", *(tuple(spec for spec in each.inputs if spec.kind != "TOKEN") for each in (before, after))
    )
    yield from _count("outputs", before.outputs, after.outputs, lambda spec: spec.kind == "USER_OUTPUT")


def _kinds(before: SignatureRecord, after: SignatureRecord) -> Iterator[Finding]:
    """Compare kinds and targets, independent of the names of nodes. The targets of constants need not be kept."""
    old = Counter((spec.kind, spec.target) for spec in before.inputs if spec.kind in ("PARAMETER", "BUFFER"))
    new = Counter((spec.kind, spec.target) for spec in after.inputs if spec.kind in ("PARAMETER", "BUFFER"))
    for kind, target in old - new:
        yield _FINDING.at(f"input {target}", "dropped", "", f"{kind} {target}", "no such input spec")
    for kind, target in new - old:
        yield _FINDING.at(f"input {target}", "added", "", "no such input spec", f"{kind} {target}")
    yield from _count("inputs", before.inputs, after.inputs, lambda spec: spec.kind == "USER_INPUT")
    yield from _count("outputs", before.outputs, after.outputs, lambda spec: spec.kind == "USER_OUTPUT")


def _mutations(before: SignatureRecord, after: SignatureRecord) -> Iterator[Finding]:
    old = Counter((spec.kind, spec.target) for spec in before.outputs if spec.kind in _STATE_MUTATIONS)
    new = Counter((spec.kind, spec.target) for spec in after.outputs if spec.kind in _STATE_MUTATIONS)
    for kind, target in old - new:
        yield _FINDING.at(f"output {target}", "dropped", "", f"{kind} {target}", "no such output spec")
    for kind, target in new - old:
        yield _FINDING.at(f"output {target}", "added", "", "no such output spec", f"{kind} {target}")


def _count(
    place: str, before: Sequence[SpecRecord], after: Sequence[SpecRecord], counts: Callable[[SpecRecord], bool]
) -> Iterator[Finding]:
    old, new = sum(map(counts, before)), sum(map(counts, after))
    if old != new:
        yield _FINDING.at(place, "changed", "number", f"{old} user {place if old != 1 else place[:-1]}", f"{new}")


def _specs(place: str, before: Sequence[SpecRecord], after: Sequence[SpecRecord]) -> Iterator[Finding]:
    """Compare specs by name, then by target where a name changed; then compare the order."""
    rest = list(after)
    pairs: list[tuple[SpecRecord, SpecRecord]] = []
    for same in (_same_name_and_target, _same_name, _same_target):
        for spec in [each for each in before if all(each is not one for one, _ in pairs)]:
            partner = next((other for other in rest if same(spec, other)), None)
            if partner is not None:
                rest.remove(partner)
                pairs.append((spec, partner))
    paired = [id(one) for one, _ in pairs]
    for spec in before:
        if id(spec) not in paired:
            yield _FINDING.at(f"{place}: {spec.name}", "dropped", "", _text(spec), "no such spec")
    for spec in rest:
        yield _FINDING.at(f"{place}: {spec.name}", "added", "", "no such spec", _text(spec))
    for one, other in pairs:
        yield from _fields(place, one, other)
    yield from _same_order(place, before, pairs, after)


def _same_name_and_target(one: SpecRecord, other: SpecRecord) -> bool:
    return one.name == other.name and one.target == other.target and one.kind == other.kind


def _same_name(one: SpecRecord, other: SpecRecord) -> bool:
    return bool(one.name) and one.name == other.name


def _same_target(one: SpecRecord, other: SpecRecord) -> bool:
    return one.kind == other.kind and one.target == other.target


def _fields(place: str, one: SpecRecord, other: SpecRecord) -> Iterator[Finding]:
    where = f"{place}: {one.name or one.value}"
    for field in ("kind", "name", "target", "persistent", "value"):
        left, right = getattr(one, field), getattr(other, field)
        if left != right:
            key = "constant_persistent" if field == "persistent" and one.kind == "CONSTANT_TENSOR" else field
            causes = _renamed(left, right) if field == "name" else ()
            yield _FINDING.at(where, "changed", key, left, right, causes=causes)


def _same_order(
    place: str,
    before: Sequence[SpecRecord],
    pairs: Sequence[tuple[SpecRecord, SpecRecord]],
    after: Sequence[SpecRecord],
) -> Iterator[Finding]:
    """Compare the order: the user's inputs and all outputs must stay in order; the order of state is a separate
    finding.
    """
    position = {id(spec): number for number, spec in enumerate(after)}
    ranked = sorted(pairs, key=lambda pair: next(n for n, spec in enumerate(before) if spec is pair[0]))
    for key, wanted in (("state", True), ("", False)):
        chosen = [pair for pair in ranked if (pair[0].kind in _STATE) is wanted]
        places = [position[id(other)] for _, other in chosen]
        if places != sorted(places):
            old = [one.name for one, _ in chosen]
            new = [
                one.name for _, one in sorted(zip(places, [one for one, _ in chosen], strict=True), key=lambda p: p[0])
            ]
            first = next(number for number, (left, right) in enumerate(zip(old, new, strict=True)) if left != right)
            texts = ", ".join(old[first : first + 3]), ", ".join(new[first : first + 3])
            yield _FINDING.at(place, "reordered", key, *texts)


def _text(spec: SpecRecord) -> str:
    return f"{spec.kind} {spec.name}" + (f" of {spec.target}" if spec.target else "")


_LEVELS: Mapping[SignatureLevel, Callable[[SignatureRecord, SignatureRecord], Iterator[Finding]]] = {
    "equal": _equal,
    "inputs": _inputs,
    "kinds": _kinds,
}
