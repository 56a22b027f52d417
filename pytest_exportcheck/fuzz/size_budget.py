"""The size budget: how many elements inputs may have, relative to the example."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from pytest_exportcheck.fuzz.inputs import shapes_of
from pytest_exportcheck.fuzz.outside import Direction
from pytest_exportcheck.fuzz.size_facts import Facts
from pytest_exportcheck.fuzz.solver import Axis, Domain
from pytest_exportcheck.records import Inputs

#: Elements of all inputs together that are always allowed; sizes that a program is to refuse may be larger.
FEW, MANY = 2**18, 2**24

#: Inputs may have at most this many times the elements of the example, and a root without an upper bound this many
#: times its size.
TIMES = 16

#: A root without an upper bound may always have this size.
UNBOUNDED = 257


class Limits:
    """The sizes that are not tried, and why."""

    def __init__(self, facts: Facts, example: Inputs, usual: Mapping[str, int]) -> None:
        self._facts = facts
        self._usual = usual
        self._shapes = shapes_of(example)
        self._most = max(FEW, TIMES * self._elements({}))
        self._cut: dict[str, int] = {}

    def capped(self, domain: Domain) -> Domain:
        """Return the domain without the sizes of one root that are too large while the others are as in the example."""
        axes = [self._capped(axis) for axis in domain.axes]
        return Domain(tuple(axes), domain.follows, domain.filters, domain.empty)

    def allow(self, sizes: Mapping[str, int]) -> bool:
        """Return whether inputs of these sizes are small enough."""
        return self._elements(self._facts.at(sizes)) <= self._most

    def hold(self, way: Direction) -> bool:
        """Return whether the first step out is small enough to be tried."""
        return self._elements(way.at(1)) <= MANY

    def notes(self) -> list[str]:
        """Return a note for each set of declared sizes that was left out."""
        return [
            f"fuzz: sizes of {name} above {size} were not tried: inputs would have more than {self._most} elements"
            for name, size in self._cut.items()
        ]

    def _elements(self, dims: Mapping[tuple[str, int], int]) -> int:
        return sum(
            prod(dims.get((place, number), size) for number, size in enumerate(shape))
            for place, shape in self._shapes.items()
        )

    def _capped(self, axis: Axis) -> Axis:
        bounded = axis.last is not None
        if not bounded:
            axis = axis.up_to(max(UNBOUNDED, TIMES * self._usual.get(axis.name, 1)))
        low, high = 0, (axis.count or 1) - 1
        while low < high:  # the last size that is small enough
            middle = (low + high + 1) // 2
            if self.allow({**self._usual, axis.name: axis.first + axis.step * middle}):
                low = middle
            else:
                high = middle - 1
        capped = axis.up_to(axis.first + axis.step * low)
        if bounded and capped.last != axis.last and capped.count != axis.count:
            self._cut[axis.name] = capped.last or 0
        return capped
