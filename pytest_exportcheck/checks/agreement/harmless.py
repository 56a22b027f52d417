"""Differences between the operators of two captures that have no effect: a capture inserts operators for its own use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pytest_exportcheck.checks.compare.alignment import flat, is_assertion, refs
from pytest_exportcheck.records import Finding, GraphRef, NodeRecord, ProgramRecord


def without_harmless(
    found: Sequence[Finding], swapped: Iterable[Finding], one: ProgramRecord, other: ProgramRecord
) -> list[Finding]:
    """Return the findings about nodes without those that have no effect. ``swapped`` are the findings of the opposite
    comparison: an assertion is dropped only if it follows neither from assertions nor from the ranges of the other side.
    """
    nodes = {"dropped": _by_place(one), "added": _by_place(other)}
    unimplied = {each.place for each in swapped if each.change == "added"}
    harmless = [each for each in found if _is_harmless(each, nodes.get(each.change, {}), unimplied)]
    copied = {argument for each in harmless for argument in _arguments(nodes[each.change][each.place])}
    return [
        each
        for each in found
        if each not in harmless and not (each.change in nodes and _is_copy(nodes[each.change].get(each.place), copied))
    ]


def _by_place(program: ProgramRecord) -> dict[str, NodeRecord]:
    return {graph.place(node): node for graph in program.graphs.values() for node in graph.nodes}


def _is_harmless(finding: Finding, nodes: Mapping[str, NodeRecord], unimplied: Iterable[str]) -> bool:
    node = nodes.get(finding.place)
    if node is None:
        return False
    if is_assertion(node) and finding.change == "dropped":
        return finding.place not in unimplied
    return not is_assertion(node) and (_is_bookkeeping(node) or _has_no_effect(node, nodes))


def _is_bookkeeping(node: NodeRecord) -> bool:
    """Return True for an operator that a capture inserts; not for a higher-order one, or one result of an operator."""
    regions = any(isinstance(each, GraphRef) for each in flat((*node.args, *node.kwargs.values())))
    return "bookkeeping" in node.facts and not regions and "getitem" not in node.facts


def _has_no_effect(node: NodeRecord, nodes: Mapping[str, NodeRecord]) -> bool:
    """Return True if no node uses the result, and the call writes to nothing and draws no numbers."""
    used = any(ref.name == node.name for each in nodes.values() for ref in refs(each))
    return not used and not node.facts & {"mutates", "random"}


def _arguments(node: NodeRecord) -> list[str]:
    return [ref.name for ref in refs(node)]


def _is_copy(node: NodeRecord | None, copied: Iterable[Any]) -> bool:
    """Return True for a copy of what the other capture copies by an operator for its own use."""
    return node is not None and len(refs(node)) == 1 and not node.args[1:] and refs(node)[0].name in set(copied)
