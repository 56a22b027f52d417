"""Fake values: every input as a tensor without data, whose dynamic dimensions are symbols."""

from __future__ import annotations

from collections import defaultdict
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


@dataclass
class Declarations:
    """The declared dims by the places that sizes come from, against which guards are checked."""

    sources: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    derived: list[tuple[Any, Any, Leaf, int]] = field(default_factory=list)
    relaxed: set[Any] = field(default_factory=set)


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
    found = Declarations()
    values = []
    for leaf, said in zip(example.leaves, declared, strict=True):
        value = leaf.value
        if isinstance(value, torch.Tensor):
            value = _fake_tensor(symbolic, leaf, said, found, known.tensors.get(value))
        elif type(value) is int and is_dynamic(said):
            value = _fake_number(symbolic.env, leaf, said, known.numbers.get(leaf.place))
        else:
            value = fake_of(symbolic.mode, value, leaf.text)
        values.append(value)
    return FakeInputs(symbolic, values, _equalities(symbolic.env, found))


def _fake_tensor(symbolic: Symbolic, leaf: Leaf, declared: Any, found: Declarations, known: Any) -> torch.Tensor:
    dims = [_dim(symbolic.env, leaf, number, declared.get(number), found) for number in range(leaf.value.dim())]
    context: sizes.StatelessSymbolicContext[Any, Any] = sizes.StatelessSymbolicContext(
        dynamic_sizes=[dynamic for dynamic, _ in dims], constraint_sizes=[constraint for _, constraint in dims]
    )
    source = leaf.source if known is None else known.tensor_source
    fake = symbolic.mode.from_tensor(leaf.value, source=source, symbolic_context=known or context)
    _track(symbolic.env, fake, leaf, context)
    return fake


def _dim(env: WatchedShapeEnv, leaf: Leaf, number: int, said: Any, found: Declarations) -> tuple[sizes.DimDynamic, Any]:
    """Return how one size of a tensor is dynamic, and the constraint of its symbol."""
    source = TensorPropertySource(leaf.source, TensorProperty.SIZE, number)
    if isinstance(said, sizes.DimHint):
        found.relaxed.add(source)
        return (sizes.DimDynamic.DYNAMIC, _of_hint(said)) if is_dynamic(said) else (sizes.DimDynamic.STATIC, None)
    if not isinstance(said, Dim):
        return sizes.DimDynamic.STATIC, None
    env.source_name_to_debug_name[source.name] = said.__name__
    if isinstance(said, sizes.DerivedDim):
        found.derived.append((source, said, leaf, number))
    found.sources[said.__name__].append(source)
    return sizes.DimDynamic.DYNAMIC, within(said)


def _fake_number(env: WatchedShapeEnv, leaf: Leaf, said: Any, known: Any) -> Any:
    symbol = known
    if symbol is None:
        symbol = env.create_unspecified_symint_and_symbol(leaf.value, leaf.source, sizes.DimDynamic.DYNAMIC)
    _track(env, symbol, leaf, sizes.SymIntSymbolicContext(constraint=_of_hint(said)))
    return symbol


def _track(env: WatchedShapeEnv, fake: Any, leaf: Leaf, context: Any) -> None:
    env.tracked_fakes.append(sizes.TrackedFake(fake, leaf.source, context))  # type: ignore[union-attr]


def _of_hint(hint: Any) -> sizes.RelaxedUnspecConstraint | None:
    """Return the constraint that a size must stay dynamic, which ``Dim.AUTO`` leaves open."""
    return sizes.RelaxedUnspecConstraint(warn_only=False) if hint.type is sizes.DimHintType.DYNAMIC else None


def within(dim: Any) -> sizes.StrictMinMaxConstraint:
    """Return the constraint that a size is in the range of a dim."""
    return sizes.StrictMinMaxConstraint(vr=sizes.ValueRanges(lower=dim.min, upper=dim.max), warn_only=False)


def _equalities(env: WatchedShapeEnv, found: Declarations) -> sizes.EqualityConstraint:
    """Return the constraint that sizes that share a dim are equal, and that those of a derived dim follow from its
    root, which need not be a size of any input.
    """
    pairs = [(sources[0], other) for sources in found.sources.values() for other in sources[1:]]
    phantoms: dict[str, Any] = {}
    derived = []
    for source, dim, leaf, number in found.derived:
        name = dim.root.__name__
        if name not in found.sources and name not in phantoms:
            phantoms[name] = env.create_symbol(
                val=_root_of(dim, leaf, number),
                source=ConstantSource(name),
                dynamic_dim=sizes.DimDynamic.DYNAMIC,
                constraint_dim=within(dim.root),
            )
        derived.append((source, phantoms[name] if name in phantoms else found.sources[name][0], dim.fn))
    return sizes.EqualityConstraint(
        source_pairs=pairs,
        derived_equalities=derived,
        phantom_symbols=list(phantoms.values()),
        relaxed_sources=found.relaxed,
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
