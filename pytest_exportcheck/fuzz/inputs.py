"""Inputs of other sizes, made of the example: dtype, device, requires_grad, memory format and the range of values are
kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from pytest_exportcheck.describe import place_of
from pytest_exportcheck.fuzz.size_facts import Dim
from pytest_exportcheck.harness.tensors import as_plain, has_values, input_leaves, mapped
from pytest_exportcheck.harness.tensors.layouts import can_be_laid_out, fill, laid_out_like
from pytest_exportcheck.records import Inputs
from pytest_exportcheck.records.programs import NUMBER


def resized(call: Inputs, sizes: Mapping[Dim, int], *, label: str, seed: int) -> Inputs:
    """Return the inputs with dims of these sizes. Elements are drawn from those of the example, so that indices stay
    valid, and floating ones from their range; a tensor that is given twice stays one. Tensors of other layouts than
    strided stay as they are.
    """
    generator = torch.Generator().manual_seed(seed)
    made: dict[tuple[int, tuple[int, ...]], Any] = {}

    def resize(path: Any, leaf: Any) -> Any:
        place = place_of(path)
        if type(leaf) is int:
            return sizes.get((place, NUMBER), leaf)
        if not is_resizable(leaf):
            return leaf
        shape = tuple(sizes.get((place, dim), size) for dim, size in enumerate(leaf.shape))
        if shape == tuple(leaf.shape):
            return leaf
        if (id(leaf), shape) not in made:
            made[id(leaf), shape] = _drawn(leaf, shape, generator)
        return made[id(leaf), shape]

    args, kwargs = mapped(resize, call.args, call.kwargs)
    return Inputs(label, args, kwargs)


def is_resizable(leaf: Any) -> bool:
    """Return whether a leaf is a tensor that can be made again with another shape."""
    return isinstance(leaf, torch.Tensor) and can_be_laid_out(leaf) and (leaf.is_meta or has_values(leaf))


def shapes_of(call: Inputs) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor that can be resized, by place."""
    return {place: tuple(leaf.shape) for place, leaf in input_leaves(call.args, call.kwargs) if is_resizable(leaf)}


def sizes_in(call: Inputs) -> dict[Dim, int]:
    """Return the size of every dim of a tensor that can be resized, and every number."""
    found = {(place, number): size for place, shape in shapes_of(call).items() for number, size in enumerate(shape)}
    leaves = input_leaves(call.args, call.kwargs)
    return {**found, **{(place, NUMBER): leaf for place, leaf in leaves if type(leaf) is int}}


@as_plain
def _drawn(leaf: torch.Tensor, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    with torch.no_grad():
        made = laid_out_like(leaf, shape)
        source = leaf.detach().reshape(-1)
        if source.numel() == 0:
            fill(made, torch.zeros_like(made))
        elif _is_measured(source):  # between the least and the greatest: of few elements some would repeat
            spread = torch.rand(made.numel(), generator=generator, dtype=torch.float64).to(leaf.device)
            low, high = source.min().double(), source.max().double()
            fill(made, (low + (high - low) * spread).reshape(shape))
        elif made.numel():
            picked = torch.randint(source.numel(), (made.numel(),), generator=generator).to(leaf.device)
            fill(made, source[picked].reshape(shape))
    return made.requires_grad_(leaf.requires_grad)


def _is_measured(source: torch.Tensor) -> bool:
    """Return whether elements are numbers of a range, rather than codes such as 0 and 1, or infinities."""
    if source.is_meta or not source.is_floating_point() or source.element_size() < 2:
        return False
    return bool(source.isfinite().all()) and len(set(source[:_FEW].tolist())) > 2


#: Number of elements that are read to decide whether there are more than two kinds.
_FEW = 1000
