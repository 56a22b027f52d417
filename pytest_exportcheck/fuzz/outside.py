"""Undeclared sizes: beyond a bound, with a broken relation between dims, another size of a dim that is not dynamic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pytest_exportcheck.fuzz.inputs import shapes_of
from pytest_exportcheck.fuzz.size_facts import Dim, Facts, evaluated, name_of, root_giving, root_symbol
from pytest_exportcheck.records import Inputs


@dataclass(frozen=True)
class Direction:
    """A way out of the declared sizes: the dims that change, by how much at each step, and up to which step.

    ``about`` is the subject as a message names it; ``beyond`` distinguishes bounds from dims that change one at a time;
    ``start`` are the sizes one step before the first.
    """

    about: str
    beyond: bool
    start: Mapping[Dim, int]
    step: Mapping[Dim, int] = field(default_factory=dict)
    steps: int = 1

    def at(self, number: int) -> dict[Dim, int]:
        """Return the sizes of the changed dims at a step, counted from one."""
        return {dim: size + self.step[dim] * number for dim, size in self.start.items()}


def directions(facts: Facts, call: Inputs, example: Mapping[str, int]) -> list[Direction]:
    """Return every way out of the declared sizes, from the example's. Only promised roots have an outside."""
    shapes = shapes_of(call)
    return [
        *_beyond_bounds(facts, example),
        *_apart(facts, shapes),
        *_static(facts, shapes),
    ]


#: Number of steps out to which sizes are drawn.
_STEPS = 8


def is_declared(facts: Facts, dims: Mapping[Dim, int], call: Inputs) -> bool:
    """Return whether some sizes of the roots give these dims, with all others as in the example."""
    if any(dim not in facts.dims for dim in dims):
        return False
    shapes = shapes_of(call)
    sizes: dict[str, int] = {}
    for (place, number), expr in facts.dims.items():
        if number >= len(shapes.get(place, ())):
            continue
        size = dims.get((place, number), shapes[place][number])
        found = root_giving(expr, size)
        if found is None or sizes.setdefault(*found) != found[1]:
            return False
    return facts.holds(sizes)


def _beyond_bounds(facts: Facts, example: Mapping[str, int]) -> Iterator[Direction]:
    """Yield a root below its lower bound, or above its upper one, and all dims of it with it."""
    for name in sorted(facts.promised):
        interval, symbol = facts.roots[name], root_symbol(name)
        dims = {dim: expr for dim, expr in facts.dims.items() if symbol in expr.free_symbols}
        for bound, sign in ((interval.lower, -1), (interval.upper, 1)):
            if bound is None or not dims:
                continue
            start = {dim: evaluated(expr, {**example, name: bound}) for dim, expr in dims.items()}
            after = {dim: evaluated(expr, {**example, name: bound + sign}) for dim, expr in dims.items()}
            step = {dim: after[dim] - start[dim] for dim in dims}
            most = min((size // -step[dim] for dim, size in start.items() if step[dim] < 0), default=_STEPS)
            if most > 0:
                yield Direction(name, True, start, step, min(most, _STEPS))


def _apart(facts: Facts, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[Direction]:
    """Yield one dim longer, or shorter, than its relation to the others allows, while the others stay."""
    for (place, number), expr in facts.dims.items():
        others = [other for dim, other in facts.dims.items() if dim != (place, number)]
        tied = any(expr.free_symbols & other.free_symbols for other in others)
        whole = expr.is_Symbol and not tied
        if whole or not {str(symbol) for symbol in expr.free_symbols} <= facts.promised or place not in shapes:
            continue
        yield from _one(place, number, shapes[place][number])


def _static(facts: Facts, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[Direction]:
    """Yield an undeclared dim at another size than the example's."""
    for place, shape in shapes.items():
        for number, size in enumerate(shape):
            if (place, number) not in facts.dims:
                yield from _one(place, number, size)


def _one(place: str, number: int, size: int) -> Iterator[Direction]:
    dim, about = (place, number), f"{name_of(place, number)} alone"
    yield Direction(about, False, {dim: size}, {dim: 1}, _STEPS)
    if size > 0:
        yield Direction(about, False, {dim: size}, {dim: -1}, min(size, _STEPS))
