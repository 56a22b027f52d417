"""Fake values: every input as a tensor without data, whose dynamic dimensions are symbols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sympy
import torch
from torch.export import Dim

from pytest_exportcheck.reference._torch import sizes
from pytest_exportcheck.reference._torch.tracing import ConstantSource, TensorProperty, TensorPropertySource
from pytest_exportcheck.reference._torch.values import FakeTensorMode
from pytest_exportcheck.reference.exporter.dynamic_shapes import Declared, is_dynamic
from pytest_exportcheck.reference.exporter.errors import ConstraintViolation
from pytest_exportcheck.reference.exporter.inputs import Example, Leaf
from pytest_exportcheck.reference.exporter.objects import fake_of
from pytest_exportcheck.reference.exporter.shape_env import WatchedShapeEnv


@dataclass(frozen=True)
class FakeInputs:
    """The leaves of the example as fakes, and which of their sizes were declared equal or derived."""

    symbolic: Symbolic
    values: list[Any]
    equalities: sizes.EqualityConstraint | None = None


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
    return symbolic_in(env)


def symbolic_in(env: WatchedShapeEnv) -> Symbolic:
    """Make a fake mode whose symbols are in an environment."""
    return Symbolic(FakeTensorMode(shape_env=env, allow_non_fake_inputs=True, export=True), env)


def fake_inputs(symbolic: Symbolic, example: Example, declared: Sequence[Declared], known: Known) -> FakeInputs:
    """Return the fakes of the example. Refuse a size of the example that does not have the form that was declared."""
    values = []
    for leaf, said in zip(example.leaves, declared, strict=True):
        value = leaf.value
        if isinstance(value, torch.Tensor):
            value = _fake_tensor(symbolic, leaf, said, known.tensors.get(value))
        elif type(value) is int and is_dynamic(said):
            value = _fake_number(symbolic.env, leaf, said, known.numbers.get(leaf.place))
        else:
            value = fake_of(symbolic.mode, value, leaf.text)
        values.append(value)
    return FakeInputs(symbolic, values, _equalities(symbolic.env, example, declared))


def _fake_tensor(symbolic: Symbolic, leaf: Leaf, declared: Any, known: Any) -> torch.Tensor:
    dims = [declared.get(number) for number in range(leaf.value.dim())]
    for number, dim in enumerate(dims):
        if isinstance(dim, Dim):
            symbolic.env.source_name_to_debug_name[_size_source(leaf, number).name] = dim.__name__
    context: sizes.StatelessSymbolicContext[Any, Any] = sizes.StatelessSymbolicContext(
        dynamic_sizes=[
            sizes.DimDynamic.DYNAMIC if isinstance(dim, Dim) or is_dynamic(dim) else sizes.DimDynamic.STATIC
            for dim in dims
        ],
        constraint_sizes=[within(dim) if isinstance(dim, Dim) else _of_hint(dim) for dim in dims],
    )
    source = leaf.source if known is None else known.tensor_source
    fake = symbolic.mode.from_tensor(leaf.value, source=source, symbolic_context=known or context)
    _track(symbolic.env, fake, leaf, context)
    return fake


def _size_source(leaf: Leaf, number: int) -> TensorPropertySource:
    return TensorPropertySource(leaf.source, TensorProperty.SIZE, number)


def _fake_number(env: WatchedShapeEnv, leaf: Leaf, said: Any, known: Any) -> Any:
    symbol = known
    if symbol is None:
        symbol = env.create_unspecified_symint_and_symbol(leaf.value, leaf.source, sizes.DimDynamic.DYNAMIC)
    _track(env, symbol, leaf, sizes.SymIntSymbolicContext(constraint=_of_hint(said)))
    return symbol


def _track(env: WatchedShapeEnv, fake: Any, leaf: Leaf, context: Any) -> None:
    env.tracked_fakes.append(sizes.TrackedFake(fake, leaf.source, context))  # type: ignore[union-attr]


def _of_hint(hint: Any) -> sizes.RelaxedUnspecConstraint | None:
    """Return the constraint that a size stays dynamic, which only ``Dim.DYNAMIC`` requires."""
    is_needed = isinstance(hint, sizes.DimHint) and hint.type is sizes.DimHintType.DYNAMIC
    return sizes.RelaxedUnspecConstraint(warn_only=False) if is_needed else None


def within(dim: Any) -> sizes.StrictMinMaxConstraint:
    """Return the constraint that a size is in the range of a dim."""
    return sizes.StrictMinMaxConstraint(vr=sizes.ValueRanges(lower=dim.min, upper=dim.max), warn_only=False)


def _equalities(env: WatchedShapeEnv, example: Example, declared: Sequence[Declared]) -> sizes.EqualityConstraint:
    """Return the constraint that sizes that share a dim are equal, and that those of a derived dim follow from its
    root, which need not be a size of any input.
    """
    dims = [
        (_size_source(leaf, number), said[number], leaf, number)
        for leaf, said in zip(example.leaves, declared, strict=True)
        if isinstance(leaf.value, torch.Tensor)
        for number in sorted(said)
    ]
    sources: dict[str, list[Any]] = {}
    for source, dim, _, _ in dims:
        if isinstance(dim, Dim):
            sources.setdefault(dim.__name__, []).append(source)
    phantoms: dict[str, Any] = {}
    derived: list[Any] = []
    for source, dim, leaf, number in dims:
        if not isinstance(dim, sizes.DerivedDim):
            continue
        name = dim.root.__name__
        if name not in sources and name not in phantoms:
            phantoms[name] = env.create_symbol(
                val=_root_of(dim, leaf, number),
                source=ConstantSource(name),
                dynamic_dim=sizes.DimDynamic.DYNAMIC,
                constraint_dim=within(dim.root),
            )
        derived.append((source, phantoms[name] if name in phantoms else sources[name][0], dim.fn))
    return sizes.EqualityConstraint(
        source_pairs=[(first, other) for first, *others in sources.values() for other in others],
        derived_equalities=derived,
        phantom_symbols=list(phantoms.values()),
        relaxed_sources={source for source, dim, _, _ in dims if isinstance(dim, sizes.DimHint)},
        warn_only=False,
    )


def _root_of(dim: Any, leaf: Leaf, number: int) -> int:
    """Return the size of the root that gives the size of a derived dim."""
    size = leaf.value.shape[number]
    symbol = sympy.Symbol(dim.root.__name__, integer=True)
    solved = sizes.try_solve(sympy.Eq(dim.fn(symbol), size), symbol)
    if solved is None or not solved[1].is_Integer:
        raise ConstraintViolation(
            f"Expected shape[{number}] = {size} of input Tensor to be of the form {dim.fn(symbol)}, where {symbol} is an integer: "
            f"{leaf.text}.shape[{number}] is {size} in the example but was declared as {dim.fn(symbol)}, and no integer {symbol} gives that size. "
            "Pass an example whose size fits, or change the declaration."
        )
    return int(solved[1])
