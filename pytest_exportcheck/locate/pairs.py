"""The nodes of two programs that should yield the same value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from pytest_exportcheck.checks.compare.alignment import flat, refs
from pytest_exportcheck.locate.sides import Side
from pytest_exportcheck.records import Alignment, NodeRecord, NodeRef


@dataclass(frozen=True, eq=False)
class Pairs:
    """The partners of the nodes of the outermost graph. Several nodes after may be made of one node before."""

    before: Side
    after: Side
    alignment: Alignment

    @cached_property
    def partner(self) -> Mapping[str, str]:
        """Return the name of the node before, by the name of the node after."""
        return {
            after.name: before.name
            for graph, before, after in self.alignment.pairs()
            if after.op != "output" and graph.before.path == self.before.path and graph.after.path == self.after.path
        }

    @cached_property
    def made_of(self) -> Mapping[str, tuple[str, ...]]:
        """Return the nodes after that may have the value of a node before, by its name: of those that are made of it
        the ones that other nodes use, or the last one.
        """
        nodes = self.after.graph.nodes
        used = {
            ref.name
            for node in nodes
            for ref in refs(node)
            if node.op == "output" or self.partner.get(ref.name) != self.partner.get(node.name)
        }
        groups: dict[str, list[str]] = {}
        for node in nodes:
            if node.name in self.partner:
                groups.setdefault(self.partner[node.name], []).append(node.name)
        return {name: tuple(each for each in group if each in used) or (group[-1],) for name, group in groups.items()}

    def is_new(self, node: NodeRecord) -> bool:
        """Return True for an operation that has no partner."""
        return node.op == "call_function" and node.name not in self.partner

    def new_before(self, name: str) -> str:
        """Return the operation without a partner that a node uses, the last one where there are several, looking
        through other nodes without partners; empty where it uses none.
        """
        nodes = self.after.nodes
        found = [ref.name for ref in refs(nodes[name]) if ref.name in nodes and self.is_new(nodes[ref.name])]
        return found[-1] if found else ""

    def calls_otherwise(self, name: str) -> bool:
        """Return True for a node that calls the operator of its partner with other numbers."""
        after, before = self.after.nodes[name], self.before.nodes[self.partner[name]]
        return after.target == before.target and not _same_numbers(before, after)

    def fed_by(self, name: str) -> str:
        """Return the operation that a node uses in place of its partner's input, for a node that calls the same
        operator with the same numbers as its partner; empty for other nodes, and where none of the two is new.
        """
        after, before = self.after.nodes[name], self.before.nodes[self.partner[name]]
        if after.op != "call_function" or after.target != before.target or not _same_numbers(before, after):
            return ""
        for one, other in zip(refs(before), refs(after), strict=True):
            node = self.after.nodes.get(other.name)
            source = self.partner.get(other.name)
            if node is not None and node.op == "call_function" and source in (None, before.name) and source != one.name:
                return other.name
        return ""

    def downstream(self, name: str) -> Iterator[str]:
        """Yield the nodes after that depend on a node, in order."""
        reached = {name}
        for node in self.after.graph.nodes:
            if any(ref.name in reached for ref in refs(node)):
                reached.add(node.name)
                yield node.name


def _same_numbers(one: NodeRecord, other: NodeRecord) -> bool:
    """Return True if two nodes have the same arguments, apart from the nodes that they name."""
    left, right = ([*flat((*each.args, *each.kwargs.values()))] for each in (one, other))
    return len(left) == len(right) and all(
        isinstance(before, NodeRef) if isinstance(after, NodeRef) else before == after
        for before, after in zip(left, right, strict=True)
    )
