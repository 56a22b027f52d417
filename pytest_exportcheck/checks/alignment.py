"""Pairs the nodes of two programs, so that one inserted node is one difference and not a hundred."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from pytest_exportcheck.records import Alignment, GraphPair, GraphRef, NodeRecord, NodeRef, ProgramRecord


def align(before: ProgramRecord, after: ProgramRecord, how: str) -> Alignment:
    """Pair the nodes of two programs.

    ``names``: by name, and where names shifted, by what the nodes do. ``sequence``: by the order of operations.
    ``origin``: every node after with the node that its ``from_node`` names.
    """
    if how == "origin":
        return Alignment(tuple(_by_origin(before, after)))
    paired: list[GraphPair] = []
    _align_graphs(before, after, "", "", _PAIRINGS[how], paired)
    seen_before, seen_after = {pair.before.path for pair in paired}, {pair.after.path for pair in paired}
    return Alignment(
        tuple(paired),
        tuple(path for path in before.graphs if path not in seen_before),
        tuple(path for path in after.graphs if path not in seen_after),
    )


def _align_graphs(
    before: ProgramRecord, after: ProgramRecord, old: str, new: str, pairing: Any, paired: list[GraphPair]
) -> None:
    """Pair two graphs, then the subgraphs that paired nodes are given in the same argument."""
    ours, theirs = before.graphs[old], after.graphs[new]
    nodes = pairing(ours.nodes, theirs.nodes)
    taken_before, taken_after = {id(one) for one, _ in nodes}, {id(other) for _, other in nodes}
    paired.append(
        GraphPair(
            ours,
            theirs,
            tuple(nodes),
            tuple(node for node in ours.nodes if id(node) not in taken_before),
            tuple(node for node in theirs.nodes if id(node) not in taken_after),
        )
    )
    for one, other in nodes:
        there = {ref.path for ref in _graph_refs(other)}
        for ref in _graph_refs(one):
            inner, outer = _joined(old, one, ref), _joined(new, other, ref)
            if ref.path in there and inner in before.graphs and outer in after.graphs:
                _align_graphs(before, after, inner, outer, pairing, paired)


def _joined(path: str, node: NodeRecord, ref: GraphRef) -> str:
    return f"{path}.{node.name}{ref.path}" if path else f"{node.name}{ref.path}"


def _graph_refs(node: NodeRecord) -> list[GraphRef]:
    return [each for each in flat((*node.args, *node.kwargs.values())) if isinstance(each, GraphRef)]


def refs(node: NodeRecord) -> list[NodeRef]:
    """The nodes that a node is given, each as often as it is."""
    return [each for each in flat((*node.args, *node.kwargs.values())) if isinstance(each, NodeRef)]


def flat(values: Iterable[Any]) -> Iterator[Any]:
    """The leaves of nested tuples."""
    for value in values:
        if isinstance(value, tuple):
            yield from flat(value)
        else:
            yield value


Pairs = list[tuple[NodeRecord, NodeRecord]]


def _by_name(before: Sequence[NodeRecord], after: Sequence[NodeRecord]) -> Pairs:
    """By name where both have the same names. Else names may have shifted: by name or by what nodes do, in order, whichever
    leaves fewer differences."""
    old, new = {node.name: node for node in before}, {node.name: node for node in after}
    if old.keys() == new.keys():
        return [(node, new[node.name]) for node in before]
    named = [(old[name], new[name]) for name in old if name in new and _token(old[name], old) == _token(new[name], new)]
    ours, theirs = [_token(node, old) for node in before], [_token(node, new) for node in after]
    candidates = [_completed(before, after, named), _completed(before, after, _matching(before, after, ours, theirs))]
    return min(candidates, key=lambda pairs: _disagreements(before, after, pairs))


def _disagreements(before: Sequence[NodeRecord], after: Sequence[NodeRecord], pairs: Pairs) -> int:
    """Nodes without a partner, and pairs that are fed by nodes that are none."""
    names = {one.name: other.name for one, other in pairs}
    fed_otherwise = sum(
        [names.get(ref.name) for ref in refs(one)] != [ref.name for ref in refs(other)] for one, other in pairs
    )
    return fed_otherwise + len(before) + len(after) - 2 * len(pairs)


def _matching(
    before: Sequence[NodeRecord], after: Sequence[NodeRecord], ours: Sequence[Any], theirs: Sequence[Any]
) -> Pairs:
    blocks = SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks()
    return [(before[start + step], after[other + step]) for start, other, size in blocks for step in range(size)]


def _completed(before: Sequence[NodeRecord], after: Sequence[NodeRecord], pairs: Pairs) -> Pairs:
    """What is left over, by name and operation; then between paired neighbours, one for one where as many are left."""
    for same in (_same_name_and_target, _same_name, _same_op):
        left = _without(before, (one for one, _ in pairs))
        right = _without(after, (other for _, other in pairs))
        if same is _same_op and len(left) != len(right):
            break
        for node in left:
            partner = next((other for other in right if same(node, other)), None)
            if partner is not None:
                right.remove(partner)
                pairs.append((node, partner))
    order = {id(node): place for place, node in enumerate(before)}
    return sorted(pairs, key=lambda pair: order[id(pair[0])])


def _without(nodes: Sequence[NodeRecord], taken: Iterable[NodeRecord]) -> list[NodeRecord]:
    known = {id(node) for node in taken}
    return [node for node in nodes if id(node) not in known]


def _same_name_and_target(one: NodeRecord, other: NodeRecord) -> bool:
    return one.name == other.name and one.op == other.op and (one.target == other.target or one.op != "call_function")


def _same_name(one: NodeRecord, other: NodeRecord) -> bool:
    return one.name == other.name and one.op == other.op


def _same_op(one: NodeRecord, other: NodeRecord) -> bool:
    return one.op == other.op and (one.target == other.target or one.op in ("placeholder", "output"))


def _token(node: NodeRecord, nodes: Mapping[str, NodeRecord]) -> Any:
    """What a node does, whatever it is called: target, plain arguments, which operations feed it, and where it is from."""

    def shown(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(shown, value))
        if isinstance(value, NodeRef):
            source = nodes.get(value.name)
            return ("node", "" if source is None else source.target if source.op == "call_function" else source.op)
        return str(value)

    target = node.target if node.op == "call_function" else node.op
    if node.op == "placeholder":
        return (target, node.name)
    arguments = shown(node.args) if node.op != "output" else ()
    return (target, arguments, shown(tuple(node.kwargs.values())), node.meta.get("stack_trace"))


def is_operation(node: NodeRecord) -> bool:
    """Whether a node belongs to the op sequence: ``sym_size`` is merged at will, and what only asserts is worded anew."""
    return node.op == "call_function" and not node.target.startswith(("aten.sym_size", "aten.sym_stride"))


def _by_sequence(before: Sequence[NodeRecord], after: Sequence[NodeRecord]) -> Pairs:
    ours, theirs = [node for node in before if is_operation(node)], [node for node in after if is_operation(node)]
    operations = _matching(ours, theirs, list(map(_operation, ours)), list(map(_operation, theirs)))
    inputs = {node.name: node for node in after if node.op == "placeholder"}
    named = [(node, inputs[node.name]) for node in before if node.op == "placeholder" and node.name in inputs]
    return [*named, *operations]


def _operation(node: NodeRecord) -> str:
    """The operation; where it takes a result of another, which."""
    return node.target + (str(node.args[1:]) if node.target == "_operator.getitem" else "")


def _by_origin(before: ProgramRecord, after: ProgramRecord) -> Iterator[GraphPair]:
    """Per graph of the same path. A subgraph that was inlined has no partner, nor have its nodes."""
    for path, graph in after.graphs.items():
        if path in before.graphs:
            named = {node.name: node for node in before.graphs[path].nodes}
            pairs = [(named[node.origin], node) for node in graph.nodes if node.origin in named]
            calls = [(one, other) for one, other in pairs if one.op == other.op == "call_function"]
            kept = [(named[node.name], node) for node in graph.nodes if node.op == "placeholder" and node.name in named]
            yield GraphPair(before.graphs[path], graph, (*kept, *calls))


_PAIRINGS = {"names": _by_name, "sequence": _by_sequence}
