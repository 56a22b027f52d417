"""The dynamic shapes of a program as the source of an export."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from pytest_exportcheck.bundles.reduction.draft import Candidate, Draft
from pytest_exportcheck.bundles.reduction.spelling import Unspeakable


@dataclass(frozen=True)
class ShapesText:
    """The lines that define dims, and the expression for ``dynamic_shapes``; empty for a static program."""

    lines: tuple[str, ...] = ()
    text: str = ""

    def value(self) -> Any:
        """Return the dynamic shapes themselves; None for a static program."""
        if not self.text:
            return None
        scope: dict[str, Any] = {"torch": torch}
        exec("\n".join(self.lines), scope)
        return eval(self.text, scope)


def dynamic_shapes_of(candidate: Candidate) -> ShapesText:
    """Return the source of the dynamic shapes of the arguments.

    Raises
    ------
    Unspeakable
        If a size follows from symbols in another way than by a factor and a summand.
    """
    draft = Draft(candidate)
    names: dict[Any, str] = {}
    shapes = []
    for node in draft.graph.find_nodes(op="placeholder"):
        if draft.slots[node.name].is_users:
            val = node.meta.get("val")
            sizes: Iterable[tuple[int, Any]] = (
                enumerate(val.shape) if isinstance(val, torch.Tensor) and not val.is_nested else ()
            )
            dims = [f"{dim}: {_text(size, names)}" for dim, size in sizes if isinstance(size, torch.SymInt)]
            shapes.append(f"{{{', '.join(dims)}}}" if dims else "None")
    if not names:
        return ShapesText()
    ranges = candidate.program.range_constraints
    lines = [f"{name} = torch.export.Dim({name!r}{_bounds(ranges.get(symbol))})" for symbol, name in names.items()]
    return ShapesText(tuple(line.replace("'", '"') for line in lines), f"({', '.join(shapes)},)")


def _text(size: torch.SymInt, names: dict[Any, str]) -> str:
    expression = size.node.expr
    symbols = sorted(expression.free_symbols, key=str)
    if len(symbols) != 1:
        raise Unspeakable(f"a size of the arguments is {expression}")
    name = names.setdefault(symbols[0], f"dim{len(names)}" if names else "dim")
    if expression == symbols[0]:
        return name
    coefficients = expression.as_poly(symbols[0])
    if coefficients is None or coefficients.degree() != 1:
        raise Unspeakable(f"a size of the arguments is {expression}")
    times, plus = (int(each) for each in coefficients.all_coeffs())
    product = name if times == 1 else f"{times} * {name}"
    return product if not plus else f"{product} {'+' if plus > 0 else '-'} {abs(plus)}"


def _bounds(interval: Any) -> str:
    """Return the bounds as arguments of ``Dim``; those that every dim has are left out."""
    if interval is None:
        return ""
    lower, upper = str(interval.lower), str(interval.upper)
    given = [f"min={lower}"] if lower.isdigit() and int(lower) > 0 else []
    given += [f"max={upper}"] if upper.isdigit() and int(upper) < 2**31 else []
    return "".join(f", {each}" for each in given)
