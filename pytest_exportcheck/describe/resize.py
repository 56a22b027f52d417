"""The example inputs with their declared dims at other sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import sympy
import torch

from pytest_exportcheck.describe.places import place_of
from pytest_exportcheck.describe.specified import roots_in, sizes_in, value_of
from pytest_exportcheck.harness.tensors import as_plain, has_values, input_leaves, mapped
from pytest_exportcheck.harness.tensors.layouts import can_be_laid_out, fill, laid_out_like
from pytest_exportcheck.records import DeclaredDim, Inputs, Interval
from pytest_exportcheck.records.programs import NUMBER

Sizes = dict[tuple[str, int], int]


def at_other_sizes(
    call: Inputs, declared: Sequence[DeclaredDim], symbolic: Mapping[tuple[str, int], Any] = MappingProxyType({})
) -> Inputs | None:
    """Return the inputs with every dynamic dim longer by one, or shorter where the declared range ends, and derived
    dims as their root requires: elements are repeated, or left out. None where no dim is dynamic.

    ``symbolic``: (place, dim) -> the sympy expression that a program has for it; a dim that is declared by a hint only
    has the size that the expression requires.

    Raises
    ------
    InputsRefused
        When a class among the inputs refuses these sizes.
    """
    leaves = dict(input_leaves(call.args, call.kwargs))
    dynamic = [dim for dim in declared if dim.dynamic]
    specified = [dim for dim in dynamic if dim.expression is not None]
    sizes = dict(_other_sizes(dynamic, leaves)) if not specified else _specified(specified, call)
    if not sizes:
        return None
    sizes |= _following(sizes, leaves, [dim for dim in declared if not dim.root and dim.expression is None], symbolic)

    def resize(path: Any, leaf: Any) -> Any:
        if type(leaf) is int:
            return sizes.get((place_of(path), NUMBER), leaf)
        if not isinstance(leaf, torch.Tensor) or not has_values(leaf) or not can_be_laid_out(leaf):
            return leaf
        place = place_of(path)
        return _resized(leaf, [sizes.get((place, dim), size) for dim, size in enumerate(leaf.shape)])

    args, kwargs = mapped(resize, call.args, call.kwargs)
    return Inputs("at other sizes", args, kwargs)


#: Unsigned integers that torch 2.13 cannot pick elements of -> integers of the same size.
_WITH_KERNELS = {torch.uint16: torch.int16, torch.uint32: torch.int32, torch.uint64: torch.int64}


@as_plain
def _resized(tensor: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Return the tensor with this shape, in the same layout; elements are repeated, or left out."""
    values = tensor.detach().as_subclass(torch.Tensor)
    signed = _WITH_KERNELS.get(values.dtype)
    values = values if signed is None else values.view(signed)
    for dim, (size, other) in enumerate(zip(tensor.shape, shape, strict=True)):
        if other != size and size > 0:
            values = values.index_select(dim, torch.arange(other, device=tensor.device) % size)
    if values.shape == tensor.shape:
        return tensor
    made = laid_out_like(tensor, values.shape)
    fill(made, values if signed is None else values.view(made.dtype))
    return made.requires_grad_(tensor.requires_grad)


def _following(
    sizes: Sizes, leaves: Mapping[str, Any], hinted: Sequence[DeclaredDim], symbolic: Mapping[tuple[str, int], Any]
) -> Sizes:
    """Return the sizes of hinted dims that those of other dims determine."""
    fixed: dict[Any, Any] = {}
    theirs = {(dim.place, dim.dim) for dim in hinted}
    for at in sorted(symbolic, key=lambda at: (at in theirs, at not in sizes)):
        if symbolic[at].is_Symbol:
            fixed.setdefault(symbolic[at], sympy.Integer(sizes.get(at, leaves[at[0]].shape[at[1]])))
    known = {at: symbolic[at].xreplace(fixed) for at in theirs & symbolic.keys()}
    return {at: int(size) for at, size in known.items() if size.is_Integer and size >= 0}


def families(dims: Sequence[DeclaredDim]) -> list[list[DeclaredDim]]:
    """Return groups of dims that change together because they have one root; dims declared by a hint or a number have
    none.
    """
    found: dict[Any, list[DeclaredDim]] = {}
    for dim in dims:
        found.setdefault(dim.root or (dim.place, dim.dim), []).append(dim)
    return list(found.values())


def _other_sizes(dims: Sequence[DeclaredDim], leaves: Mapping[str, Any]) -> Iterator[tuple[tuple[str, int], int]]:
    """Yield (place, dim) with another size; dims of one root change together."""
    for family in families(dims):
        now = _root_size(family, leaves)
        if now is None:
            continue
        root = next((size for size in (now + 1, now - 1) if all(_allows(each, size) for each in family)), now)
        yield from (((each.place, each.dim), each.size_for(root)) for each in family)


#: Largest distance from the example at which another size of a variable is searched.
_FURTHEST = 64


def _specified(dims: Sequence[DeclaredDim], call: Inputs) -> Sizes:
    """Return other sizes of a specification: one variable after the other is changed as little as the ranges and the
    assumptions allow.
    """
    now = sizes_in(call)
    roots = roots_in(dims, now)
    changed = dict(roots)
    steps = [sign * step for step in range(1, _FURTHEST) for sign in (1, -1)]
    for name, size in roots.items():
        tried = ({**changed, name: size + step} for step in steps)
        changed = next((each for each in tried if _meets(dims, each)), changed)
    sizes = {(dim.place, dim.dim): value_of(dim.expression, changed) for dim in dims}
    known = {at: int(size) for at, size in sizes.items() if size.is_Integer}
    return known if changed != roots and len(known) == len(sizes) else {}


def _meets(dims: Sequence[DeclaredDim], roots: Mapping[str, int]) -> bool:
    """Return True if these variables are within their ranges, meet the assumptions, and give no tensor an empty dim."""
    for dim in dims:
        size = value_of(dim.expression, roots)
        bounds = dim.root_interval if dim.root else None
        if not size.is_Integer or (size <= 0 and dim.dim != NUMBER):
            return False
        if bounds is not None and not bounds.holds(Interval(roots[dim.root], roots[dim.root])):
            return False
        if any(value_of(each, roots) == sympy.false for each in dim.conditions):
            return False
    return True


def _root_size(family: Sequence[DeclaredDim], leaves: Mapping[str, Any]) -> int | None:
    """Return the size of the root that gives every dim the size that it has, or None if they disagree."""
    sized = [dim for dim in family if isinstance(leaves.get(dim.place), torch.Tensor)]
    roots = {dim.root_for(leaves[dim.place].shape[dim.dim]) for dim in sized}
    return roots.pop() if len(roots) == 1 else None


def _allows(dim: DeclaredDim, root: int) -> bool:
    size = dim.size_for(root)
    return size > 0 and (dim.interval is None or dim.interval.holds(Interval(size, size)))
