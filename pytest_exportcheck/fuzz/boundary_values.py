"""Boundary values: the sizes at which models fail first, such as bounds, 0, 1, 2, the example's, powers of two, numbers
in the code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, product, zip_longest
from types import CodeType, FunctionType
from typing import Any

import torch

from pytest_exportcheck.fuzz.solver import Axis, Domain


def boundaries(
    domain: Domain, example: Mapping[str, int], constants: Sequence[int], number: int
) -> list[dict[str, int]]:
    """Return at most ``number`` choices of the domain's axes that are in the domain, the most revealing ones first.

    ``example`` gives the sizes of the roots in the example inputs, ``constants`` numbers that may mean a size.
    """
    if not domain.axes:
        return []
    usual = {axis.name: axis.nearest(example.get(axis.name, axis.first)) for axis in domain.axes}
    tell = {axis.name: list(dict.fromkeys(_telling(axis, usual[axis.name], constants))) for axis in domain.axes}
    found: dict[tuple[int, ...], dict[str, int]] = {}
    for chosen in _points(domain.axes, usual, tell, constants):
        if len(found) >= number:
            break
        if domain.complete(chosen) is not None:
            found.setdefault(tuple(chosen.values()), chosen)
    return list(found.values())


def smaller(domain: Domain, found: Mapping[str, int], usual: Mapping[str, int], number: int) -> list[dict[str, int]]:
    """Return at most ``number`` choices of several axes below ``found``: one axis smaller, the axes after it at any
    size. Shrinking one axis at a time does not get there if one dim must grow for another to shrink, or if sizes in
    between do not fail.
    """
    points: dict[tuple[int, ...], dict[str, int]] = {}
    for place, axis in enumerate(domain.axes):
        before = {each.name: found[each.name] for each in domain.axes[:place]}
        behind = [
            list(
                dict.fromkeys(each.nearest(size) for size in _anything(each, found[each.name], usual.get(each.name, 1)))
            )
            for each in domain.axes[place + 1 :]
        ]
        for size in range(axis.first, found[axis.name], axis.step)[:_LOWER]:
            for rest in product(*behind):
                names = (each.name for each in domain.axes[place + 1 :])
                point = {**before, axis.name: size, **dict(zip(names, rest, strict=True))}
                if domain.complete(point) is not None:
                    points.setdefault(tuple(point.values()), point)
    return list(points.values())[:number]


def _anything(axis: Axis, found: int, usual: int) -> list[int]:
    ends = [axis.first, axis.first + axis.step, axis.last if axis.last is not None else 4 * usual]
    return [*ends, found, usual, axis.first + 2 * axis.step]


#: Number of smaller sizes of an axis that are tried with others.
_LOWER = 16


def code_constants(module: torch.nn.Module) -> list[int]:
    """Return whole numbers in the source of a module's own code, which forward() may compare a size with."""
    codes = {code for owner in module.modules() for code in _codes(owner)}
    return _sizes_among(number for code in codes for number in _numbers(code.co_consts))


def program_constants(program: torch.export.ExportedProgram) -> list[int]:
    """Return whole numbers among the arguments of the operations of a program."""
    graphs = [each.graph for each in program.graph_module.modules() if isinstance(each, torch.fx.GraphModule)]
    return _sizes_among(
        number for graph in graphs for node in graph.nodes for number in _numbers((node.args, node.kwargs))
    )


def condition_constants(conditions: Iterable[Any]) -> list[int]:
    """Return whole numbers in conditions."""
    atoms = (atom for each in conditions for atom in getattr(each, "atoms", set)())
    return _sizes_among(int(atom) for atom in atoms if atom.is_Integer)


def _sizes_among(numbers: Iterable[int]) -> list[int]:
    """Return the numbers that may be a size and are not tried in any case, sorted."""
    return sorted({number for number in numbers if 2 < number < _LARGEST})


#: Constants above this are not sizes: ids of dtypes, largest ints.
_LARGEST = 10**6


def _telling(axis: Axis, usual: int, constants: Sequence[int]) -> Iterator[int]:
    """Yield sizes of one axis, the most revealing ones first."""
    last = axis.last if axis.last is not None else usual * 4 + 64
    near = [0, 1, 2, axis.first, last, usual, axis.first + axis.step, last - axis.step, usual + axis.step]
    named = chain.from_iterable((number, number + 1, number - 1) for number in constants)
    powers = chain.from_iterable((2**power, 2**power + 1, 2**power - 1) for power in range(2, 21))
    multiples = (usual * factor for factor in (2, 3, 4, 5))
    mixed = chain.from_iterable(zip_longest(named, powers, multiples))
    rest = range(axis.first, min(last, axis.first + _RUN * axis.step) + 1, axis.step)
    for size in chain(near, mixed, rest):
        if size is not None and axis.has(size):
            yield size


#: Number of sizes in a row that are tried from the smallest on.
_RUN = 256

#: Number of constants in the code that are combined with each other on several axes.
_NAMED = 6


def _points(
    axes: Sequence[Axis], usual: Mapping[str, int], tell: Mapping[str, Sequence[int]], constants: Sequence[int]
) -> Iterator[dict[str, int]]:
    """Yield choices of all axes: one axis away from the example at a time, all together, and all equal."""
    yield dict(usual)
    if len(axes) > 1:
        yield {axis.name: axis.first for axis in axes}
    names = [axis.name for axis in axes]
    rows = [[{**usual, axis.name: size} for size in tell[axis.name]] for axis in axes]
    if len(axes) > 1:
        rows.append([dict.fromkeys(names, size) for size in _common(axes, tell)])
        rows.append([dict(zip(names, sizes, strict=True)) for sizes in _together(axes, tell)])
        named = [[number for number in constants if axis.has(number)][:_NAMED] for axis in axes]
        rows.append([dict(zip(names, sizes, strict=True)) for sizes in islice(product(*named), _RUN)])
    for row in zip_longest(*rows):
        yield from (point for point in row if point is not None)


def _common(axes: Sequence[Axis], tell: Mapping[str, Sequence[int]]) -> Iterator[int]:
    """Yield sizes that every axis can have."""
    every = dict.fromkeys(size for axis in axes for size in tell[axis.name])
    yield from (size for size in every if all(axis.has(size) for axis in axes))


def _together(axes: Sequence[Axis], tell: Mapping[str, Sequence[int]]) -> Iterator[tuple[int, ...]]:
    """Yield the n-th size of every axis at once: smallest with smallest, largest with largest."""
    ordered = [sorted(tell[axis.name])[:_RUN] for axis in axes]
    yield from zip(*ordered, strict=False)
    yield from zip(ordered[0], *(sizes[::-1] for sizes in ordered[1:]), strict=False)


def _codes(owner: torch.nn.Module) -> Iterator[CodeType]:
    """Yield the code of a module's own methods, and of functions that it holds, without torch's."""
    kind = type(owner)
    methods = [] if kind.__module__.startswith("torch.") else list(vars(kind).values())
    for value in [*methods, *vars(owner).values()]:
        if isinstance(value, FunctionType):
            yield from _nested(value.__code__)


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from _nested(value)


def _numbers(tree: Any) -> Iterator[int]:
    """Yield whole numbers in nested tuples, lists and dicts."""
    if isinstance(tree, int) and not isinstance(tree, bool):
        yield tree
    elif isinstance(tree, (tuple, list, frozenset)):
        for each in tree:
            yield from _numbers(each)
    elif isinstance(tree, dict):
        yield from _numbers(list(tree.values()))
