"""The evaluation of the sizes that the nodes of a graph compute, at given values of their symbols."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pytest_exportcheck.checks.compare.alignment import flat, is_assertion, is_number, refs, size_nodes
from pytest_exportcheck.checks.compare.symbolic_sizes import number_at
from pytest_exportcheck.records import GraphRecord, NodeRecord, NodeRef, Plain, Size, TensorValue
from pytest_exportcheck.records.programs import OperatorFact

Number: TypeAlias = int | float
Values: TypeAlias = Mapping[str, Number]


@dataclass(frozen=True, eq=False)
class SizeGraph:
    """Nodes of a graph by name, and the names of those that compute sizes."""

    nodes: Mapping[str, NodeRecord]
    computed: frozenset[str]

    @staticmethod
    def of(graph: GraphRecord) -> SizeGraph:
        """Collect the nodes of a graph, and those that compute sizes."""
        return SizeGraph({node.name: node for node in graph.nodes}, size_nodes(graph.nodes))

    def is_number(self, argument: Any) -> bool:
        """Return True if an argument of a node is a number, or a node that yields one."""
        if isinstance(argument, NodeRef):
            node = self.nodes.get(argument.name)
            return node is not None and is_number(node.val) and not isinstance(node.val, tuple)
        return is_number(argument) and not isinstance(argument, tuple)

    def number(self, argument: Any, values: Values) -> Number | None:
        """Return the number of an argument; None where a symbol has no value or an operation is not known."""
        if isinstance(argument, NodeRef):
            node = self.nodes.get(argument.name)
            return None if node is None else self._yielded(node, values)
        if isinstance(argument, Plain):
            return float(argument.text) if argument.type == "float" else None
        return number_at(argument, values) if isinstance(argument, (int, Size)) else None

    def _yielded(self, node: NodeRecord, values: Values) -> Number | None:
        """Compute the number from the arguments of the node if the target is known, else read its val."""
        compute = _ARITHMETIC.get(node.target)
        if node.name not in self.computed or (compute is None and not node.facts & _QUERIES.keys()):
            return self.number(node.val, values)
        if compute is None:
            queried = self._queried(node)
            return self.number(node.val if queried is None else queried, values)
        given = [self.number(each, values) for each in flat(node.args)]
        if any(each is None for each in given):
            return None
        try:
            result: Number = compute(*given)
        except (ArithmeticError, TypeError, ValueError):
            return None
        return result

    def _queried(self, node: NodeRecord) -> int | Size | None:
        """Read the requested size from the val of the tensor."""
        source = self.nodes.get(refs(node)[0].name) if refs(node) else None
        read = next(_QUERIES[fact] for fact in node.facts if fact in _QUERIES)
        sizes = read(source.val) if source and isinstance(source.val, TensorValue) else None
        dim = node.args[1] if len(node.args) > 1 else None
        if sizes is None or not isinstance(dim, int) or not -len(sizes) <= dim < len(sizes):
            return None
        return sizes[dim]

    def leaves(self, argument: Any) -> Iterator[Any]:
        """Yield the numbers, symbolic or not, that an argument is computed from."""
        if not isinstance(argument, NodeRef):
            yield argument
            return
        node = self.nodes.get(argument.name)
        if node is None:
            return
        if node.name in self.computed and node.target in _ARITHMETIC:
            for each in flat(node.args):
                yield from self.leaves(each)
        else:
            yield node.val

    def leaves_of(self, record: GraphRecord) -> Iterator[Size]:
        """Yield the symbolic numbers that the nodes of the graph take."""
        for node in record.nodes:
            for ref in refs(node):
                yield from (each for each in self.leaves(ref) if isinstance(each, Size))

    def symbols(self, argument: Any) -> frozenset[str]:
        """Return the names of the symbols that an argument depends on."""
        sizes = (each for each in self.leaves(argument) if isinstance(each, Size))
        return frozenset(str(symbol) for each in sizes for symbol in each.expr.free_symbols)

    def constants(self, argument: Any) -> frozenset[int]:
        """Return the integers that an argument is computed with."""
        found: set[int] = set()
        for each in self.leaves(argument):
            if isinstance(each, int):
                found.add(int(each))
            elif isinstance(each, Size):
                found.update(int(atom) for atom in each.expr.atoms() if atom.is_Integer)
        return frozenset(found)


@dataclass(frozen=True, eq=False)
class Condition:
    """An assertion on a number: the node, and the bounds of the number if the node has any."""

    node: NodeRecord
    graph: SizeGraph
    number: Any
    lower: Any = None
    upper: Any = None

    @property
    def symbols(self) -> frozenset[str]:
        """Return the symbols that the number depends on."""
        return self.graph.symbols(self.number)

    @property
    def constants(self) -> frozenset[int]:
        """Return the integers that the number is computed with."""
        bounds = {bound for bound in (self.lower, self.upper) if isinstance(bound, int)}
        return self.graph.constants(self.number) | bounds

    def holds(self, values: Values) -> bool | None:
        """Evaluate the condition; None if its number is not known."""
        number = self.graph.number(self.number, values)
        if number is None:
            return None
        if self.lower is None and self.upper is None:
            return bool(number) or "bounds" in self.node.facts
        return (self.lower is None or number >= self.lower) and (self.upper is None or number <= self.upper)


def conditions(record: GraphRecord, graph: SizeGraph) -> list[Condition]:
    """Return the assertions on numbers in a graph."""
    return [_condition(node, graph) for node in record.nodes if is_assertion(node) and node.args]


def _condition(node: NodeRecord, graph: SizeGraph) -> Condition:
    if "bounds" not in node.facts:
        return Condition(node, graph, node.args[0])
    number, lower, upper = (*node.args, None, None)[:3]
    lower, upper = node.kwargs.get("min", lower), node.kwargs.get("max", upper)
    return Condition(node, graph, number, *(each if isinstance(each, int) else None for each in (lower, upper)))


_QUERIES: Mapping[OperatorFact, Callable[[TensorValue], tuple[int | Size, ...] | None]] = {
    "shape_query": lambda tensor: tensor.shape,
    "stride_query": lambda tensor: tensor.stride,
}

_ARITHMETIC: Mapping[str, Callable[..., Any]] = {
    **{
        f"_operator.{name}": getattr(operator, name)
        for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "neg", "pos", "abs", "pow")
    },
    **{f"_operator.{name}": getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge", "and_", "or_")},
    **{f"math.{name}": getattr(math, name) for name in ("ceil", "floor", "trunc", "sqrt")},
    "torch.sym_float": float,
    "torch.sym_int": math.trunc,
    "torch.sym_max": max,
    "torch.sym_min": min,
    "torch.sym_not": operator.not_,
    "torch.sym_sum": lambda *numbers: sum(numbers),
    "torch.sym_ite": lambda choice, one, other: one if choice else other,
}
