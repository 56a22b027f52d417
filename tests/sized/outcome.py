"""What becomes of an entry at given sizes, by brute force."""

from __future__ import annotations

import copy
import itertools
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias

import torch
import torch.utils._pytree as pytree
from torch.export import ExportedProgram

from tests.sized.sized import Sized, upper

Outcome: TypeAlias = Literal["same", "differs", "refuses", "invents", "raises"]


class Pair:
    """A model and the callable of its program, run side by side."""

    def __init__(self, entry: Sized, *, sound: bool) -> None:
        self.entry = entry
        self.model = (entry.sound if sound else entry.build)()
        self.program = capture(entry, self.model, edited=not sound)
        self.callable = self.program.module()
        self._state = copy.deepcopy(dict(self.callable.named_buffers()))

    def outcome(self, lengths: Sequence[int]) -> Outcome:
        """``invents``: the program returns something where eager raises. ``raises``: both do."""
        ours, theirs = self.entry.inputs_of(lengths), self.entry.inputs_of(lengths)
        model = copy.deepcopy(self.model)
        for name, buffer in self.callable.named_buffers():
            buffer.data.copy_(self._state[name])
        expected, got = _result(model, ours), _result(self.callable, theirs)
        if isinstance(expected, Exception):
            return "raises" if isinstance(got, Exception) else "invents"
        if isinstance(got, Exception):
            return "refuses"
        effects = (ours, dict(model.named_buffers())), (theirs, dict(self.callable.named_buffers()))
        return "same" if _equal((expected, effects[0]), (got, effects[1])) else "differs"


def capture(entry: Sized, model: torch.nn.Module, *, edited: bool) -> ExportedProgram:
    """The program of a model, with the entry's fault if it has one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(
            copy.deepcopy(model),
            copy.deepcopy(entry.args),
            dynamic_shapes=entry.dynamic_shapes,
            strict=entry.strict,
        )
    if edited and entry.edit is not None:
        program = entry.edit(program) or program
        program.graph.lint()
        program.graph_module.recompile()
    return program


def grid(entry: Sized, *, cap: int = 12, points: int = 400) -> Iterator[dict[str, int]]:
    """Declared sizes in lexicographic order: all of them up to a cap and up to the minimal ones.

    Where those are too many, each dim is thinned out to sizes near its bounds, the minimal ones and the example.
    """
    ranges = []
    for name, root in entry.roots.items():
        wanted = (entry.minimal or {}).get(name, 0)
        ranges.append(range(root.min, upper(root, max(cap, wanted, entry.example[name]) + 1) + 1))
    sizes: list[Sequence[int]] = list(ranges)
    if torch.Size([len(each) for each in ranges]).numel() > points and len(ranges) > 1:
        sizes = [
            _thinned(each, (entry.minimal or {}).get(name), entry.example[name])
            for name, each in zip(entry.roots, ranges, strict=True)
        ]
    for chosen in itertools.product(*sizes):
        yield dict(zip(entry.roots, chosen, strict=True))


def _thinned(sizes: range, *wanted: int | None) -> list[int]:
    marks = {sizes[0], sizes[0] + 1, sizes[-1], *(mark + step for mark in wanted if mark for step in (-1, 0, 1))}
    return [each for each in sizes if each in marks]


def undeclared(entry: Sized) -> Iterator[tuple[int, ...]]:
    """Lengths that are not declared: roots out of bounds by one, zero or one, and one dim of a relation off by one."""
    low = {name: root.min for name, root in entry.roots.items()}
    found: dict[tuple[int, ...], None] = {}
    for base in (entry.example, low):
        for name, root in entry.roots.items():
            outside = {root.min - 1, root.min - 2, upper(root, 2**31) + 1, 0, 1}
            for size in sorted(each for each in outside if 0 <= each <= 2**20):
                found[entry.lengths({**base, name: size})] = None
        declared = entry.lengths(base)
        for place in range(len(declared)):
            for length in (declared[place] - 1, declared[place] + 1):
                moved = (*declared[:place], length, *declared[place + 1 :])
                found[moved] = None
    for lengths in found:
        if min(lengths) >= 0 and entry.sizes_of(lengths) is None:
            yield lengths


def _result(function: Any, args: tuple[Any, ...]) -> Any:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            return function(*args)
        except Exception as error:
            return error


def _equal(one: Any, other: Any) -> bool:
    (left, structure), (right, expected) = pytree.tree_flatten(one), pytree.tree_flatten(other)
    return structure == expected and all(map(_equal_leaf, left, right))


def _equal_leaf(one: Any, other: Any) -> bool:
    if not isinstance(one, torch.Tensor) or not isinstance(other, torch.Tensor):
        return type(one) is type(other) and bool(one == other)
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if not one.dtype.is_floating_point:
        return torch.equal(one, other)
    return torch.allclose(one, other, rtol=1e-4, atol=1e-5, equal_nan=True)
