"""Specifications of dynamic shapes: sizes as variables, which become symbols that the trace knows nothing of but the
ranges and assumptions that were declared.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from pytest_exportcheck.reference._torch.sizes import EqualityConstraint
from pytest_exportcheck.reference._torch.specifications import (
    PARTS,
    SPECIFICATIONS,
    TAKEN,
    assume,
    bound,
    finish,
    resolved,
    tensor_context,
    tie,
    whole,
)
from pytest_exportcheck.reference._torch.values import pytree
from pytest_exportcheck.reference.exporter.errors import InvalidInput
from pytest_exportcheck.reference.exporter.fake_inputs import FakeInputs, Symbolic
from pytest_exportcheck.reference.exporter.inputs import Example, Leaf


def effective_shapes(module: torch.nn.Module, dynamic_shapes: Any) -> Any:
    """Return the dynamic shapes of a call: those that are given, or those that ``@dynamic_spec`` attached to forward.

    Raises
    ------
    InvalidInput
        Where there are both, or a specification in a form or for a version of torch that does not take it.
    """
    with _refused("Leave out dynamic_shapes, or take the decorator away."):
        shapes = resolved(module, dynamic_shapes)
    found = next((each for each in pytree.tree_leaves(shapes) if isinstance(each, (*SPECIFICATIONS, *PARTS))), None)
    if found is not None and not TAKEN:
        raise InvalidInput(
            f"dynamic_shapes has a {type(found).__name__}: torch.export takes specifications since torch 2.14, and this is "
            f"torch {torch.__version__}. Declare the dims with torch.export.Dim, or upgrade torch."
        )
    if isinstance(found, PARTS):
        raise InvalidInput(
            f"dynamic_shapes has a {type(found).__name__} outside of a specification, which torch.export does not take. "
            'Wrap it: dynamic_shapes=ShapesSpec(ParamsSpec({"x": TensorSpec([ShapeVar("batch"), None])})).'
        )
    return shapes


def is_specification(shapes: Any) -> bool:
    """Return True for dynamic shapes that are a specification."""
    return isinstance(shapes, SPECIFICATIONS)


def specified_inputs(module: torch.nn.Module, symbolic: Symbolic, example: Example, shapes: Any) -> FakeInputs:
    """Return the fakes of the example, whose specified sizes and numbers are unbacked symbols.

    Raises
    ------
    InvalidInput
        Where the specification does not fit the example, in torch's words and with what to declare.
    """
    specification = whole(shapes)
    assume(symbolic.env, specification)
    with _refused("Name parameters that the example gives, and specify each by its kind: a tensor by TensorSpec, an int by "
                  "IntVar or an int, a list or tuple by SeqSpec, a dict by DictSpec, a registered class by ObjectSpec."):  # fmt: skip
        specs = bound(module, example.args, example.kwargs, specification)
    seen: set[int] = set()
    with symbolic.env.ignore_fresh_unbacked_symbols():
        values = [_fake(symbolic, leaf, spec, seen) for leaf, spec in zip(example.leaves, specs, strict=True)]
    with _refused("Give each of them the size of a dim, or a number, of an input."):
        finish(symbolic.env)
    none = EqualityConstraint(
        source_pairs=[], derived_equalities=[], phantom_symbols=[], relaxed_sources=set(), warn_only=False
    )
    return FakeInputs(symbolic, values, none)


def _fake(symbolic: Symbolic, leaf: Leaf, spec: Any, seen: set[int]) -> Any:
    value = leaf.value
    if isinstance(value, torch.Tensor):
        if id(value) in seen:  # fakes go by identity: one tensor that is given twice is two inputs all the same
            value = value.detach().requires_grad_(value.requires_grad)
        seen.add(id(value))
        return _fake_tensor(symbolic, leaf, value, spec)
    if type(value) is not int or spec is None:
        return value
    if isinstance(spec, int):
        if value != spec:
            raise InvalidInput(
                f"shapes_spec declared {leaf.source.name} as static with value {spec}, but got {value} at trace time. "
                f"Give {leaf.text} that value in the example, or declare an IntVar."
            )
        return value
    number = symbolic.env.create_unbacked_symint(source=leaf.source)
    tie(spec, number)
    return number


def _fake_tensor(symbolic: Symbolic, leaf: Leaf, value: torch.Tensor, spec: Any) -> torch.Tensor:
    if spec is None:
        return symbolic.mode.from_tensor(value, static_shapes=True, source=leaf.source)
    with _refused(
        f"{leaf.text} has the shape {tuple(value.shape)}: give one entry for each of its dims, None for a static one."
    ):
        context = tensor_context(value, leaf.source, spec)
    fake = symbolic.mode.from_tensor(value, static_shapes=False, source=leaf.source, symbolic_context=context)
    for entry, size in zip(spec, fake.shape, strict=True):
        if isinstance(entry, torch.SymInt) and isinstance(size, torch.SymInt):
            tie(entry, size)
    return fake


@contextmanager
def _refused(remedy: str) -> Iterator[None]:
    """Refuse in torch's words, with what to do."""
    try:
        yield
    except (ValueError, AssertionError) as error:
        raise InvalidInput(f"{str(error).rstrip('.')}. {remedy}") from error
