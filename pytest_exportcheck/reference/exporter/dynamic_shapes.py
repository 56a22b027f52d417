"""Dynamic shapes: the declaration of every dimension, in whichever form it was written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.export import AdditionalInputs, Dim, ShapesCollection

from pytest_exportcheck.reference._torch.sizes import (
    DimHint,
    DimHintType,
    IntWrapper,
    check_dynamic_shapes,
    map_dynamic_shapes,
    normalize_dynamic_shapes,
)
from pytest_exportcheck.reference._torch.values import pytree
from pytest_exportcheck.reference.exporter.errors import ConstraintViolation, InvalidInput
from pytest_exportcheck.reference.exporter.inputs import Example, Leaf

#: Declaration of one leaf: for a tensor, dimension -> Dim, hint, size or None; for a number, a hint or None.
Declared = Mapping[int, Any] | Any


def is_dynamic(dim: Any) -> bool:
    """Return True for a hint that a size or a number is dynamic."""
    return isinstance(dim, DimHint) and dim.type is not DimHintType.STATIC


def plain_shapes(module: torch.nn.Module, example: Example, dynamic_shapes: Any) -> Any:
    """Return the declaration as a mapping by name or a sequence by position, from any object that holds one; None for
    none.
    """
    if isinstance(dynamic_shapes, (AdditionalInputs, ShapesCollection)):
        dynamic_shapes = dynamic_shapes.dynamic_shapes(module, example.args, example.kwargs)  # type: ignore[no-untyped-call]
    if not dynamic_shapes:
        return None
    return normalize_dynamic_shapes(dynamic_shapes, module, example.args, example.kwargs)


def without_wrappers(module: torch.nn.Module, args: Any, kwargs: Any, shapes: Any) -> tuple[Any, Any, Any]:
    """Return a call and its shapes where numbers are wrapped, as a ``ShapesCollection`` needs it to distinguish them."""
    if isinstance(shapes, ShapesCollection) and any(
        isinstance(each, IntWrapper) for each in pytree.tree_leaves((args, kwargs))
    ):
        shapes = shapes.dynamic_shapes(module, args, kwargs)  # type: ignore[no-untyped-call]
        args, kwargs = pytree.tree_map_only(IntWrapper, lambda number: number.val, (args, kwargs))
    return args, kwargs, shapes


def declared_shapes(example: Example, dynamic_shapes: Any) -> list[Declared]:
    """Return the declaration of each leaf of the example. A dimension that the declaration leaves out is static. Refuse a
    declaration that does not fit the example: torch compares their structures.
    """
    if dynamic_shapes is None:
        return [{} if isinstance(leaf.value, torch.Tensor) else None for leaf in example.leaves]
    by_name = pytree.tree_map(lambda leaf: IntWrapper(leaf) if type(leaf) is int else leaf, dict(example.by_name))
    try:
        check_dynamic_shapes(by_name, dynamic_shapes)
    except ValueError as error:  # a named dim for a number
        raise InvalidInput(str(error)) from error
    given = by_name if isinstance(dynamic_shapes, dict) else type(dynamic_shapes)(by_name.values())
    found: list[Any] = []
    map_dynamic_shapes(lambda _path, _leaf, shape: found.append(shape), given, dynamic_shapes)
    places = {keys: place for place, (keys, _) in enumerate(pytree.tree_flatten_with_path(by_name)[0])}
    return [_checked(leaf, found[places[leaf.keys]]) for leaf in example.leaves]


def _checked(leaf: Leaf, said: Any) -> Declared:
    """Return the declaration of a leaf; that of a tensor by dimension."""
    if not isinstance(leaf.value, torch.Tensor):
        return said
    said = said if isinstance(said, Mapping) else dict(enumerate(said or ()))
    shape = tuple(leaf.value.shape)
    for number, dim in said.items():
        if not -len(shape) <= number < len(shape):
            raise InvalidInput(
                f"{leaf.text} has the shape {shape}, but dynamic_shapes declares its dimension {number}. Declare an existing dimension."
            )
        if type(dim) is int and shape[number] != dim:
            raise ConstraintViolation(
                f"Static shape constraint of {dim} does not match input size of {shape[number]}, for {leaf.source.name}.size()[{number}]: "
                f"{leaf.text}.shape[{number}] was declared as {dim} but is {shape[number]} in the example. "
                f"Pass an example of size {dim}, or declare a Dim."
            )
        if isinstance(dim, Dim) and not dim.min <= shape[number] <= dim.max:
            raise ConstraintViolation(
                f"{leaf.text}.shape[{number}] of the example: {shape[number]} not in range [{dim.min}, {dim.max}], which was declared by {dim!r}. "
                "Pass an example within the range, or declare another range."
            )
    return {number % len(shape): dim for number, dim in said.items()}
