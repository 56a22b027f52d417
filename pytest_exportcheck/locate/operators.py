"""Two callables, of which one at least is not a program: the first value that only the second one computes.

Both run under a recorder of ATen operators below autograd, so that a program and the module that it was captured from
are recorded in the same operators. The recorder keeps digests, not values. A value of the second run that the first
one never had is followed back from the results to the operator that made it of values that both had.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from typing import Any, TypeAlias

from pytest_exportcheck.checks.closeness import Rule
from pytest_exportcheck.checks.compare.alignment import refs
from pytest_exportcheck.describe import node_of
from pytest_exportcheck.locate.gaps import Gap, gap_between
from pytest_exportcheck.locate.nearby import near_node
from pytest_exportcheck.locate.recorder import Event, Owner, Recorded, Run, near_event, record
from pytest_exportcheck.locate.sides import MOST_ROWS, origin_node
from pytest_exportcheck.records import DifferenceOrigin, NearNode, NodeRecord, OriginKind, OriginNode, OriginRow

_WINDOW = 2**26  # bytes of values that are compared at once


@dataclass(frozen=True, eq=False)
class Runnable:
    """Something that can be run again and again, always from the same state. ``root`` is the module whose submodules
    are named; ``nodes`` are the records of the nodes that it runs, by name, where it is made of a program, and ``makers`` names those
    that yielded the results of the last run.
    """

    run: Run
    root: Any = None
    nodes: Mapping[str, NodeRecord] | None = None
    makers: dict[str, str] = field(default_factory=dict)

    def record(self, keep: Sequence[int] = ()) -> Recorded:
        """Run it under the recorder."""
        return record(self.run, self.root, keep)

    def near(self, name: str) -> tuple[NearNode, ...]:
        """Return the few nodes around the node of this name."""
        return near_node(list((self.nodes or {}).values()), name, lambda node: node.name)


def operator_origin(before: Runnable, after: Runnable, rule: Rule, label: str) -> DifferenceOrigin:
    """Return the place where the results of two callables part in one call."""
    one, other = before.record(), after.record()
    if rule.level != "bits":
        found = _first_too_far(before, after, one, other, rule)
        if not found:
            return DifferenceOrigin(kind="outside", on=label)
        kind: OriginKind = "inserted" if found[0].before is None else "changed"
        return _surrounded(_described(after, found, kind, label), found[0], (before, one), (after, other))
    known = one.known
    slice_ = _slice(other, known)
    if not slice_:
        return _in_place_of(after, one, other, label)
    roots = [number for number in slice_ if not any(each not in known for each in other.events[number].inputs)]
    first = min(roots or slice_)
    held = [other.held[each] for each in other.events[first].inputs if each not in known and each in other.held]
    follow = [number for number in sorted(slice_) if number > first][: MOST_ROWS - 1]
    partner = _partner(one, other.events[first])
    same = partner is not None and one.events[partner].operator == other.events[first].operator
    partners = {number: _in_order(one, other).get(number) for number in follow} | {first: partner if same else None}
    gaps = _gaps(before, after, partners, rule)
    made = gaps.get(first) or (Gap("", 0.0, exceeds=True, nonfinite=True) if _makes_nonfinite(after, first) else None)
    found = [Found(first, other.events[first], _event(one, partner), made)]
    found += [Found(number, other.events[number], None, gaps.get(number)) for number in follow]
    origin = _described(after, found, "changed" if same else "inserted", label)
    origin = _surrounded(origin, found[0], (before, one), (after, other))
    if not held:
        return origin
    node = (after.nodes or {}).get(held[0])
    state = origin_node(node) if node else OriginNode(name=held[0], operator="state")
    rows = tuple(replace(row, inputs_agree=False) for row in origin.rows)
    near = after.near(node.name) if node else ()
    return replace(origin, kind="state", after=state, rows=rows, near_after=near)


def _in_place_of(after: Runnable, one: Recorded, other: Recorded, label: str) -> DifferenceOrigin:
    """Return the origin where both computed the same values: a result that has another one's value, or none."""
    for place, digest in other.results.items():
        if one.results.get(place, digest) != digest:
            node = (after.nodes or {}).get(after.makers.get(place, ""))
            near = after.near(node.name) if node else ()
            return DifferenceOrigin(
                kind="returned", after=origin_node(node) if node else None, on=label, near_after=near
            )
    return DifferenceOrigin(kind="outside", on=label)


@dataclass(frozen=True)
class Found:
    """An operator of the second run whose value differs, and its partner in the first."""

    number: int
    event: Event
    before: Event | None
    gap: Gap | None


def _slice(recorded: Recorded, known: set[str]) -> set[int]:
    """Return the operators that made values which the first run never had, and that a result depends on."""
    maker: dict[str, int] = {}
    for number, event in enumerate(recorded.events):
        for each in event.outputs:
            if each not in known:
                maker.setdefault(each, number)
    pending = [each for each in recorded.results.values() if each in maker]
    found: set[int] = set()
    while pending:
        number = maker[pending.pop()]
        if number not in found:
            found.add(number)
            pending += [each for each in recorded.events[number].inputs if each in maker and maker[each] < number]
    return found


def _partner(recorded: Recorded, event: Event) -> int | None:
    """Return the operator of the first run that took the same tensors: one of the same name, if there is one, which may
    take them in another order.
    """
    same = [number for number, each in enumerate(recorded.events) if each.inputs == event.inputs and each.inputs]
    named = [number for number in same if recorded.events[number].operator == event.operator]
    permuted = [
        number
        for number, each in enumerate(recorded.events)
        if each.operator == event.operator and sorted(each.inputs) == sorted(event.inputs) and each.inputs
    ]
    return next(iter(named or permuted or same), None)


def _event(recorded: Recorded, number: int | None) -> Event | None:
    return None if number is None else recorded.events[number]


def _gaps(before: Runnable, after: Runnable, partners: Mapping[int, int | None], rule: Rule) -> dict[int, Gap]:
    """Run both again to measure the distance between the values of partners."""
    wanted = {number: partner for number, partner in partners.items() if partner is not None}
    if not wanted:
        return {}
    one, other = before.record(list(wanted.values())), after.record(list(wanted))
    found: dict[int, Gap] = {}
    for number, partner in wanted.items():
        if partner in one.kept and number in other.kept:
            gap = gap_between(one.kept[partner], other.kept[number], rule)
            if gap is not None:
                found[number] = gap
    return found


def _makes_nonfinite(side: Runnable, number: int) -> bool:
    """Run a side again to see whether an operator makes NaN or infinities of finite tensors."""
    return side.record([number]).nonfinite == {number}


def _first_too_far(before: Runnable, after: Runnable, one: Recorded, other: Recorded, rule: Rule) -> list[Found]:
    """Pair the operators by their order, and return the first ones whose values are further apart than the rule
    allows, and that a result depends on.
    """
    differing = [(a, b) for b, a in _in_order(one, other).items() if one.events[a].outputs != other.events[b].outputs]
    found: list[Found] = []
    for window in _windows(differing, other):
        for number, gap in sorted(_gaps(before, after, {b: a for a, b in window}, rule).items()):
            if gap.exceeds:
                partner = {b: a for a, b in window}[number]
                found.append(Found(number, other.events[number], one.events[partner], gap))
        if found:
            break
    new = _new_before(other, found[0].number, set(_in_order(one, other)), one.known) if found else None
    if new is not None:
        made = Gap("", 0.0, exceeds=True, nonfinite=True) if _makes_nonfinite(after, new) else None
        found.insert(0, Found(new, other.events[new], None, made))
    return found[:MOST_ROWS]


def _new_before(recorded: Recorded, number: int, paired: set[int], known: set[str]) -> int | None:
    """Return the operator without a partner that made an input of an operator, a value that the first run never had;
    None where there is none.
    """
    wanted = {each for each in recorded.events[number].inputs if each not in known}
    makers = (
        place
        for place in range(number - 1, -1, -1)
        if place not in paired and wanted & set(recorded.events[place].outputs)
    )
    return next(makers, None)


def _in_order(one: Recorded, other: Recorded) -> dict[int, int]:
    """Pair the operators of two runs by their order: the numbers in the first run by those in the second."""
    ours, theirs = [each.operator for each in one.events], [each.operator for each in other.events]
    blocks = SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks()
    return {block.b + step: block.a + step for block in blocks for step in range(block.size)}


def _windows(pairs: Sequence[tuple[int, int]], recorded: Recorded) -> Iterator[list[tuple[int, int]]]:
    """Yield the pairs in groups whose values fit into a small part of the memory."""
    window: list[tuple[int, int]] = []
    size = 0
    for pair in pairs:
        window.append(pair)
        size += recorded.events[pair[1]].size
        if size > _WINDOW:
            yield window
            window, size = [], 0
    if window:
        yield window


def _described(after: Runnable, found: Sequence[Found], kind: OriginKind, label: str) -> DifferenceOrigin:
    first = found[0]
    rows = [
        OriginRow(
            node=_node(after, each.event),
            difference=each.gap.text if each.gap else "",
            inputs_agree=each is first,
        )
        for each in found
    ]
    return DifferenceOrigin(
        kind=kind,
        after=_node(after, first.event),
        before=_operation(first.before) if first.before else None,
        rows=tuple(_merged(rows)),
        nonfinite=first.gap is not None and first.gap.nonfinite,
        on=label,
    )


_Recording: TypeAlias = tuple[Runnable, Recorded]


def _surrounded(origin: DifferenceOrigin, found: Found, before: _Recording, after: _Recording) -> DifferenceOrigin:
    """Return the origin with the nodes, or the operators, around it."""
    near_before = () if found.before is None else _near(*before, found.before)
    return replace(origin, near_before=near_before, near_after=_near(*after, found.event))


def _near(side: Runnable, recorded: Recorded, event: Event) -> tuple[NearNode, ...]:
    node = _node(side, event)
    if node.name in (side.nodes or {}):
        return side.near(node.name)
    return near_event(recorded.events, next(n for n, each in enumerate(recorded.events) if each is event))


def _merged(rows: Sequence[OriginRow]) -> Iterator[OriginRow]:
    """Yield one row for each node: a node may run several operators."""
    seen: set[str] = set()
    for row in rows:
        if row.node.name not in seen:
            seen.add(row.node.name)
            yield row


def _node(side: Runnable, event: Event) -> OriginNode:
    """Describe the node that an operator ran for, or the operator itself."""
    node = event.owner.node
    if node is None:
        return _operation(event)
    nodes = side.nodes or {}
    known = nodes.get(node.name) or node_of(node)
    if "getitem" in known.facts:
        known = nodes.get(refs(known)[0].name, known)
    return origin_node(known)


def _operation(event: Event) -> OriginNode:
    """Describe what ran for an operator before: the node of a program, or a line of eager."""
    owner: Owner = event.owner
    if owner.node is not None:
        return origin_node(node_of(owner.node))
    return OriginNode(
        name=owner.backward or event.operator,
        operator=event.operator,
        module=owner.module,
        line=owner.line,
    )
