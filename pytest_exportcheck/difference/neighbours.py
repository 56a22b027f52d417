"""The nodes of two graphs around the differences, as one graph in the order of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal

from pytest_exportcheck.checks.compare.alignment import refs
from pytest_exportcheck.records import Alignment, Finding, GraphPair, NodeRecord
from pytest_exportcheck.records.file_difference import ComparedNode


def nodes_around(alignment: Alignment, findings: Sequence[Finding]) -> tuple[ComparedNode, ...]:
    """Return the nodes of the outermost graphs that differ, and those that they take and that take them."""
    pair = next((each for each in alignment.graphs if not each.before.path and not each.after.path), None)
    if pair is None:
        return ()
    changed = {each.place for each in findings if each.check in ("nodes", "val") and each.change not in _GONE_OR_NEW}
    merged = list(_merged(pair, changed))
    marked = {each.name for each in merged if each.mark}
    near = {name for each in merged if each.mark for name in each.inputs}
    near |= set(_users(merged, marked))
    return tuple(each for each in merged if each.name in marked | near)


def _users(merged: Sequence[ComparedNode], marked: Collection[str]) -> Iterator[str]:
    """Yield the nodes that take a marked one; of a node that many take, the first few."""
    seen: Counter[str] = Counter()
    for each in merged:
        taken = [name for name in each.inputs if name in marked and seen[name] < _MOST_USERS]
        seen.update(taken)
        if taken:
            yield each.name


_MOST_USERS = 3
_GONE_OR_NEW = ("added", "dropped")


def _merged(pair: GraphPair, changed: Collection[str]) -> Iterator[ComparedNode]:
    """Yield the nodes of the new graph in order, and the removed ones before the nodes that they were before."""
    partners = {id(other): one for one, other in pair.nodes}
    names = {one.name: other.name for one, other in pair.nodes}
    taken = {node.name for node in pair.after.nodes}
    dropped = {id(node) for node in pair.dropped}
    names |= {node.name: _name(node, taken) for node in pair.dropped}
    old, done = list(pair.before.nodes), 0
    for node in pair.after.nodes:
        partner = partners.get(id(node))
        if partner is not None:
            place = next((n for n, each in enumerate(old[done:], done) if each is partner), done)
            yield from (_removed(each, names) for each in old[done:place] if id(each) in dropped)
            done = place
        differs = partner is not None and partner.name in changed
        yield _compared(node, "differs" if differs else "" if partner is not None else "added", {})
    yield from (_removed(each, names) for each in old[done:] if id(each) in dropped)


def _name(node: NodeRecord, taken: Collection[str]) -> str:
    return f"{node.name} (old)" if node.name in taken else node.name


def _removed(node: NodeRecord, names: Mapping[str, str]) -> ComparedNode:
    return _compared(node, "removed", names)


def _compared(
    node: NodeRecord, mark: Literal["", "differs", "added", "removed"], names: Mapping[str, str]
) -> ComparedNode:
    return ComparedNode(
        name=names.get(node.name, node.name),
        operator=node.target if node.op == "call_function" else node.op,
        inputs=tuple(dict.fromkeys(names.get(ref.name, ref.name) for ref in refs(node))),
        mark=mark,
    )
