"""Nodes: op, target, arguments and subgraphs, in pairs of nodes before and after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from pytest_exportcheck.checks.at_node import at_node
from pytest_exportcheck.checks.compare.alignment import operations, refs
from pytest_exportcheck.checks.compare.rendering import argument_text, node_text, side_by_side
from pytest_exportcheck.checks.compare.symbolic_sizes import same_size
from pytest_exportcheck.checks.size_graphs import SizeGraph
from pytest_exportcheck.checks.size_values import SizeComparison
from pytest_exportcheck.records import (
    Alignment,
    Cause,
    Evidence,
    Finding,
    GraphPair,
    GraphRecord,
    GraphRef,
    Interval,
    NodeRecord,
    NodeRef,
    ProgramRecord,
    Size,
)
from pytest_exportcheck.records.levels import NodesLevel


def check(evidence: Evidence) -> list[Finding]:
    """Judge the nodes as strictly as the contract says."""
    program, level = evidence.after.program, evidence.contract["nodes"]
    if program is None:
        return []
    if level == "sane":
        return list(_sane(program))
    if evidence.before.program is None or evidence.alignment is None:
        return []
    return list(_LEVELS[level](evidence.alignment, evidence.before.program, program))


_FINDING = Finding.of("nodes")


# --- a program without one before -----------------------------------------------------------


def _sane(program: ProgramRecord) -> Iterator[Finding]:
    """Yield findings where a value is used before it is made, names are not unique, placeholders are not first, or a
    graph does not end in one output.
    """
    for graph in program.graphs.values():
        seen: set[str] = set()
        operations_began = False
        for node in graph.nodes:
            for ref in refs(node):
                if ref.name not in seen:
                    texts = f"{ref} defined before it is used", node_text(node)
                    yield at_node(_FINDING, graph, node, "undefined", "", *texts)
            if node.name in seen:
                yield at_node(
                    _FINDING, graph, node, "changed", "name", "a unique name", f"two nodes are called {node.name}"
                )
            if node.op in ("call_module", "call_method"):
                yield at_node(
                    _FINDING, graph, node, "changed", "op", "call_function, placeholder, get_attr or output", node.op
                )
            if node.op == "placeholder" and operations_began:
                yield at_node(
                    _FINDING, graph, node, "reordered", "", "placeholders first", "a placeholder after other nodes"
                )
            operations_began |= node.op != "placeholder"
            seen.add(node.name)
        if not graph.nodes or graph.nodes[-1].op != "output":
            yield _FINDING.at(graph.path or "the graph", "reordered", "", "output last", "another node last")


# --- equal ----------------------------------------------------------------------------------


def _equal(alignment: Alignment, before: ProgramRecord) -> Iterator[Finding]:
    for path in alignment.dropped:
        if _is_judged(path, alignment):
            yield _FINDING.at(path, "dropped", "subgraph", "a subgraph", "none")
    for pair in alignment.graphs:
        names = {one.name: other.name for one, other in pair.nodes}
        yield from _unpaired(pair.before, pair.dropped, "dropped")
        yield from _unpaired(pair.after, pair.added, "added")
        yield from _renamed(pair)
        yield from _reordered(pair)
        gone = {node.name for node in pair.dropped}
        for one, other in pair.nodes:
            yield from _node(pair, one, other, names, gone, before)


def _is_judged(path: str, alignment: Alignment) -> bool:
    """Return whether a subgraph is judged: that of a dropped node needs no separate finding."""
    dropped = [graph.before.place(node) for graph in alignment.graphs for node in graph.dropped]
    return not any(path.startswith(f"{place}[") for place in dropped)


def _renamed(pair: GraphPair) -> Iterator[Finding]:
    """Yield one finding for all names that shifted: it names the first, and its detail says how many."""
    changed = [(one, other) for one, other in pair.nodes if one.name != other.name]
    if changed:
        one, other = changed[0]
        detail = f"and {len(changed) - 1} more nodes after it" if len(changed) > 1 else ""
        yield at_node(_FINDING, pair.before, one, "changed", "name", one.name, other.name, detail)


def _reordered(pair: GraphPair) -> Iterator[Finding]:
    """Yield findings for reordered operations; independent ones may trade places, dependent ones must keep their
    order.
    """
    position = {id(node): place for place, node in enumerate(pair.after.nodes)}
    places = [(position[id(other)], one) for one, other in pair.nodes]
    moved = [one for (here, one), (there, _) in pairwise(places) if there < here]
    if moved:
        detail = f"and {len(moved) - 1} more" if len(moved) > 1 else ""
        yield at_node(_FINDING, pair.before, moved[0], "reordered", "", "before the next operation", "after it", detail)


def _node(
    pair: GraphPair,
    one: NodeRecord,
    other: NodeRecord,
    names: Mapping[str, str],
    gone: set[str],
    before: ProgramRecord,
) -> Iterator[Finding]:
    graph = pair.before
    if one.op != other.op:
        yield at_node(_FINDING, graph, one, "changed", "op", one.op, other.op)
        return
    if one.op == "call_function" and one.target != other.target:
        yield at_node(_FINDING, graph, one, "changed", "target", node_text(one), node_text(other))
        return
    if any(ref.name in gone for ref in refs(one)):
        return  # it lost an argument because a node is gone, which is another finding
    ranges = before.constraints.ranges
    for place, (expected, actual) in _arguments(one, other).items():
        if not _same_argument(expected, actual, names, ranges):
            left, right = side_by_side(_shown(expected), _shown(actual))
            key = "kwargs" if isinstance(place, str) else "args"
            which = f"argument {place}" if isinstance(place, str) else f"argument {place + 1}"
            yield at_node(
                _FINDING, graph, one, "changed", key, f"{which}: {left}", f"{which}: {right}", f"of {node_text(one)}"
            )


_NOTHING = object()


def _arguments(one: NodeRecord, other: NodeRecord) -> dict[Any, tuple[Any, Any]]:
    """Return each argument (position or keyword) as it is before and after."""
    count = max(len(one.args), len(other.args))
    pairs: dict[Any, tuple[Any, Any]] = {
        place: (_at(one.args, place), _at(other.args, place)) for place in range(count)
    }
    for key in dict.fromkeys((*one.kwargs, *other.kwargs)):
        pairs[key] = (one.kwargs.get(key, _NOTHING), other.kwargs.get(key, _NOTHING))
    return pairs


def _at(args: tuple[Any, ...], place: int) -> Any:
    return args[place] if place < len(args) else _NOTHING


def _shown(value: Any) -> str:
    return "not given" if value is _NOTHING else argument_text(value)


def _same_argument(one: Any, other: Any, names: Mapping[str, str], ranges: Any) -> bool:
    if isinstance(one, NodeRef):
        return isinstance(other, NodeRef) and names.get(one.name) == other.name
    if isinstance(one, GraphRef):
        return isinstance(other, GraphRef)  # its content is compared node by node
    if isinstance(one, tuple):
        return (
            isinstance(other, tuple)
            and len(one) == len(other)
            and all(_same_argument(left, right, names, ranges) for left, right in zip(one, other, strict=True))
        )
    if isinstance(one, Size) and isinstance(other, Size):
        return same_size(one, other, ranges)
    if isinstance(one, str) and isinstance(other, str):
        return one == other or _renamed_text(one, names) == other
    return type(one) is type(other) and bool(one == other)


def _renamed_text(text: str, names: Mapping[str, str]) -> str:
    """Return the text with the node's name replaced: messages of assertions quote it."""
    head, quote, tail = text.rpartition("on node '")
    name = tail.removesuffix("'")
    return f"{head}{quote}{names.get(name, name)}'" if quote else text


# --- the same operations in the same order --------------------------------------------------


def _sequence(alignment: Alignment, before: ProgramRecord, after: ProgramRecord) -> Iterator[Finding]:
    writes_back = any(spec.kind.endswith("_MUTATION") for spec in before.signature.outputs)
    sizes = SizeComparison(alignment, before, after)
    buffers = frozenset(spec.name for spec in before.signature.inputs if spec.kind == "BUFFER")
    for pair in alignment.graphs:
        ours, theirs = SizeGraph.of(pair.before), SizeGraph.of(pair.after)
        unpaired = {id(node) for node in (*pair.dropped, *pair.added)}
        dropped = [node for node in operations(pair.before.nodes) if id(node) in unpaired]
        added = [
            node
            for node in operations(pair.after.nodes)
            if id(node) in unpaired and not (writes_back and "copy" in node.facts)
        ]
        moved = _traded_places(dropped, added)
        yield from _unpaired(pair.before, [*dropped, *sizes.dropped(pair, ours, theirs)], "dropped")
        yield from _unpaired(pair.after, [*added, *sizes.added(pair, ours, theirs)], "added")
        if moved:
            detail = f"and {len(moved) - 1} more" if len(moved) > 1 else ""
            yield at_node(
                _FINDING,
                pair.before,
                moved[0],
                "reordered",
                "",
                f"{moved[0].target} here",
                "elsewhere in the order",
                detail,
            )
        known = _Known(
            {one.name: other.name for one, other in pair.nodes}, before.constraints.ranges, sizes, ours, theirs, buffers
        )
        for one, other in pair.nodes:
            if one.op == "call_function":
                yield from _same_constants(pair, one, other, known)


@dataclass(frozen=True, eq=False)
class _Known:
    """Context for the comparison of arguments: the names of paired nodes, the sizes of both graphs, and the
    placeholders before that are buffers.
    """

    names: Mapping[str, str]
    ranges: Mapping[str, Interval]
    sizes: SizeComparison
    ours: SizeGraph
    theirs: SizeGraph
    buffers: frozenset[str]

    def region_results(self, place: Any, node: NodeRecord, one: Any, other: Any) -> Iterator[Cause]:
        """Name the region whose result is written to, where a buffer was."""
        if (
            not {"copy", "mutates"} <= node.facts
            or place != 0
            or not isinstance(one, NodeRef)
            or one.name not in self.buffers
        ):
            return
        result = self.theirs.nodes.get(other.name) if isinstance(other, NodeRef) else None
        source = self.theirs.nodes.get(refs(result)[0].name) if result is not None and refs(result) else None
        if result is not None and "getitem" in result.facts and source is not None:
            yield Cause("buffer_is_region_result", source.target)


def _traded_places(dropped: list[NodeRecord], added: list[NodeRecord]) -> list[NodeRecord]:
    """Return the operations that are elsewhere in the order, and remove them from both lists. A fetch of another value
    is not moved.
    """
    moved = []
    for node in (each for each in list(dropped) if "fetch" not in each.facts):
        partner = next((other for other in added if other.target == node.target), None)
        if partner is not None:
            added.remove(partner)
            dropped.remove(node)
            moved.append(node)
    return moved


def _unpaired(graph: GraphRecord, nodes: Sequence[NodeRecord], fate: Literal["dropped", "added"]) -> Iterator[Finding]:
    used = {ref.name for node in graph.nodes for ref in refs(node)}
    for node in nodes:
        unused = "getitem" in node.facts and node.name not in used
        texts = (node_text(node), "no such node")
        expected, actual = texts if fate == "dropped" else texts[::-1]
        yield at_node(_FINDING, graph, node, fate, "unused_result" if unused else "", expected, actual)


def _same_constants(pair: GraphPair, one: NodeRecord, other: NodeRecord, known: _Known) -> Iterator[Finding]:
    """Compare the paired operations, sizes and plain arguments that two nodes take. A retrace may fill in default
    arguments.
    """
    for place, (expected, actual) in _arguments(one, other).items():
        if expected is _NOTHING or actual is _NOTHING:
            continue
        if not _same_where_known(expected, actual, known) and not _same_operands(one, expected, actual, known):
            left, right = side_by_side(_shown(expected), _shown(actual))
            which = f"argument {place}" if isinstance(place, str) else f"argument {place + 1}"
            texts = f"{which}: {left}", f"{which}: {right}", f"of {node_text(one)}"
            causes = tuple(known.region_results(place, one, expected, actual))
            yield at_node(_FINDING, pair.before, one, "changed", "args", *texts, causes=causes)


def _same_operands(node: NodeRecord, one: Any, other: Any, known: _Known) -> bool:
    """Compare the operands of the subgraphs of a higher-order operator, in any order: a capture lifts their free
    variables in the order in which it meets them, and orders the placeholders of the subgraphs alike.
    """
    if (
        not any(isinstance(each, GraphRef) for each in node.args)
        or not isinstance(one, tuple)
        or not isinstance(other, tuple)
    ):
        return False
    if not all(isinstance(each, NodeRef) for each in (*one, *other)):
        return False
    ours = sorted(known.names.get(each.name, "") for each in one)
    return "" not in ours and ours == sorted(each.name for each in other)


def _same_where_known(one: Any, other: Any, known: _Known) -> bool:
    """Compare two arguments as far as both are paired operations, sizes or plain data of one kind."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) != len(other) or all(
            _same_where_known(left, right, known) for left, right in zip(one, other, strict=True)
        )
    if isinstance(one, NodeRef) and isinstance(other, NodeRef) and known.names.get(one.name) == other.name:
        return True
    if _is_size(one, known.ours) and _is_size(other, known.theirs) and not _are_plain(one, other):
        same = known.sizes.same(one, known.ours, other, known.theirs)
        if same is not None:
            return same
    if isinstance(one, NodeRef) and isinstance(other, NodeRef):
        return one.name not in known.names or other.name not in known.names.values()
    if isinstance(one, str) and isinstance(other, str) and " on node '" in one:
        return True  # the message of an assertion, in other words
    if type(one) is not type(other) or isinstance(one, Size):
        return True  # a symbolic size where a node or a number was
    return _same_argument(one, other, known.names, known.ranges)


def _is_size(argument: Any, graph: SizeGraph) -> bool:
    """Return True for a number that can be compared with a computed one: not ``-1`` for a size that is left open, and
    not the largest integer for an end that is left open.
    """
    if isinstance(argument, int):
        return not isinstance(argument, bool) and 0 <= argument < _OPEN
    return graph.is_number(argument)


_OPEN = 2**62


def _are_plain(one: Any, other: Any) -> bool:
    return not any(isinstance(each, (NodeRef, Size)) for each in (one, other))


_LEVELS: Mapping[NodesLevel, Callable[[Alignment, ProgramRecord, ProgramRecord], Iterator[Finding]]] = {
    "equal": lambda alignment, before, _: _equal(alignment, before),
    "sequence": _sequence,
}
