"""Declared dims: the promises of a case's ``dynamic_shapes``, dim by dim."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from pytest_exportcheck.describe.specified import Entry, specified_dims
from pytest_exportcheck.harness._torch import is_specification, parameters_of_specification, plain_spec, pytree
from pytest_exportcheck.harness.dynamic_shapes import specs_by_position
from pytest_exportcheck.records import DeclaredDim, Inputs, Interval
from pytest_exportcheck.records.programs import NUMBER

#: ``Dim`` means "no upper bound" by infinity or by the largest int.
_UNBOUNDED = 2**31


def declared_dims(module: Any, call: Inputs, shapes: Any) -> tuple[DeclaredDim, ...]:
    """Return the dims of tensor inputs that ``dynamic_shapes`` declares; none where it goes by tensors or further
    inputs.
    """
    try:
        specs = specs_by_position(module, call.args, call.kwargs, shapes)
    except TypeError:  # the inputs do not fit the signature: the call itself says so
        return ()
    if specs is None:
        return ()
    count = len(call.args)
    found: list[Entry] = []
    for number, (value, spec) in enumerate(zip(call.args, specs, strict=False)):
        found += _dims(f"args[{number}]", value, plain_spec(spec))
    for (name, value), spec in zip(call.kwargs.items(), specs[count:], strict=False):
        found += _dims(f"kwargs[{name!r}]", value, plain_spec(spec))
    return tuple(_declarations(found, shapes))


def dims_in(shapes: Any, place: str = "") -> Iterator[DeclaredDim]:
    """Yield every ``Dim`` and hint in dynamic shapes, without inputs next to them: the declaration of a dim is a
    leaf.
    """
    plain = parameters_of_specification(shapes) if is_specification(shapes) else shapes
    return _declarations(_entries(plain, place), shapes)


def _entries(shapes: Any, place: str) -> Iterator[Entry]:
    shapes = plain_spec(shapes)
    if isinstance(shapes, Mapping):
        for key, spec in shapes.items():
            yield from _entries(spec, f"{place}[{key!r}]")
    elif isinstance(shapes, (list, tuple)):
        for number, spec in enumerate(shapes):
            yield from _entries(spec, f"{place}[{number}]")
    elif shapes is not None:
        yield place, 0, shapes


def _declarations(entries: Iterable[Entry], shapes: Any) -> Iterator[DeclaredDim]:
    if is_specification(shapes):
        yield from specified_dims(list(entries), getattr(shapes, "assumptions", ()))
        return
    for entry in entries:
        yield _declared(*entry)


def _dims(place: str, value: Any, spec: Any) -> Iterator[Entry]:
    if spec is None:
        return
    if isinstance(value, torch.Tensor):
        pairs = (
            spec.items() if isinstance(spec, Mapping) else enumerate(spec) if isinstance(spec, (list, tuple)) else ()
        )
        for dim, size in pairs:
            if size is not None and isinstance(dim, int):
                yield place, dim % max(value.dim(), 1), size
        return
    if type(value) is int and isinstance(spec, torch.SymInt):
        yield place, NUMBER, spec
        return
    for (path, inner), given in zip(children_of(value), specs_of(spec, value), strict=False):
        yield from _dims(place + path, inner, given)


def children_of(value: Any) -> list[tuple[str, Any]]:
    """Return the direct children of a container, with their pytree paths; an empty list for a leaf."""
    leaves = pytree.tree_flatten_with_path(value, is_leaf=lambda each: each is not value)[0]
    return [(pytree.keystr(path), child) for path, child in leaves if path]


def specs_of(spec: Any, value: Any) -> list[Any]:
    """Return the specs of the children of a container, in their order."""
    if isinstance(spec, Mapping):
        keys = value.keys() if isinstance(value, Mapping) else _field_names(value)
        return [spec.get(key) for key in keys]
    return list(spec) if isinstance(spec, (list, tuple)) else []


def _field_names(value: Any) -> list[str]:
    if dataclasses.is_dataclass(value):
        return [each.name for each in dataclasses.fields(value)]
    return [path.removeprefix(".") for path, _ in children_of(value)]


def _declared(place: str, dim: int, size: Any) -> DeclaredDim:
    """Return the declaration of one dim: a ``Dim`` or a derived one, a hint such as ``Dim.AUTO``, or an int."""
    if isinstance(size, int):
        return DeclaredDim(place=place, dim=dim, text=str(size), dynamic=False)
    hint = getattr(getattr(size, "type", None), "name", None)
    if hint is not None:  # AUTO may become static; DYNAMIC must not
        bounds = (
            _interval(size)
            if getattr(size, "min", None) is not None or getattr(size, "max", None) is not None
            else None
        )
        return DeclaredDim(place=place, dim=dim, text=f"Dim.{hint}", dynamic=hint == "DYNAMIC", interval=bounds)
    root = getattr(size, "root", size)
    return DeclaredDim(
        place=place,
        dim=dim,
        text=_text(size),
        dynamic=True,
        interval=_interval(size),
        root=_text(root),
        root_interval=_interval(root),
        derive=getattr(size, "fn", None),
    )


def _interval(size: Any) -> Interval | None:
    try:
        lower, upper = size.min, size.max
    except Exception:  # a derived dim of an unbounded root has no bounds
        return None
    return Interval(_finite(lower), _finite(upper))


def _finite(bound: Any) -> int | None:
    return None if bound is None or not isinstance(bound, int) or abs(bound) >= _UNBOUNDED else bound


def _text(size: Any) -> str:
    return str(getattr(size, "__name__", size))
