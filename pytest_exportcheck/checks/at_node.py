"""Findings about one node of a graph."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_exportcheck.checks.compare.rendering import user_line
from pytest_exportcheck.records import Cause, Change, Finding, FindingsOf, GraphRecord, NodeRecord


def at_node(
    check: FindingsOf,
    graph: GraphRecord,
    node: NodeRecord,
    change: Change,
    key: str,
    expected: object,
    actual: object,
    detail: str = "",
    *,
    causes: tuple[Cause, ...] = (),
    line: str = "",
) -> Finding:
    """Make a finding about a node, with its operator, its regions and its line of user code."""
    return check.at(
        graph.place(node),
        change,
        key,
        expected,
        actual,
        detail,
        subject=subject_of(node),
        causes=(*causes, *_causes(graph, node)),
        line=line or user_line(node),
    )


def subject_of(node: NodeRecord) -> str:
    """Return the kind of a node that is not an operation, such as ``placeholder``; empty for operations."""
    return "" if node.op == "call_function" else node.op


def _causes(graph: GraphRecord, node: NodeRecord) -> Iterator[Cause]:
    if node.op == "call_function":
        yield Cause("node", node.target)
    yield from (Cause("region", operator) for operator in graph.regions)
