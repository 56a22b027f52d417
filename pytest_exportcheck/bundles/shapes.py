"""Dynamic shapes as data, as objects of torch, and as the text of a script."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.export import Dim

from pytest_exportcheck.errors import BundleError
from pytest_exportcheck.records import StoredShapes

_HINTS = ("AUTO", "DYNAMIC", "STATIC")


def stored_shapes(spec: Any) -> StoredShapes:
    """Return dynamic shapes as data.

    Raises
    ------
    BundleError
        For a form that is not made of dims, hints, numbers and containers.
    """
    if spec is None:
        return StoredShapes(kind="none")
    if isinstance(spec, int):
        return StoredShapes(kind="size", plus=int(spec))
    if isinstance(spec, Dim):
        return _dim(spec)
    if isinstance(spec, Mapping):
        return StoredShapes(kind="dict", keys=tuple(spec), items=tuple(map(stored_shapes, spec.values())))
    if isinstance(spec, tuple):
        return StoredShapes(kind="tuple", items=tuple(map(stored_shapes, spec)))
    if isinstance(spec, list):
        return StoredShapes(kind="list", items=tuple(map(stored_shapes, spec)))
    hint = getattr(getattr(spec, "type", None), "name", "")
    if hint in _HINTS:
        return StoredShapes(kind="hint", name=hint, lower=spec.min, upper=spec.max)
    raise BundleError(f"dynamic_shapes holds {type(spec).__name__}, which a bundle cannot store")


def _dim(dim: Any) -> StoredShapes:
    root = getattr(dim, "root", None)
    if root is None:
        lower, upper = (bound if isinstance(bound, int) else None for bound in (dim.min, dim.max))
        return StoredShapes(kind="dim", name=dim.__name__, lower=lower, upper=upper)
    plus = int(dim.fn(0))
    return StoredShapes(kind="derived", times=int(dim.fn(1)) - plus, plus=plus, items=(stored_shapes(root),))


def shapes_of(stored: StoredShapes, dims: dict[str, Any] | None = None) -> Any:
    """Return the dynamic shapes; a dim of one name is one object."""
    known: dict[str, Any] = {} if dims is None else dims
    items = [shapes_of(each, known) for each in stored.items]
    if stored.kind == "size":
        return stored.plus
    if stored.kind == "dim":
        return known.setdefault(stored.name, Dim(stored.name, min=stored.lower, max=stored.upper))
    if stored.kind == "derived":
        return _moved(stored.times * items[0] if stored.times != 1 else items[0], stored.plus)
    if stored.kind == "hint":
        hint: Any = getattr(Dim, stored.name)
        return hint if stored.lower is None and stored.upper is None else hint(min=stored.lower, max=stored.upper)
    if stored.kind == "dict":
        return dict(zip(stored.keys, items, strict=True))
    return {"tuple": tuple(items), "list": items, "none": None}[stored.kind]


def _moved(dim: Any, plus: int) -> Any:
    if plus == 0:
        return dim
    return dim + plus if plus > 0 else dim - -plus


def shapes_text(stored: StoredShapes) -> str:
    """Return the expression of a script for dynamic shapes; dims are written by their names."""
    items = [shapes_text(each) for each in stored.items]
    if stored.kind == "size":
        return str(stored.plus)
    if stored.kind == "dim":
        return stored.name
    if stored.kind == "derived":
        times = f"{stored.times} * " if stored.times != 1 else ""
        return f"{times}{items[0]}" + (f" {'-' if stored.plus < 0 else '+'} {abs(stored.plus)}" if stored.plus else "")
    if stored.kind == "hint":
        return f"Dim.{stored.name}{_bounds(stored, '(', ')')}"
    if stored.kind == "dict":
        return "{" + ", ".join(f"{key!r}: {item}" for key, item in zip(stored.keys, items, strict=True)) + "}"
    if stored.kind == "tuple":
        return "(" + ", ".join(items) + ("," if len(items) == 1 else "") + ")"
    return "[" + ", ".join(items) + "]" if stored.kind == "list" else "None"


def dims_text(stored: StoredShapes) -> dict[str, str]:
    """Return the lines of a script that define the dims, by their names."""
    found = {name: text for each in stored.items for name, text in dims_text(each).items()}
    if stored.kind == "dim":
        found[stored.name] = f'{stored.name} = Dim("{stored.name}"{_bounds(stored, ", ", "")})'
    return found


def _bounds(stored: StoredShapes, start: str, end: str) -> str:
    given = [f"{name}={bound}" for name, bound in (("min", stored.lower), ("max", stored.upper)) if bound is not None]
    return f"{start}{', '.join(given)}{end}" if given else ""
