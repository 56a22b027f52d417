"""The pairing of the nodes of two programs, so that one inserted node is one difference and not a hundred."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from pytest_exportcheck.records import (
    Alignment,
    GraphPair,
    GraphRef,
    NodeRecord,
    NodeRef,
    Plain,
    ProgramRecord,
    Size,
)


def align(before: ProgramRecord, after: ProgramRecord, how: str) -> Alignment:
    """Pair the nodes of two programs.

    ``names``: by name, and where names shifted, by what the nodes do. ``sequence``: by the order of operations.
    ``origin``: every node after with the node that its ``from_node`` names. ``kept``: every node after with the node of
    the same name that does the same, or else by origin.
    """
    if how in ("origin", "kept"):
        return Alignment(tuple(_by_origin(before, after, kept=how == "kept")))
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
    """Return the nodes in the arguments of a node, with repetitions."""
    return [each for each in flat((*node.args, *node.kwargs.values())) if isinstance(each, NodeRef)]


def flat(values: Iterable[Any]) -> Iterator[Any]:
    """Yield the leaves of nested tuples."""
    for value in values:
        if isinstance(value, tuple):
            yield from flat(value)
        else:
            yield value


Pairs = list[tuple[NodeRecord, NodeRecord]]


def _by_name(before: Sequence[NodeRecord], after: Sequence[NodeRecord]) -> Pairs:
    """Pair by name where both have the same names. Else names may have shifted: pair by name, by what nodes do, in
    order, or by what they do on any line of code, whichever leaves fewest differences.
    """
    old, new = {node.name: node for node in before}, {node.name: node for node in after}
    if old.keys() == new.keys():
        return [(node, new[node.name]) for node in before]
    named = [(old[name], new[name]) for name in old if name in new and _token(old[name], old) == _token(new[name], new)]
    ours, theirs = [_token(node, old) for node in before], [_token(node, new) for node in after]
    candidates = [_completed(before, after, named), _completed(before, after, _matching(before, after, ours, theirs))]
    if all(_disagreements(before, after, pairs) for pairs in candidates):
        anywhere = [[_without_line(token) for token in tokens] for tokens in (ours, theirs)]
        candidates.append(_completed(before, after, _matching(before, after, *anywhere)))
    return min(candidates, key=lambda pairs: _disagreements(before, after, pairs))


def _without_line(token: Any) -> Any:
    """Return a token without the line of code, which moves when the file is edited. Inputs have none."""
    return token[:-1] if len(token) > 2 else token


def _disagreements(before: Sequence[NodeRecord], after: Sequence[NodeRecord], pairs: Pairs) -> int:
    """Return how many nodes have no partner, how many pairs do different things, and how many are fed by nodes that are
    not paired.
    """
    names = {one.name: other.name for one, other in pairs}
    fed_otherwise = sum(
        [names.get(ref.name) for ref in refs(one)] != [ref.name for ref in refs(other)] for one, other in pairs
    )
    differ = sum(one.target != other.target for one, other in pairs if one.op == "call_function")
    return differ + fed_otherwise + len(before) + len(after) - 2 * len(pairs)


def _matching(
    before: Sequence[NodeRecord], after: Sequence[NodeRecord], ours: Sequence[Any], theirs: Sequence[Any]
) -> Pairs:
    """Pair equal tokens in order. Equal beginnings and ends are paired first: a search among many equal tokens takes
    time quadratic in their number.
    """
    head = _common(ours, theirs)
    tail = _common(ours[head:][::-1], theirs[head:][::-1])
    left, right = len(ours) - tail, len(theirs) - tail
    blocks = SequenceMatcher(None, ours[head:left], theirs[head:right], autojunk=False).get_matching_blocks()
    found = [(head + start + step, head + other + step) for start, other, size in blocks for step in range(size)]
    places = [*((place, place) for place in range(head)), *found]
    places += [(left + place, right + place) for place in range(tail)]
    return [(before[one], after[other]) for one, other in places]


def _common(ours: Sequence[Any], theirs: Sequence[Any]) -> int:
    """Return how many tokens two sequences begin with in common."""
    return next(
        (n for n, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one != other),
        min(len(ours), len(theirs)),
    )


def _completed(before: Sequence[NodeRecord], after: Sequence[NodeRecord], pairs: Pairs) -> Pairs:
    """Add pairs of the remaining nodes: by name and operation; then between paired neighbours, one for one where as
    many are left.
    """
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
    """Return a token of what a node does, independent of its name: target, plain arguments, the operations that feed
    it, and its origin.
    """

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


def is_number(val: Any) -> bool:
    """Return True if a node with this val yields a number, symbolic or not, or a tuple of numbers."""
    if isinstance(val, tuple):
        return bool(val) and all(map(is_number, val))
    return isinstance(val, (int, Size)) or (isinstance(val, Plain) and val.type == "float")


def size_nodes(nodes: Iterable[NodeRecord]) -> frozenset[str]:
    """Return the names of the nodes that compute sizes: numbers that follow from numbers, or from the shape of a
    tensor.

    A number that a node reads from the data of a tensor (``item``) is the result of an operation.
    """
    numbers: set[str] = set()
    sizes: set[str] = set()
    for node in nodes:
        if node.op == "call_function" and (
            "size_query" in node.facts or (is_number(node.val) and all(ref.name in numbers for ref in refs(node)))
        ):
            sizes.add(node.name)
        if is_number(node.val):
            numbers.add(node.name)
    return frozenset(sizes)


def is_assertion(node: NodeRecord) -> bool:
    """Return True if a node asserts a fact about a number: a capture writes assertions again from its knowledge of
    symbols.
    """
    return "assertion" in node.facts


def operations(nodes: Iterable[NodeRecord]) -> list[NodeRecord]:
    """Return the op sequence: calls without sizes, which may be computed in another way, more often or not at all, and
    without assertions.
    """
    nodes = list(nodes)
    sizes = size_nodes(nodes)
    return [node for node in nodes if node.op == "call_function" and node.name not in sizes and not is_assertion(node)]


def _by_sequence(before: Sequence[NodeRecord], after: Sequence[NodeRecord]) -> Pairs:
    ours, theirs = operations(before), operations(after)
    old, new = {node.name: node for node in before}, {node.name: node for node in after}
    paired = _matching(
        ours, theirs, [_operation(node, old) for node in ours], [_operation(node, new) for node in theirs]
    )
    inputs = {node.name: node for node in after if node.op == "placeholder"}
    named = [(node, inputs[node.name]) for node in before if node.op == "placeholder" and node.name in inputs]
    return [*named, *paired, *_fetched_elsewhere(ours, theirs, paired, old, new)]


def _fetched_elsewhere(
    ours: Sequence[NodeRecord],
    theirs: Sequence[NodeRecord],
    paired: Pairs,
    old: Mapping[str, NodeRecord],
    new: Mapping[str, NodeRecord],
) -> Pairs:
    """Pair the fetches of the same value that come in another order, which has no meaning; other nodes stay
    unpaired.
    """
    names = {one.name: other.name for one, other in paired}
    left = [node for node in _without(theirs, (other for _, other in paired)) if "fetch" in node.facts]
    found: Pairs = []
    for node in _without(ours, (one for one, _ in paired)):
        if "fetch" not in node.facts:
            continue
        token, sources = _operation(node, old), [names.get(ref.name, ref.name) for ref in refs(node)]
        same = (each for each in left if _operation(each, new) == token and [ref.name for ref in refs(each)] == sources)
        partner = next(same, None)
        if partner is not None:
            left.remove(partner)
            names[node.name] = partner.name
            found.append((node, partner))
    return found


def _operation(node: NodeRecord, nodes: Mapping[str, NodeRecord]) -> str:
    """Name the operation, and for a fetch the value that it fetches."""
    if "fetch" not in node.facts:
        return node.target
    source = nodes.get(refs(node)[0].name) if refs(node) else None
    fetched = _operation(source, nodes) if source is not None and "fetch" in source.facts else ""
    return f"{node.target}{node.args[1:]}{fetched}"


def _by_origin(before: ProgramRecord, after: ProgramRecord, *, kept: bool) -> Iterator[GraphPair]:
    """Pair nodes by origin, per graph of the same path. A subgraph that was inlined has no partner, and neither have
    its nodes.
    """
    for path, graph in after.graphs.items():
        if path in before.graphs:
            named = {node.name: node for node in before.graphs[path].nodes}
            pairs = [(_source_of(node, named, kept=kept), node) for node in graph.nodes]
            calls = [(one, other) for one, other in pairs if one is not None and one.op == other.op == "call_function"]
            inputs = [
                (named[node.name], node) for node in graph.nodes if node.op == "placeholder" and node.name in named
            ]
            yield GraphPair(before.graphs[path], graph, (*inputs, *calls))


def _source_of(node: NodeRecord, named: Mapping[str, NodeRecord], *, kept: bool) -> NodeRecord | None:
    """Return the node before that a node was made from. A node of the same name that does the same is the source,
    unless the edge recorded another: names shift where the edge made nodes again.
    """
    source = named.get(node.origin)
    same = named.get(node.name) if kept else None
    if same is None or same.target != node.target:
        return source
    return same if source is None or node.origin == same.origin else source


_PAIRINGS = {"names": _by_name, "sequence": _by_sequence}
