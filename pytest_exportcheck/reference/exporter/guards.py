"""Guards: the conditions on symbols that the trace found, compared with the declaration and solved, or refused with
what to write instead.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import sympy
import torch
from torch.export import Dim

from pytest_exportcheck.reference._torch.sizes import (
    ConstraintViolationError,
    DimHint,
    DimHintType,
    PythonPrinter,
    ShapeEnv,
    ValueRangeError,
    ValueRanges,
    free_unbacked_symbols,
    int_oo,
)
from pytest_exportcheck.reference.exporter.dynamic_shapes import Declared
from pytest_exportcheck.reference.exporter.errors import ConstraintViolation, InvalidInput
from pytest_exportcheck.reference.exporter.fake_inputs import FakeInputs
from pytest_exportcheck.reference.exporter.inputs import Example, Leaf
from pytest_exportcheck.reference.exporter.shape_env import WatchedShapeEnv, misjudged

#: A message shows at most this many lines of the model, and of each line at most this many conditions.
_LINES, _CONDITIONS = 5, 4


def solve(module: torch.nn.Module, fakes: FakeInputs, dynamic_shapes: Any) -> None:
    """Check the guards against the declarations.

    Raises
    ------
    ConstraintViolation
        Where the module restricts a size more than was declared: which, and what to declare instead.
    """
    env = fakes.symbolic.env
    tracked = env.tracked_fakes or []
    violation: Exception | None = None
    try:
        env.produce_guards(
            [each.fake for each in tracked],
            [each.source for each in tracked],
            input_contexts=[each.symbolic_context for each in tracked],
            equalities_inputs=fakes.equalities,
            ignore_static=False,
        )
    except (ConstraintViolationError, ValueRangeError) as error:
        violation = error
    env.frozen = True
    dims = env.dim_constraints
    if dims is None:
        if violation is not None:
            raise ConstraintViolation(str(violation)) from None
        return
    dims.solve()
    forced = dims.forced_specializations()
    if violation is None and not forced:
        return
    fixes = dims.prettify_results(inspect.signature(module.forward), dynamic_shapes, violation, forced)
    text, end, suggested = f"{violation or ''}{fixes}".partition("\nSuggested fixes:")
    raise ConstraintViolation(f"{text}{_lines(env, str(violation or fixes))}{end}{suggested}") from None


def _lines(env: WatchedShapeEnv, message: str) -> str:
    """Describe where the model restricts the dims that a message names: the lines, each with its conditions."""
    dims: dict[Any, sympy.Symbol] = {}
    for symbol, sources in env.var_to_sources.items():
        for name in (env.source_name_to_debug_name.get(each.name, each.name) for each in sources):
            if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", message):
                dims.setdefault(symbol, sympy.Symbol(name, integer=True))
    asked: dict[str, list[str]] = {}
    for branch in env.branches:
        if branch.condition.free_symbols & dims.keys():
            condition = branch.condition if branch.taken else sympy.Not(branch.condition)
            text = PythonPrinter().doprint(condition.xreplace(dims))
            asked.setdefault(branch.place, []).append(text)
    shown = [f"  {place}\n    requires {_first(list(dict.fromkeys(texts)))}" for place, texts in asked.items()]
    return "\n".join(["", "The lines of the model that require it:", *shown[:_LINES]]) if shown else ""


def _first(conditions: list[str]) -> str:
    more = len(conditions) - _CONDITIONS
    return ", ".join(conditions[:_CONDITIONS]) + (f" and {more} more" if more > 0 else "")


def ranges(fakes: FakeInputs, example: Example, declared: list[Declared]) -> dict[Any, ValueRanges[Any]]:
    """Return the range of every symbol, and of every expression that is an input's size: as declared, narrowed by what
    the trace requires.

    Raises
    ------
    InvalidInput
        Where a hint and what the trace found exclude each other.
    """
    env = fakes.symbolic.env
    found: dict[Any, ValueRanges[Any]] = {
        symbol: bounds
        for symbol, bounds in env.var_to_range.items()
        if free_unbacked_symbols(symbol) and symbol not in env.unbacked_renamings
    }
    symbols: set[sympy.Symbol] = set()
    for leaf, value, said in zip(example.leaves, fakes.values, declared, strict=True):
        for text, size, dim, hint in _sizes(leaf, value, said):
            _check_hint(env, text, size, dim, hint)
            if not isinstance(size, torch.SymInt) or size.node.expr.is_number or free_unbacked_symbols(size):
                continue  # the symbols of a specification have their ranges already
            expression = size.node.expr
            bounds = ValueRanges(dim.min, dim.max) if isinstance(dim, Dim) else env.bound_sympy(expression)
            if isinstance(dim, DimHint):
                bounds &= _hinted(dim)
                if isinstance(expression, sympy.Symbol):
                    env.var_to_range[expression] &= _hinted(dim)
            found[expression] = found.get(expression, ValueRanges(0, int_oo)) & bounds
            symbols |= expression.free_symbols
    for symbol in sorted(symbols - found.keys(), key=str):
        found[symbol] = env.var_to_range[symbol]
    return found


def _sizes(leaf: Leaf, value: Any, said: Any) -> list[tuple[str, Any, Any, int]]:
    if isinstance(value, torch.Tensor):
        return [
            (f"{leaf.text}.shape[{number}]", size, said.get(number), leaf.value.shape[number])
            for number, size in enumerate(value.shape)
        ]
    return [(leaf.text, value, said, leaf.value)] if isinstance(value, torch.SymInt) else []


def _hinted(dim: Any) -> ValueRanges[Any]:
    return ValueRanges(0 if dim.min is None else dim.min, int_oo if dim.max is None else dim.max)


def _check_hint(env: ShapeEnv, text: str, size: Any, dim: Any, hint: int) -> None:
    if not isinstance(dim, DimHint) or dim.type is DimHintType.STATIC:
        return
    symbolic = isinstance(size, torch.SymInt) and not size.node.expr.is_number
    bounds = env.bound_sympy(size.node.expr) if symbolic else ValueRanges(int(size), int(size))
    conflict = "Found the following conflicts between user-specified ranges and inferred ranges from model tracing: Received user-specified"
    try:
        both = bounds & _hinted(dim)
    except ValueRangeError:
        raise InvalidInput(
            f"{conflict} min/max range of [{dim.min}, {dim.max}], conflicting with the inferred min/max range of "
            f"[{bounds.lower}, {bounds.upper}], for {text}. Declare a range that the model accepts."
        ) from None
    if dim.type is DimHintType.DYNAMIC and both.is_singleton():
        why = (
            f"export 0/1 specialized due to hint of {hint} for dimension {text}. Pass an example of size 2 or more"
            if hint in (0, 1)
            else f"tracing inferred a static shape of {both.lower} for dimension {text}. Change the model"
        )
        raise InvalidInput(
            f"{conflict} dim hint Dim.DYNAMIC(min={dim.min}, max={dim.max}), but {why}, or declare Dim.AUTO."
        )


def guards(fakes: FakeInputs, example: Example, declared: list[Declared]) -> list[str]:
    """Return the conditions on a call that torch leaves out of a program's checks: lower ends of 1 and 2, and sizes 0
    and 1 at which the model takes another branch, where nothing was declared of them.

    Raises
    ------
    ConstraintViolation
        Where a declared range has such a size: on which line the model branches, and what to declare instead.
    """
    env = fakes.symbolic.env
    found = []
    for leaf, value, said in zip(example.leaves, fakes.values, declared, strict=True):
        for number, size in enumerate(value.shape) if isinstance(value, torch.Tensor) else ():
            dim = said.get(number)
            text = f"{leaf.source.name}.size()[{number}]"
            if isinstance(dim, Dim) and dim.min in (1, 2):
                found.append(f"{text} >= {dim.min}")
            if isinstance(size, torch.SymInt) and size.node.expr.is_Symbol and not free_unbacked_symbols(size):
                found += [f"{text} != {small}" for small in _otherwise(env, leaf, number, size.node.expr, dim)]
    return found


def _otherwise(env: Any, leaf: Leaf, number: int, symbol: Any, dim: Any) -> Iterator[int]:
    """Yield the sizes 0 and 1 at which the model takes another branch than at those it was traced with: torch assumes
    that symbols are neither.
    """
    for small in (0, 1):
        branch = misjudged(env.branches, symbol, small)
        if branch is None or (isinstance(dim, Dim) and not dim.min <= small <= dim.max):
            continue
        if isinstance(dim, Dim) and dim.min > 0:
            raise ConstraintViolation(
                f"{leaf.text}.shape[{number}] was declared as {dim!r}, but the model takes another branch at size {small}:\n"
                f"  {branch.place}\n"
                f"A program holds only one branch. Declare Dim({dim.__name__!r}, min={small + 1}), or export the model for that size separately."
            )
        yield small
