"""Metadata of nodes, key by key: which must be present, which must be kept, which must be equal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pytest_exportcheck.checks.at_node import at_node
from pytest_exportcheck.checks.circumstances import results_of, separators
from pytest_exportcheck.checks.compare.alignment import refs
from pytest_exportcheck.checks.compare.metadata import equal, fates, key_of
from pytest_exportcheck.checks.compare.rendering import side_by_side, user_line
from pytest_exportcheck.checks.metadata_present import FINDING, missing, present, user_operations
from pytest_exportcheck.records import Evidence, Finding, GraphPair, GraphRecord, NodeRecord, ProgramRecord


def check(evidence: Evidence) -> list[Finding]:
    """Judge the metadata of every node as strictly as the tables say."""
    program, level = evidence.after.program, evidence.contract["metadata"]
    if program is None:
        return []
    if level == "present":
        return list(present(evidence, program))
    if evidence.alignment is None:
        return []
    return list(_pairs(evidence))


def _pairs(evidence: Evidence) -> Iterator[Finding]:
    alignment = evidence.alignment
    if alignment is None:
        return
    for pair, one, other in alignment.pairs():
        for key, fate in fates(one, other, evidence.fields):
            level = evidence.fields.get(key_of(one, key))
            if level is None or fate == "kept" or (fate == "gained" and level != "equal"):
                continue
            if level in ("kept", "paths") and "subclass_part" in one.facts:  # of the state, ahead of the model
                continue
            if level == "kept" and one.target != other.target and _is_of_its_own_kind(pair.before, other, key):
                continue
            if level == "kept" and _is_view_made_again(pair.before, one, other, key):
                continue
            yield _finding(pair, one, other, key, fate)
    if evidence.contract["metadata"] == "kept" and evidence.before.program and evidence.after.program:
        yield from _unpaired(evidence, evidence.before.program, evidence.after.program)


def _is_of_its_own_kind(before: GraphRecord, node: NodeRecord, key: str) -> bool:
    """Return whether a node that claims to be part of a decomposed operation is really one that was there before: where
    both made the same value, lowering keeps one of them.
    """
    return any(
        each.target == node.target and key in each.meta and equal(each.meta[key], node.meta.get(key))
        for each in before.nodes
    )


def _is_view_made_again(before: GraphRecord, one: NodeRecord, node: NodeRecord, key: str) -> bool:
    """Return whether a view has the metadata of a node that uses its origin: after a mutation, functionalisation makes
    views again where they are used, and they keep their own line of code.
    """
    if "view" not in node.facts:
        return False
    nodes = {each.name: each for each in before.nodes}
    pending, seen = [ref.name for ref in refs(one)], set()
    while pending:
        name = pending.pop()
        if name in seen or name not in nodes:
            continue
        seen.add(name)
        if key in nodes[name].meta and equal(nodes[name].meta[key], node.meta.get(key)):
            return True
        pending += [ref.name for ref in refs(nodes[name])]
    return False


def _finding(
    pair: GraphPair, one: NodeRecord, other: NodeRecord, key: str, fate: Literal["changed", "dropped", "gained"]
) -> Finding:
    expected, actual = side_by_side(_shown(one.meta.get(key)), _shown(other.meta.get(key)))
    made = "" if one.name == other.name else f"made from {one.name}"
    as_json = fate == "changed" and key == "custom" and _same_as_json(one.meta[key], other.meta[key])
    return at_node(
        FINDING,
        pair.after,
        other,
        "as_json" if as_json else fate,
        key,
        "none" if key not in one.meta else expected,
        "none" if key not in other.meta else actual,
        made,
        causes=(*(() if made else results_of(pair.before, one)), *separators(key, one.meta.get(key))),
        line=user_line(one) or user_line(other),
    )


def _same_as_json(one: Any, other: Any) -> bool:
    """Return whether only what JSON does not have is lost: tuples, keys that are not strings."""
    try:
        return equal(json.loads(json.dumps(one)), other)
    except (TypeError, ValueError):
        return False


def _shown(value: Any) -> Any:
    if isinstance(value, Mapping):
        return ", ".join(f"{key!r}: {each!r}" for key, each in value.items())
    return "" if value is None else value


def _all_have(program: ProgramRecord, key: str) -> bool:
    """Return True if every operation has this metadata."""
    return all(key in node.meta for _, node in user_operations(program))


def _unpaired(evidence: Evidence, before: ProgramRecord, after: ProgramRecord) -> Iterator[Finding]:
    paired = {id(other) for _, _, other in evidence.alignment.pairs()} if evidence.alignment else set()
    unpaired = [each for each in user_operations(after) if id(each[1]) not in paired]
    written = [each for each in unpaired if "copy" not in each[1].facts]  # which writes a mutation back
    for key in ("stack_trace", "nn_module_stack"):
        if key in evidence.fields and _all_have(before, key):
            yield from (missing(graph, node, key) for graph, node in written if key not in node.meta)
    if "nn_module_stack" in evidence.fields:
        yield from _strange_stacks(before, written)
    if unpaired and "stack_trace" in evidence.fields and _all_have(before, "stack_trace"):
        yield from _vanished_annotations(before, unpaired)


def _strange_stacks(before: ProgramRecord, unpaired: Sequence[tuple[GraphRecord, NodeRecord]]) -> Iterator[Finding]:
    """Find nodes that do not name their source, with a module stack that no operation had."""
    key = "nn_module_stack"
    stacks = {_paths(node.meta[key]) for _, node in user_operations(before) if key in node.meta}
    for graph, node in unpaired:
        if key in node.meta and _paths(node.meta[key]) not in stacks:
            texts = "the module stack of an operation before", str(_shown(node.meta[key]))
            yield at_node(FINDING, graph, node, "wrong", key, *texts)


def _paths(stack: Any) -> Any:
    """Return the paths and classes of a module stack, without its keys."""
    return tuple(entry[1:] for entry in stack) if isinstance(stack, tuple) else repr(stack)


def _vanished_annotations(
    before: ProgramRecord, unpaired: Sequence[tuple[GraphRecord, NodeRecord]]
) -> Iterator[Finding]:
    """Yield, for nodes that do not name their source, lost annotations that every operation of their line of code
    had.
    """
    annotated: dict[Any, list[Any]] = {}
    for _, node in user_operations(before):
        annotated.setdefault(node.meta.get("stack_trace"), []).append(node.meta.get("custom"))
    for graph, node in unpaired:
        had = annotated.get(node.meta.get("stack_trace"), [])
        if had and None not in had and "custom" not in node.meta:
            yield at_node(FINDING, graph, node, "dropped", "custom", _shown(had[0]), "none")
