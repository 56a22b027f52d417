"""Two programs side by side: the first pair of nodes whose values differ, though their inputs are the same.

Both run in step, so that only the values that are still needed are in memory. In the *free* run each program goes on
with its own values: there the first pair that is not the same bit for bit is the origin. Where the contract allows
rounding, a second run gives every node after the inputs of the node before, so that what differs is the node's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from pytest_exportcheck.checks.closeness import Rule
from pytest_exportcheck.checks.compare.alignment import align, refs
from pytest_exportcheck.harness.tensors import copy_tree
from pytest_exportcheck.locate.gaps import Gap, gap_between
from pytest_exportcheck.locate.pairs import Pairs
from pytest_exportcheck.locate.results import results_of
from pytest_exportcheck.locate.sides import MOST_ROWS, Side
from pytest_exportcheck.records import Alignment, DifferenceOrigin, Inputs, OriginKind, OriginRow


@dataclass(frozen=True)
class Apart:
    """A pair of nodes whose values differ."""

    before: str
    after: str
    gap: Gap


def program_origin(before: Side, after: Side, alignment: Alignment, call: Inputs, rule: Rule) -> DifferenceOrigin:
    """Return the place where the values of two programs part in one call."""
    pairs = Pairs(before, after, alignment)
    if rule.level == "bits":
        apart = list(islice(_apart(pairs, call, rule, force=False), MOST_ROWS))
        if not apart:
            return _outside(pairs, call, rule)
        return _inside(pairs, apart[0], call, rule) or _origin(pairs, apart[0], apart[1:], call)
    own = list(_apart(pairs, call, rule, force=True))
    too_far = [each for each in own if each.gap.exceeds]
    if not own:
        return _outside(pairs, call, rule)
    first = too_far[0] if too_far else max(own, key=lambda each: each.gap.relative)
    reached = set(pairs.downstream(first.after))
    follow = (each for each in _apart(pairs, call, rule, force=False) if each.after in reached)
    inside = _inside(pairs, first, call, rule) if too_far else None
    origin = inside or _origin(pairs, first, list(islice(follow, MOST_ROWS - 1)), call)
    return origin if too_far else _as_rounding(origin)


def _inside(pairs: Pairs, apart: Apart, call: Inputs, rule: Rule) -> DifferenceOrigin | None:
    """Return the origin in a subgraph of a node that is the origin; None where it is not in one."""
    if pairs.new_before(apart.after):
        return None
    one, other = (
        side.inner(_owner(side, name), call)
        for side, name in ((pairs.before, apart.before), (pairs.after, apart.after))
    )
    if {each.attribute for each in one.values()} != {each.attribute for each in other.values()}:
        return None  # another branch is taken
    for path in one:
        if path in other and one[path].attribute == other[path].attribute:
            before, after = one[path], replace(other[path], given=one[path].given)
            found = program_origin(before, after, _inner_alignment(pairs, before, after), call, rule)
            if found.after is not None and found.kind != "rounding":
                return found
    return None


def _owner(side: Side, name: str) -> str:
    """Return the node that computes a value: for one that fetches a result of another, that one."""
    node = side.nodes[name]
    return refs(node)[0].name if "getitem" in node.facts else name


def _inner_alignment(pairs: Pairs, before: Side, after: Side) -> Alignment:
    """Return a pairing of the nodes of two subgraphs, which do not all say what they were made of."""
    known = Pairs(before, after, pairs.alignment).partner
    if any(after.nodes[name].op == "call_function" for name in known):
        return pairs.alignment
    return align(before.record, after.record, "sequence")


def raising_origin(side: Side, call: Inputs) -> DifferenceOrigin | None:
    """Return the node that raises when a program is run node by node; None where none does."""
    run = side.run(call)
    try:
        for _ in run.steps():
            pass
    except (Exception, SystemExit):
        node = side.named(run.current.name) if run.current is not None else None
        near = side.near(run.current.name) if run.current is not None else ()
        return DifferenceOrigin(kind="raised", after=node, on=call.label, near_after=near) if node else None
    return None


def _apart(pairs: Pairs, call: Inputs, rule: Rule, *, force: bool) -> Iterator[Apart]:
    """Yield the pairs whose values differ, in the order of the program after. With ``force``, a node that differs is
    given the value of its partner before the next one runs.
    """
    following = _Following(pairs, call)
    run = pairs.after.run(call)
    agreed: set[str] = set()
    for node, value in run.steps():
        source = pairs.partner.get(node.name)
        if source is None or source in agreed or node.name not in pairs.made_of[source]:
            continue
        expected = _part(pairs, node.name, following.value_of(source))
        gap = gap_between(expected, value, rule)
        if gap is None:
            agreed.add(source)
        elif pairs.made_of[source][-1] == node.name:  # none of the nodes that were made of it has its value
            yield Apart(source, node.name, gap)
            if force:
                run.force(node, expected)
        if pairs.made_of[source][-1] == node.name or source in agreed:
            following.forget(source)


def _part(pairs: Pairs, name: str, expected: Any) -> Any:
    """Return the value to compare a node with: where it fetches one of several results, and the node before has them
    all, that result.
    """
    node = pairs.after.nodes[name]
    of_all = "getitem" in node.facts and pairs.partner.get(refs(node)[0].name) == pairs.partner[name]
    return expected[node.args[1]] if of_all and isinstance(expected, (tuple, list)) else expected


class _Following:
    """A run of the program before that goes as far as the next value that is asked for, and keeps the values that are
    still to be compared.
    """

    def __init__(self, pairs: Pairs, call: Inputs) -> None:
        self._wanted = set(pairs.partner.values())
        self._writes = pairs.before.writes
        self._steps = pairs.before.run(call).steps()
        self._held: dict[str, Any] = {}

    def value_of(self, name: str) -> Any:
        while name not in self._held:
            node, value = next(self._steps)
            if node.name in self._wanted:
                self._held[node.name] = copy_tree(value) if self._writes else value
        return self._held[name]

    def forget(self, name: str) -> None:
        self._held.pop(name, None)
        self._wanted.discard(name)


def _origin(pairs: Pairs, first: Apart, follow: list[Apart], call: Inputs) -> DifferenceOrigin:
    """Describe the origin: the pair itself, or an operation between it and the values that agree."""
    name, kind = first.after, _kind(pairs, first.after)
    if kind == "inserted":
        name = pairs.new_before(first.after) or pairs.fed_by(first.after)
    else:
        name = _owner(pairs.after, name)
    after = pairs.after.named(name)
    rows = [OriginRow(node=after, difference=first.gap.text, inputs_agree=True)] if after else []
    if name != first.after:
        follow = [first, *follow]
    for each in follow[: MOST_ROWS - 1]:
        node = pairs.after.named(each.after)
        if node is not None:
            rows.append(OriginRow(node=node, difference=each.gap.text, inputs_agree=False))
    return DifferenceOrigin(
        kind=kind,
        after=after,
        before=pairs.before.named(first.before),
        rows=tuple(rows),
        nonfinite=first.gap.nonfinite,
        on=call.label,
        near_before=pairs.before.near(first.before),
        near_after=pairs.after.near(name),
    )


def _kind(pairs: Pairs, name: str) -> OriginKind:
    if pairs.after.nodes[name].op == "placeholder":
        return "state"
    fed = not pairs.calls_otherwise(name) and (pairs.new_before(name) or pairs.fed_by(name))
    return "inserted" if fed else "changed"


def _as_rounding(origin: DifferenceOrigin) -> DifferenceOrigin:
    kind: OriginKind = "rounding" if origin.kind in ("changed", "inserted") else origin.kind
    return replace(origin, kind=kind, nonfinite=False)


def _outside(pairs: Pairs, call: Inputs, rule: Rule) -> DifferenceOrigin:
    """Return the origin where every pair of nodes agrees: what the graph returns or writes, or what happens outside of
    it.
    """
    if pairs.after.path:
        return DifferenceOrigin(kind="outside", on=call.label)
    expected, actual = results_of(pairs.before, call), results_of(pairs.after, call)
    for place, result in actual.items():
        if place not in expected:
            continue
        gap = gap_between(expected[place].value, result.value, rule)
        if gap is not None:
            node = pairs.after.nodes.get(result.node)
            new = node is not None and pairs.is_new(node)
            after = pairs.after.named(result.node)
            return DifferenceOrigin(
                kind="inserted" if new else "returned",
                after=after,
                before=pairs.before.named(expected[place].node),
                rows=(OriginRow(node=after, difference=gap.text, inputs_agree=True),) if after else (),
                nonfinite=gap.nonfinite,
                on=call.label,
                near_before=pairs.before.near(expected[place].node),
                near_after=pairs.after.near(result.node),
            )
    return DifferenceOrigin(kind="outside", on=call.label)
