"""The setup for fuzzing a case: its declared facts, its example, how inputs of other sizes are made, and pinned
sizes.
"""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis.strategies import SearchStrategy

from pytest_exportcheck.errors import CaseError
from pytest_exportcheck.fuzz.inputs import resized, sizes_in
from pytest_exportcheck.fuzz.size_facts import Dim, Facts, declared_facts, root_giving
from pytest_exportcheck.fuzz.solver import solve
from pytest_exportcheck.harness._torch import pytree
from pytest_exportcheck.records import Case, DeclaredDim, Inputs


@dataclass(frozen=True, eq=False)
class Ground:
    """The setup of one case. ``facts`` are those declared; ``example`` the example inputs; ``redraw(seed)`` gives fresh
    inputs of the example's sizes; ``made(sizes)`` is the case's own way to make inputs, if it has one; ``pins`` are
    sizes that are always run; ``constants`` are numbers in the code of the module.
    """

    facts: Facts
    example: Inputs
    redraw: Callable[[int], Inputs]
    made: Callable[[Mapping[str, int]], Inputs] | None = None
    pins: Sequence[Mapping[str, int]] = ()
    constants: Sequence[int] = ()
    seed: int = 0

    def usual(self, facts: Facts) -> dict[str, int]:
        """Return the sizes of the roots in the example; the smallest size where the example does not determine it."""
        sizes = _root_sizes(facts, self.example)
        return {name: sizes.get(name, interval.lower or 0) for name, interval in facts.roots.items()}

    def inputs(self, facts: Facts, sizes: Mapping[str, int], draw: Callable[[SearchStrategy[Any]], Any]) -> Inputs:
        """Return inputs at declared sizes. ``draw`` draws the arguments for which the case's ``inputs`` gives a
        strategy.
        """
        label = ", ".join(f"{name}={size}" for name, size in sizes.items())
        if self.made is None:
            return replace(self._resized(label, facts.at(sizes)), sizes=tuple(sizes.items()))
        made = self.made(sizes)
        args, kwargs = pytree.tree_map_only(SearchStrategy, draw, (made.args, dict(made.kwargs)))
        return Inputs(label, args, kwargs, tuple(sizes.items()))

    def inputs_of(self, dims: Mapping[Dim, int]) -> Inputs:
        """Return the example's inputs with some dims of undeclared sizes."""
        sizes = tuple((f"{place}.size({number})", size) for (place, number), size in dims.items())
        label = ", ".join(f"{name}={size}" for name, size in sizes)
        return replace(self._resized(label, dims), sizes=sizes)

    def _resized(self, label: str, dims: Mapping[Dim, int]) -> Inputs:
        seed = (self.seed + zlib.crc32(label.encode())) % 2**31  # the same sizes have the same values
        return resized(self.redraw(seed), dims, label=label, seed=seed)


def ground_of(
    case: Case,
    declared: Iterable[DeclaredDim],
    example: Inputs,
    *,
    redraw: Callable[[int], Inputs],
    made: Callable[[Mapping[str, int]], Inputs] | None,
    constants: Sequence[int],
    seed: int,
) -> Ground:
    """Read the facts of a case about sizes.

    Raises
    ------
    CaseError
        When its dynamic shapes admit no size, a pinned size is not among the declared ones, or its ``inputs`` callable
        does not take the dims of the case.
    """
    facts = declared_facts(declared)
    where = f"case {case.name!r} ({case.origin})"
    domain = solve(facts)
    if domain.empty:
        raise CaseError(f"{where}: dynamic_shapes allows no size: {domain.empty}. Correct its bounds.")
    usual = {name: size for name, size in _root_sizes(facts, example).items() if name in facts.roots}
    for pinned in case.sizes:
        unknown = [name for name in pinned if name not in facts.roots]
        if unknown:
            raise CaseError(
                f"{where}: sizes={[dict(pinned)]!r} names {', '.join(map(repr, unknown))}, which dynamic_shapes does not. "
                f"Its dims: {', '.join(facts.roots) or 'none'}."
            )
        if domain.chosen({**usual, **pinned}) is None:
            raise CaseError(
                f"{where}: sizes={[dict(pinned)]!r} is not among the declared sizes: {described(facts)}. Pin declared sizes, or "
                "declare these."
            )
    if case.inputs is not None:
        _check_names(case.inputs, facts, where)
    return Ground(facts, example, redraw, made, case.sizes, constants, seed)


def described(facts: Facts) -> str:
    """Return the declared sizes in words: ``batch 1..16, length 2..oo``."""
    names = [name for name in facts.roots if name in facts.promised] or list(facts.roots)
    return ", ".join(f"{name} {facts.roots[name]}" for name in names)


def _root_sizes(facts: Facts, example: Inputs) -> dict[str, int]:
    """Return the sizes of roots that give dims of the example their sizes."""
    known = sizes_in(example)
    sizes: dict[str, int] = {}
    for dim, expr in facts.dims.items():
        if dim not in known:
            continue
        found = root_giving(expr, known[dim])
        if found is not None:
            sizes.setdefault(*found)
    return sizes


def _check_names(inputs: Callable[..., Any], facts: Facts, where: str) -> None:
    """Check that the ``inputs`` callable takes the dims by their names."""
    try:
        signature = inspect.signature(inputs)
        signature.bind(**dict.fromkeys((name for name in facts.roots if name.isidentifier()), 0))
    except TypeError as error:
        raise CaseError(
            f"{where}: its inputs callable is called with the sizes of {', '.join(facts.roots) or 'no dim'} by name, but "
            f"takes {signature}: {error}."
        ) from None
    except ValueError:  # a builtin does not describe its parameters
        return
