"""Fake values: every input as a tensor without data, whose dynamic dimensions are symbols."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sympy
import torch
from torch.export import Dim

from pytest_exportcheck.reference._torch.sizes import (
    DerivedDim,
    DimDynamic,
    DimHint,
    DimHintType,
    EqualityConstraint,
    RelaxedUnspecConstraint,
    StatelessSymbolicContext,
    StrictMinMaxConstraint,
    TrackedFake,
    ValueRanges,
    number_context,
    try_solve,
)
from pytest_exportcheck.reference._torch.tracing import ConstantSource, TensorProperty, TensorPropertySource
from pytest_exportcheck.reference._torch.values import FakeTensorMode
from pytest_exportcheck.reference.exporter.dynamic_shapes import Declared
from pytest_exportcheck.reference.exporter.errors import ConstraintViolation
from pytest_exportcheck.reference.exporter.inputs import Example, Leaf
from pytest_exportcheck.reference.exporter.objects import fake_of
from pytest_exportcheck.reference.exporter.shape_env import WatchedShapeEnv


@dataclass
class Declarations:
    """The declared dims by the places that sizes come from, against which guards are checked."""

    sources: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    derived: list[tuple[Any, Any, int, Leaf, int]] = field(default_factory=list)
    relaxed: set[Any] = field(default_factory=set)


@dataclass(frozen=True)
class FakeInputs:
    """The leaves of the example as fakes, and which of their sizes were declared equal or derived."""

    symbolic: Symbolic
    values: list[Any]
    equalities: EqualityConstraint


@dataclass(frozen=True)
class Symbolic:
    """A fake mode, and the environment of its symbols."""

    mode: FakeTensorMode
    env: WatchedShapeEnv


@dataclass(frozen=True)
class Known:
    """The symbols that Dynamo made: the contexts of tensors, which hold those of their sizes, and numbers by their
    places.
    """

    tensors: Mapping[torch.Tensor, Any] = field(default_factory=dict)
    numbers: Mapping[str, Any] = field(default_factory=dict)


def new_symbolic(*, deferred: bool) -> Symbolic:
    """Make a fake mode with a new environment of symbols; ``deferred`` is ``export``'s
    ``prefer_deferred_runtime_asserts_over_guards``.
    """
    env = WatchedShapeEnv(tracked_fakes=[], trace_asserts=True, prefer_deferred_runtime_asserts_over_guards=deferred)
    return Symbolic(FakeTensorMode(shape_env=env, allow_non_fake_inputs=True, export=True), env)


def fake_inputs(
    symbolic: Symbolic,
    example: Example,
    declared: Sequence[Declared],
    known: Known,
) -> FakeInputs:
    """Return the fakes of the example.

    Raises
    ------
    ConstraintViolation
        Where a size of the example does not have the form that was declared.
    """
    found = Declarations()
    values = []
    for leaf, said in zip(example.leaves, declared, strict=True):
        value = leaf.value
        if isinstance(value, torch.Tensor):
            value = _fake_tensor(symbolic, leaf, said, found, known.tensors.get(value))
        elif type(value) is int and isinstance(said, DimHint) and said.type is not DimHintType.STATIC:
            value = _fake_number(symbolic, leaf, said, known.numbers.get(leaf.place))
        else:
            value = fake_of(symbolic.mode, value, leaf.text)
        values.append(value)
    return FakeInputs(symbolic, values, _equalities(symbolic.env, found))


def _fake_tensor(symbolic: Symbolic, leaf: Leaf, declared: Any, found: Declarations, known: Any) -> torch.Tensor:
    dimensions: list[Any] = []
    constraints: list[Any] = []
    for number in range(leaf.value.dim()):
        source = TensorPropertySource(leaf.source, TensorProperty.SIZE, number)
        dynamic, constraint = _dimension(symbolic, leaf, number, declared.get(number), source, found)
        dimensions.append(dynamic)
        constraints.append(constraint)
    context: StatelessSymbolicContext[Any, Any] = StatelessSymbolicContext(
        dynamic_sizes=dimensions, constraint_sizes=constraints
    )
    source = leaf.source if known is None else known.tensor_source
    fake = symbolic.mode.from_tensor(leaf.value, source=source, symbolic_context=known or context)
    symbolic.env.tracked_fakes.append(  # type: ignore[union-attr]
        TrackedFake(fake, leaf.source, context)
    )
    return fake


def _dimension(
    symbolic: Symbolic, leaf: Leaf, number: int, said: Any, source: Any, found: Declarations
) -> tuple[Any, Any]:
    """Return how one dimension is dynamic, and the constraint of its symbol."""
    if isinstance(said, DimHint):
        found.relaxed.add(source)
        if said.type is DimHintType.STATIC:
            return DimDynamic.STATIC, None
        must = RelaxedUnspecConstraint(warn_only=False) if said.type is DimHintType.DYNAMIC else None
        return DimDynamic.DYNAMIC, must
    if isinstance(said, Dim):
        symbolic.env.source_name_to_debug_name[source.name] = said.__name__
        if isinstance(said, DerivedDim):
            found.derived.append((source, said, leaf.value.shape[number], leaf, number))
        found.sources[said.__name__].append(source)
        return DimDynamic.DYNAMIC, _within(said)
    return DimDynamic.STATIC, None


def _within(dim: Any) -> StrictMinMaxConstraint:
    return StrictMinMaxConstraint(vr=ValueRanges(lower=dim.min, upper=dim.max), warn_only=False)


def _fake_number(symbolic: Symbolic, leaf: Leaf, said: Any, known: Any) -> Any:
    symbol: Any = (
        known
        if known is not None
        else symbolic.env.create_unspecified_symint_and_symbol(leaf.value, leaf.source, DimDynamic.DYNAMIC)
    )
    context = number_context(said.type is DimHintType.DYNAMIC)
    symbolic.env.tracked_fakes.append(  # type: ignore[union-attr]
        TrackedFake(symbol, leaf.source, context)
    )
    return symbol


def _equalities(shape_env: WatchedShapeEnv, found: Declarations) -> EqualityConstraint:
    """Return the constraint that sizes that share a dim are equal, and that those of a derived dim follow from its
    root, which need not be a size of any input.
    """
    pairs = [(sources[0], other) for sources in found.sources.values() for other in sources[1:]]
    phantoms: dict[str, Any] = {}
    derived = []
    for source, dim, size, leaf, number in found.derived:
        name = dim.root.__name__
        if name in found.sources:
            root = found.sources[name][0]
        else:
            if name not in phantoms:
                phantoms[name] = shape_env.create_symbol(
                    val=_root_of(dim, size, leaf, number),
                    source=ConstantSource(name),
                    dynamic_dim=DimDynamic.DYNAMIC,
                    constraint_dim=_within(dim.root),
                )
            root = phantoms[name]
        derived.append((source, root, dim.fn))
    return EqualityConstraint(
        source_pairs=pairs,
        derived_equalities=derived,
        phantom_symbols=list(phantoms.values()),
        relaxed_sources=found.relaxed,
        warn_only=False,
    )


def _root_of(dim: Any, size: int, leaf: Leaf, number: int) -> int:
    symbol = sympy.Symbol(dim.root.__name__, integer=True)
    solved = try_solve(sympy.Eq(dim.fn(symbol), size), symbol)
    if solved is None or not solved[1].is_Integer:
        raise ConstraintViolation(
            f"Expected shape[{number}] = {size} of input Tensor to be of the form {dim.fn(symbol)}, where {symbol} is an integer: "
            f"{leaf.text}.shape[{number}] is {size} in the example but was declared as {dim.fn(symbol)}, and no integer {symbol} gives that size. "
            "Pass an example whose size fits, or change the declaration."
        )
    return int(solved[1])
