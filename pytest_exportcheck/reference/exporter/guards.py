"""Guards: the conditions on symbols that the trace found, compared with the declaration and solved, or refused with
what to write instead.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sympy
import torch
from torch.export import Dim

from pytest_exportcheck.reference._torch import sizes
from pytest_exportcheck.reference.exporter.dynamic_shapes import Declared, is_dynamic
from pytest_exportcheck.reference.exporter.errors import ConstraintViolation, InvalidInput
from pytest_exportcheck.reference.exporter.fake_inputs import FakeInputs
from pytest_exportcheck.reference.exporter.inputs import Example
from pytest_exportcheck.reference.exporter.shape_env import WatchedShapeEnv, misjudged

#: A message shows at most this many lines of the model, and of each line at most this many conditions.
_LINES, _CONDITIONS = 5, 4
_CONFLICTS = (
    "Found the following conflicts between user-specified ranges and inferred ranges from model tracing: Received "
    "user-specified"
)


@dataclass(frozen=True)
class _Size:
    """A size of an input, or a number among the inputs. ``place`` is its name in guards, empty for a number; ``value``
    is its value while tracing.
    """

    text: str
    place: str
    example: int
    value: Any
    declared: Any

    @property
    def is_backed(self) -> bool:
        """Return True for a symbol of an input; those of a specification have their ranges already."""
        return not self.value.is_number and not sizes.free_unbacked_symbols(self.value)


def _sizes(fakes: FakeInputs, example: Example, declared: list[Declared]) -> Iterator[_Size]:
    for leaf, value, said in zip(example.leaves, fakes.values, declared, strict=True):
        if isinstance(value, torch.Tensor):
            for number, size in enumerate(value.shape):
                text, place = f"{leaf.text}.shape[{number}]", f"{leaf.source.name}.size()[{number}]"
                yield _Size(text, place, leaf.value.shape[number], sympy.sympify(size), said.get(number))
        elif isinstance(value, torch.SymInt):
            yield _Size(leaf.text, "", leaf.value, value.node.expr, said)


def solve(module: torch.nn.Module, fakes: FakeInputs, dynamic_shapes: Any) -> None:
    """Check the guards against the declarations. Refuse a module that restricts a size more than was declared: which, and
    what to declare instead.
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
    except (sizes.ConstraintViolationError, sizes.ValueRangeError) as error:
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
            text = sizes.PythonPrinter().doprint(condition.xreplace(dims))
            asked.setdefault(branch.place, []).append(text)
    shown = [f"  {place}\n    requires {_first(list(dict.fromkeys(texts)))}" for place, texts in asked.items()]
    return "\n".join(["", "The lines of the model that require it:", *shown[:_LINES]]) if shown else ""


def _first(conditions: list[str]) -> str:
    more = len(conditions) - _CONDITIONS
    return ", ".join(conditions[:_CONDITIONS]) + (f" and {more} more" if more > 0 else "")


def ranges(fakes: FakeInputs, example: Example, declared: list[Declared]) -> dict[Any, sizes.ValueRanges[Any]]:
    """Return the range of every symbol, and of every expression that is an input's size: as declared, narrowed by what
    the trace requires. Refuse a hint that excludes what the trace found.
    """
    env = fakes.symbolic.env
    found: dict[Any, sizes.ValueRanges[Any]] = {
        symbol: bounds
        for symbol, bounds in env.var_to_range.items()
        if sizes.free_unbacked_symbols(symbol) and symbol not in env.unbacked_renamings
    }
    symbols: set[sympy.Symbol] = set()
    for size in _sizes(fakes, example, declared):
        dim, expression = size.declared, size.value
        _check_hint(env, size)
        if not size.is_backed:
            continue
        bounds = sizes.ValueRanges(dim.min, dim.max) if isinstance(dim, Dim) else env.bound_sympy(expression)
        if isinstance(dim, sizes.DimHint):
            bounds &= _hinted(dim)
            if isinstance(expression, sympy.Symbol):
                env.var_to_range[expression] &= _hinted(dim)
        found[expression] = found.get(expression, sizes.ValueRanges(0, sizes.int_oo)) & bounds
        symbols |= expression.free_symbols
    for symbol in sorted(symbols - found.keys(), key=str):
        found[symbol] = env.var_to_range[symbol]
    return found


def _hinted(dim: Any) -> sizes.ValueRanges[Any]:
    return sizes.ValueRanges(0 if dim.min is None else dim.min, sizes.int_oo if dim.max is None else dim.max)


def _check_hint(env: sizes.ShapeEnv, size: _Size) -> None:
    dim = size.declared
    if not is_dynamic(dim):
        return
    bounds = env.bound_sympy(size.value)
    try:
        both = bounds & _hinted(dim)
    except sizes.ValueRangeError:
        raise InvalidInput(
            f"{_CONFLICTS} min/max range of [{dim.min}, {dim.max}], conflicting with the inferred min/max range of "
            f"[{bounds.lower}, {bounds.upper}], for {size.text}. Declare a range that the model accepts."
        ) from None
    if dim.type is sizes.DimHintType.DYNAMIC and both.is_singleton():
        why = (
            f"export 0/1 specialized due to hint of {size.example} for dimension {size.text}. Pass an example of size 2 or more"
            if size.example in (0, 1)
            else f"tracing inferred a static shape of {both.lower} for dimension {size.text}. Change the model"
        )
        raise InvalidInput(
            f"{_CONFLICTS} dim hint Dim.DYNAMIC(min={dim.min}, max={dim.max}), but {why}, or declare Dim.AUTO."
        )


def guards(fakes: FakeInputs, example: Example, declared: list[Declared]) -> list[str]:
    """Return the conditions on a call that torch leaves out of a program's checks: lower ends of 1 and 2, and sizes 0
    and 1 at which the model takes another branch. Refuse such a size in a declared range.
    """
    env = fakes.symbolic.env
    found = []
    for size in _sizes(fakes, example, declared):
        if size.place and isinstance(size.declared, Dim) and size.declared.min in (1, 2):
            found.append(f"{size.place} >= {size.declared.min}")
        if size.place and size.value.is_Symbol and size.is_backed:
            found += [f"{size.place} != {small}" for small in _otherwise(env, size)]
    return found


def _otherwise(env: WatchedShapeEnv, size: _Size) -> Iterator[int]:
    """Yield the sizes 0 and 1 at which the model takes another branch than at those it was traced with: torch assumes
    that symbols are neither.
    """
    dim = size.declared
    for small in (0, 1):
        branch = misjudged(env.branches, size.value, small)
        if branch is None or (isinstance(dim, Dim) and not dim.min <= small <= dim.max):
            continue
        if isinstance(dim, Dim) and dim.min > 0:
            raise ConstraintViolation(
                f"{size.text} was declared as {dim!r}, but the model takes another branch at size {small}:\n"
                f"  {branch.place}\n"
                f"A program holds only one branch. Declare Dim({dim.__name__!r}, min={small + 1}), or export the model for that size separately."
            )
        yield small
