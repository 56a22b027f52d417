"""Calls of a program at sampled sizes: declared ones, and some that the case does not declare."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import torch

from pytest_exportcheck.errors import CaseError
from pytest_exportcheck.fuzz.boundary_values import boundaries
from pytest_exportcheck.fuzz.inputs import shapes_of
from pytest_exportcheck.fuzz.outside import directions, is_declared
from pytest_exportcheck.fuzz.setup import Ground
from pytest_exportcheck.fuzz.size_facts import Dim
from pytest_exportcheck.fuzz.solver import solve
from pytest_exportcheck.harness.tensors import input_leaves
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.records import Inputs, Observation
from pytest_exportcheck.run.case_sizes import CaseSizes
from pytest_exportcheck.run.observer import Observer

#: Sampled sizes of each kind.
_MOST = 4

#: Elements that inputs of sampled sizes may have: these, or a multiple of those of the example. Programs mostly refuse
#: undeclared sizes before they compute anything.
_DECLARED, _UNDECLARED = (2**14, 2), (2**18, 16)


@dataclass(frozen=True, eq=False, kw_only=True)
class SizedCall:
    """Inputs of sampled sizes. ``about`` names the dims that differ from the example, ``declared`` is None where the
    case leaves the size to the capture, ``below``: they are below a declared bound.
    """

    inputs: Inputs
    about: str
    declared: bool | None
    below: bool = False


class Samples:
    """The sampled sizes of one case, the same ones for all engines."""

    def __init__(self, observer: Observer, sizes: CaseSizes) -> None:
        self._observer = observer
        self._sizes = sizes

    def observed(self, run: Callable[..., Any], mode: Mode) -> tuple[Observation, ...]:
        """Call a program at every one of the sizes, each time as if it were the first call."""
        if not self.calls:
            return ()
        call = self._observer.caller(run, mode)
        return tuple(call(each.inputs) for each in self.calls)

    @cached_property
    def calls(self) -> Sequence[SizedCall]:
        """Return the calls; none for a case whose sizes cannot be drawn."""
        try:
            ground = self._sizes.ground
            return (*_declared(ground), *self._undeclared(ground))
        except (CaseError, _Drawn):
            return ()

    def _undeclared(self, ground: Ground) -> Iterator[SizedCall]:
        """Yield the first step of ways out of the declared sizes. Unless all inputs are on the CPU there are none: a
        kernel that meets an index out of range ends the process there.
        """
        leaves = [leaf for _, leaf in input_leaves(ground.example.args, ground.example.kwargs)]
        if any(isinstance(leaf, torch.Tensor) and leaf.device.type != "cpu" for leaf in leaves):
            return
        unread = self._observer.case.dynamic_shapes is not None and not ground.facts.dims
        for way in directions(ground.facts, ground.example, ground.usual(ground.facts))[:_MOST]:
            dims = way.at(1)
            if _is_small(ground, dims, *_UNDECLARED) and not is_declared(ground.facts, dims, ground.example):
                below = way.beyond and any(step < 0 for step in way.step.values())
                declared = None if unread else False
                yield SizedCall(inputs=ground.inputs_of(dims), about=way.about, declared=declared, below=below)


class _Drawn(Exception):
    """The inputs of a case need values that hypothesis draws."""


def _not_drawn(strategy: object) -> Any:
    raise _Drawn(strategy)


def _declared(ground: Ground) -> Iterator[SizedCall]:
    facts, usual = ground.facts, ground.usual(ground.facts)
    domain = solve(facts)
    found = 0
    for chosen in () if domain.empty else boundaries(domain, usual, ground.constants, 4 * _MOST):
        sizes = domain.complete(chosen)
        if sizes is None or sizes == usual or not _is_small(ground, facts.at(sizes), *_DECLARED):
            continue
        about = [name for name, size in sizes.items() if size != usual[name]]
        declared = True if facts.promised.issuperset(about) else None
        yield SizedCall(inputs=ground.inputs(facts, sizes, _not_drawn), about=", ".join(about), declared=declared)
        found += 1
        if found == _MOST:
            return


def _is_small(ground: Ground, dims: Mapping[Dim, int], few: int, times: int) -> bool:
    shapes = shapes_of(ground.example)
    usual = sum(prod(shape) for shape in shapes.values())
    elements = sum(
        prod(dims.get((place, number), size) for number, size in enumerate(shape)) for place, shape in shapes.items()
    )
    return elements <= max(few, times * usual)
