"""The facts of a captured program about sizes: symbolic shapes of its inputs, ranges and guards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sympy
import torch

from pytest_exportcheck.describe import guard_conditions, input_places, interval_of
from pytest_exportcheck.fuzz.boundary_values import condition_constants, program_constants
from pytest_exportcheck.fuzz.size_facts import ANY, Dim, Facts, name_of, root_symbol
from pytest_exportcheck.records import Interval


@dataclass(frozen=True)
class Captured:
    """The facts of a program about sizes, and the numbers in it that may mean one. Holds no reference to the
    program.
    """

    facts: Facts
    constants: tuple[int, ...] = ()

    @staticmethod
    def of(program: torch.export.ExportedProgram) -> Captured:
        """Read a program."""
        facts = captured_facts(program)
        numbers = {*condition_constants(facts.conditions), *program_constants(program)}
        return Captured(facts, tuple(sorted(numbers)))


def captured_facts(program: torch.export.ExportedProgram) -> Facts:
    """Return the facts that capture made of the shapes. A symbol that is the whole size of a dim is named after the
    first such dim.
    """
    shapes = dict(_shapes(program))
    names = _names(shapes)
    dims: dict[Dim, Any] = {}
    for place, shape in shapes.items():
        for number, size in enumerate(shape):
            dims[place, number] = _renamed(size, names)
    roots = {str(symbol): ANY for expr in dims.values() for symbol in expr.free_symbols}
    conditions: list[Any] = []
    for expr, bounds in program.range_constraints.items():
        interval, own = interval_of(bounds), _renamed(expr, names)
        if own.is_Symbol and str(own) in roots:
            roots[str(own)] = Interval(max(0, interval.lower or 0), interval.upper)
        elif {str(symbol) for symbol in own.free_symbols} <= set(roots):
            conditions += [sympy.Ge(own, interval.lower)] if interval.lower is not None else []
            conditions += [sympy.Le(own, interval.upper)] if interval.upper is not None else []
    conditions += guard_conditions(program, dims)
    return Facts(roots, dims, tuple(each for each in conditions if each is not sympy.true))


def _shapes(program: torch.export.ExportedProgram) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the place of every tensor input with its shape in the program, symbols included."""
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    spec = program.call_spec.in_spec
    inputs = list(program.graph_signature.user_inputs)
    if spec is None or spec.num_leaves != len(inputs):
        return
    for place, name in zip(input_places(program), inputs, strict=True):
        value = values.get(name) if isinstance(name, str) else None
        if isinstance(value, torch.Tensor):
            yield place, tuple(value.shape)


def _names(shapes: dict[str, tuple[Any, ...]]) -> dict[Any, Any]:
    """Map symbols to the symbols of their roots; a symbol that is not the whole size of any dim keeps its own name."""
    names: dict[Any, Any] = {}
    for place, shape in shapes.items():
        for number, size in enumerate(shape):
            expr = _expression(size)
            if expr.is_Symbol and expr not in names:
                names[expr] = root_symbol(name_of(place, number))
    return names


def _renamed(size: Any, names: dict[Any, Any]) -> Any:
    expr = _expression(size)
    return expr.xreplace({symbol: names.get(symbol, root_symbol(str(symbol))) for symbol in expr.free_symbols})


def _expression(size: Any) -> Any:
    return size.node.expr if isinstance(size, torch.SymInt) else sympy.sympify(size)
