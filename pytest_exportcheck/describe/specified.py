"""Specified dims: sizes as variables and as expressions of variables, with the assumptions about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import sympy
import torch

from pytest_exportcheck.harness.tensors import input_leaves
from pytest_exportcheck.records import DeclaredDim, Inputs, Interval
from pytest_exportcheck.records.programs import NUMBER

#: Place of an input, number of a dim, and the size that was declared for it.
Entry: TypeAlias = tuple[str, int, Any]

#: The name that torch gives a variable without one.
_NAMELESS = "anon"


def specified_dims(entries: Sequence[Entry], assumptions: Iterable[Any]) -> list[DeclaredDim]:
    """Return the declared dims of a specification: variables are roots, named as the user named them."""
    variables = {size.sympy_sym: size for _, _, size in reversed(entries) if _is_variable(size)}
    names = _names(entries)
    intervals = {names[symbol].name: Interval(size.min, size.max) for symbol, size in variables.items()}
    conditions = [_translated(each.node.expr, names) for each in assumptions]
    return [_dim(place, dim, size, names, intervals, conditions) for place, dim, size in entries]


def _dim(
    place: str,
    dim: int,
    size: Any,
    names: Mapping[Any, Any],
    intervals: Mapping[str, Interval],
    conditions: Sequence[Any],
) -> DeclaredDim:
    if not isinstance(size, torch.SymInt):
        return DeclaredDim(place=place, dim=dim, text=str(size), dynamic=False)
    expression = _translated(size.node.expr, names)
    symbols = expression.free_symbols
    own = tuple(each for each in conditions if each.free_symbols & symbols)
    root = next(iter(symbols)) if len(symbols) == 1 else None
    if root is None:
        return DeclaredDim(
            place=place, dim=dim, text=str(expression), dynamic=True, expression=expression, conditions=own
        )
    bounds = intervals.get(root.name)
    return DeclaredDim(
        place=place,
        dim=dim,
        text=str(expression),
        dynamic=True,
        interval=_interval(expression, root, bounds),
        root=root.name,
        root_interval=bounds,
        derive=None if expression == root else _derived_by(expression, root),
        expression=expression,
        conditions=own,
    )


def _is_variable(size: Any) -> bool:
    return hasattr(size, "sympy_sym")


def _names(entries: Sequence[Entry]) -> dict[Any, Any]:
    """Map the symbols of a specification to symbols of roots: a variable without a name is named after its first dim,
    and of several with one name the later ones get a number.
    """
    found: dict[Any, Any] = {}
    for place, dim, size in entries:
        if not _is_variable(size) or size.sympy_sym in found:
            continue
        name = f"{place}.size({dim})" if size.name == _NAMELESS else size.name
        taken = {each.name for each in found.values()}
        others = (f"{name}_{number}" for number in range(2, len(taken) + 3))
        found[size.sympy_sym] = sympy.Symbol(
            name if name not in taken else next(each for each in others if each not in taken), integer=True
        )
    for _, _, size in entries:  # a variable that no dim has by itself: torch refuses it
        for symbol in size.node.expr.free_symbols if isinstance(size, torch.SymInt) else ():
            found.setdefault(symbol, sympy.Symbol(str(symbol), integer=True))
    return found


def _translated(expression: Any, names: Mapping[Any, Any]) -> Any:
    """Return an expression of roots, with sympy's own remainders, which a solver knows."""
    renamed = expression.xreplace(dict(names))
    return renamed.replace(lambda each: type(each).__name__ in ("Mod", "PythonMod"), lambda each: sympy.Mod(*each.args))


def _derived_by(expression: Any, root: Any) -> Callable[[int], int]:
    def derive(size: Any) -> Any:
        found = expression.xreplace({root: sympy.sympify(size)})
        return int(found) if found.is_Integer else found

    return derive


def _interval(expression: Any, root: Any, bounds: Interval | None) -> Interval | None:
    """Return the range of the sizes between those at the ends of the root's range, None where these do not bound it."""
    if bounds is None or expression == root:
        return bounds
    if not expression.is_polynomial(root) or sympy.degree(expression, root) != 1:
        return None
    ends = [
        None if end is None else int(expression.xreplace({root: sympy.Integer(end)}))
        for end in (bounds.lower, bounds.upper)
    ]
    return Interval(*(ends if expression.coeff(root) > 0 else reversed(ends)))


def sizes_in(call: Inputs) -> dict[tuple[str, int], int]:
    """Return the size of every dim of a tensor input, and every number, by place and dim."""
    found: dict[tuple[str, int], int] = {}
    for place, leaf in input_leaves(call.args, call.kwargs):
        if isinstance(leaf, torch.Tensor) and not leaf.is_nested:
            found |= {(place, dim): size for dim, size in enumerate(leaf.shape)}
        elif type(leaf) is int:
            found[place, NUMBER] = leaf
    return found


def roots_in(dims: Iterable[DeclaredDim], sizes: Mapping[tuple[str, int], int]) -> dict[str, int]:
    """Return the sizes of the variables that dims with these sizes have, as far as single dims determine them."""
    found: dict[str, int] = {}
    for each in dims:
        if each.root and (each.place, each.dim) in sizes:
            size = sizes[each.place, each.dim]
            root = size if each.derive is None else each.root_for(size)
            if root is not None:
                found.setdefault(each.root, root)
    return found


def value_of(expression: Any, roots: Mapping[str, int]) -> Any:
    """Return an expression, or a condition, where the variables have these sizes."""
    return expression.xreplace(
        {root: sympy.Integer(roots[root.name]) for root in expression.free_symbols if root.name in roots}
    )


def broken_assumptions(dims: Iterable[DeclaredDim], calls: Mapping[str, Inputs]) -> Iterator[str]:
    """Yield a message for each assumption and each derived size that a call does not meet."""
    dims = [each for each in dims if each.expression is not None]
    for label, call in calls.items():
        sizes = sizes_in(call)
        roots = roots_in(sorted(dims, key=lambda each: each.derive is not None), sizes)
        text = ", ".join(f"{name}={size}" for name, size in roots.items())
        for condition in dict.fromkeys(each for dim in dims for each in dim.conditions):
            if value_of(condition, roots) == sympy.false:
                yield f"{label} break the assumption {condition} of dynamic_shapes ({text}); draw other sizes, or drop the assumption."
        for each in dims:
            size, expected = sizes.get((each.place, each.dim)), value_of(each.expression, roots)
            if size is not None and expected.is_Integer and size != int(expected):
                where = each.place if each.dim == NUMBER else f"dim {each.dim} of {each.place}"
                yield f"{where} is {size} in {label}, and dynamic_shapes says {each.text}, which is {expected} ({text}); make the two agree."
