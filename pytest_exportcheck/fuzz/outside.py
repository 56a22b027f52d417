"""Undeclared sizes: beyond a bound, with a broken relation between dims, another size of a dim that is not dynamic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pytest_exportcheck.fuzz.inputs import sizes_in
from pytest_exportcheck.fuzz.size_facts import (
    Dim,
    Facts,
    evaluated,
    is_linear,
    is_true,
    name_of,
    root_giving,
    root_symbol,
)
from pytest_exportcheck.records import Inputs, Interval
from pytest_exportcheck.records.programs import NUMBER


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
    sizes = sizes_in(call)
    return [
        *_beyond_bounds(facts, example),
        *_against_assumptions(facts, example),
        *_apart(facts, sizes),
        *_static(facts, sizes),
    ]


#: Number of steps out to which sizes are drawn.
_STEPS = 8

#: Largest distance from the example at which sizes are searched that break an assumption.
_NEAR = 64


def is_declared(facts: Facts, dims: Mapping[Dim, int], call: Inputs) -> bool:
    """Return whether some sizes of the roots give these dims, with all others as in the example."""
    if any(dim not in facts.dims for dim in dims):
        return False
    known = {**sizes_in(call), **dims}
    sizes: dict[str, int] = {}
    others = []
    for dim, expr in facts.dims.items():
        if dim not in known:
            continue
        if not is_linear(expr):
            others.append((expr, known[dim]))
            continue
        found = root_giving(expr, known[dim]) if dim[1] != NUMBER else (str(expr), known[dim])
        if found is None or sizes.setdefault(*found) != found[1]:
            return False
    determined = [(expr, size) for expr, size in others if {str(each) for each in expr.free_symbols} <= sizes.keys()]
    return all(evaluated(expr, sizes) == size for expr, size in determined) and facts.holds(sizes)


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
            falling = [dim for dim in dims if step[dim] < 0 and dim[1] != NUMBER]
            most = min((start[dim] // -step[dim] for dim in falling), default=_STEPS)
            if most > 0:
                yield Direction(name, True, start, step, min(most, _STEPS))


def _against_assumptions(facts: Facts, example: Mapping[str, int]) -> Iterator[Direction]:
    """Yield sizes within the ranges, next to the example's, that break one of the declared conditions."""
    for condition in facts.conditions:
        names = sorted(str(symbol) for symbol in condition.free_symbols)
        if not set(names) <= facts.promised:
            continue
        roots = {name: example[name] for name in facts.roots}
        for name in names:
            tried = ({**roots, name: roots[name] + sign * step} for step in range(1, _NEAR) for sign in (1, -1))
            inside = (sizes for sizes in tried if facts.roots[name].holds(Interval(sizes[name], sizes[name])))
            broken = next((sizes for sizes in inside if not is_true(condition, sizes)), None)
            if broken is not None:
                after = {dim: size for dim, size in facts.at(broken).items() if size != facts.at(roots)[dim]}
                start = {dim: size for dim, size in facts.at(roots).items() if dim in after}
                if all(size >= 0 for (_, number), size in after.items() if number != NUMBER):
                    yield Direction(str(condition), True, start, {dim: after[dim] - start[dim] for dim in start})


def _apart(facts: Facts, sizes: Mapping[Dim, int]) -> Iterator[Direction]:
    """Yield one dim longer, or shorter, than its relation to the others allows, while the others stay."""
    for (place, number), expr in facts.dims.items():
        others = [other for dim, other in facts.dims.items() if dim != (place, number)]
        tied = any(expr.free_symbols & other.free_symbols for other in others)
        whole = expr.is_Symbol and not tied
        if whole or not {str(symbol) for symbol in expr.free_symbols} <= facts.promised or (place, number) not in sizes:
            continue
        yield from _one(place, number, sizes[place, number])


def _static(facts: Facts, sizes: Mapping[Dim, int]) -> Iterator[Direction]:
    """Yield an undeclared dim at another size than the example's."""
    for (place, number), size in sizes.items():
        if (place, number) not in facts.dims and number != NUMBER:
            yield from _one(place, number, size)


def _one(place: str, number: int, size: int) -> Iterator[Direction]:
    dim, about = (place, number), f"{name_of(place, number)} alone"
    yield Direction(about, False, {dim: size}, {dim: 1}, _STEPS)
    if size > 0:
        yield Direction(about, False, {dim: size}, {dim: -1}, min(size, _STEPS))
