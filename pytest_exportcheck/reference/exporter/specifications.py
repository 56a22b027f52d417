"""Specifications of dynamic shapes: sizes as variables, which become symbols that the trace knows nothing of but the
ranges and assumptions that were declared.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from pytest_exportcheck.reference._torch import specifications as torch_specs
from pytest_exportcheck.reference._torch.values import pytree
from pytest_exportcheck.reference.exporter.errors import InvalidInput
from pytest_exportcheck.reference.exporter.fake_inputs import FakeInputs, Known, Symbolic
from pytest_exportcheck.reference.exporter.inputs import Example, Leaf
from pytest_exportcheck.reference.exporter.objects import fake_of

_KINDS = (
    "Name parameters that the example gives, and specify each by its kind: a tensor by TensorSpec, an int by IntVar or an "
    "int, a list or tuple by SeqSpec, a dict by DictSpec, a registered class by ObjectSpec."
)


def effective_shapes(module: torch.nn.Module, dynamic_shapes: Any) -> Any:
    """Return the dynamic shapes of a call: those that are given, or those that ``@dynamic_spec`` attached to forward.
    Refuse both together, and a specification in a form or for a version of torch that does not take it.
    """
    with _refused("Leave out dynamic_shapes, or take the decorator away."):
        shapes = torch_specs.resolved(module, dynamic_shapes)
    found = next(
        (
            each
            for each in pytree.tree_leaves(shapes)
            if isinstance(each, (*torch_specs.SPECIFICATIONS, *torch_specs.PARTS))
        ),
        None,
    )
    if found is not None and not torch_specs.TAKEN:
        raise InvalidInput(
            f"dynamic_shapes has a {type(found).__name__}: torch.export takes specifications since torch 2.14, and this is "
            f"torch {torch.__version__}. Declare the dims with torch.export.Dim, or upgrade torch."
        )
    if isinstance(found, torch_specs.PARTS):
        raise InvalidInput(
            f"dynamic_shapes has a {type(found).__name__} outside of a specification, which torch.export does not take. "
            'Wrap it: dynamic_shapes=ShapesSpec(ParamsSpec({"x": TensorSpec([ShapeVar("batch"), None])})).'
        )
    return shapes


@dataclass(frozen=True)
class Specification:
    """A specification that fits the example: the part of each leaf, and the whole of it in the names of
    ``call(module, args, kwargs)``.
    """

    leaves: list[Any]
    of_call: Any


def specification_of(module: torch.nn.Module, example: Example, shapes: Any, *, deferred: bool) -> Specification | None:
    """Return the specification of a call, None for dynamic shapes in another form. Refuse one that does not fit the
    example, in torch's words and with what to declare.
    """
    if not isinstance(shapes, torch_specs.SPECIFICATIONS):
        return None
    if deferred:
        raise InvalidInput(
            "`prefer_deferred_runtime_asserts_over_guards=True` cannot be combined with `dynamic_shapes=ShapesSpec(...)`, "
            "whose symbols have runtime assertions already. Leave the flag out."
        )
    with _refused(_KINDS):
        specs = torch_specs.bound(module, example.args, example.kwargs, torch_specs.whole(shapes))
    for leaf, spec in zip(example.leaves, specs, strict=True):
        if isinstance(leaf.value, torch.Tensor) and spec is not None:
            _context(leaf, spec)
        elif isinstance(spec, int) and leaf.value != spec:
            raise InvalidInput(
                f"shapes_spec declared {leaf.source.name} as static with value {spec}, but got {leaf.value} at trace time. "
                f"Give {leaf.text} that value in the example, or declare an IntVar."
            )
    return Specification(specs, torch_specs.for_call(module, example.args, example.kwargs, torch_specs.whole(shapes)))


def specified_inputs(symbolic: Symbolic, example: Example, specification: Specification, known: Known) -> FakeInputs:
    """Return the fakes of the example, whose specified sizes and numbers are unbacked symbols."""
    with symbolic.env.ignore_fresh_unbacked_symbols():
        leaves = zip(example.leaves, specification.leaves, strict=True)
        values = [_fake(symbolic, leaf, spec, known) for leaf, spec in leaves]
    with unbound_refused():
        torch_specs.finish(symbolic.env)
    return FakeInputs(symbolic, values)


def _fake(symbolic: Symbolic, leaf: Leaf, spec: Any, known: Known) -> Any:
    """Return the fake of a leaf; the symbols that Dynamo made are bound to the variables already."""
    if isinstance(leaf.value, torch.Tensor):
        context = known.tensors.get(leaf.value)
        if context is not None:
            return symbolic.mode.from_tensor(leaf.value, source=context.tensor_source, symbolic_context=context)
        return _fake_tensor(symbolic, leaf, spec)
    if type(leaf.value) is not int or not isinstance(spec, torch.SymInt):
        return fake_of(symbolic.mode, leaf.value, leaf.text)
    if leaf.place in known.numbers:
        return known.numbers[leaf.place]
    number = symbolic.env.create_unbacked_symint(source=leaf.source)
    torch_specs.tie(spec, number)
    return number


def _fake_tensor(symbolic: Symbolic, leaf: Leaf, spec: Any) -> torch.Tensor:
    if spec is None:
        return symbolic.mode.from_tensor(leaf.value, static_shapes=True, source=leaf.source)
    fake = symbolic.mode.from_tensor(
        leaf.value, static_shapes=False, source=leaf.source, symbolic_context=_context(leaf, spec)
    )
    for entry, size in zip(spec, fake.shape, strict=True):
        if isinstance(entry, torch.SymInt) and isinstance(size, torch.SymInt):
            torch_specs.tie(entry, size)
    return fake


def _context(leaf: Leaf, spec: Any) -> Any:
    shape = tuple(leaf.value.shape)
    with _refused(f"{leaf.text} has the shape {shape}: give one entry for each of its dims, None for a static one."):
        return torch_specs.tensor_context(leaf.value, leaf.source, spec)


def unbound_refused() -> AbstractContextManager[None]:
    """Refuse a variable of an assumption or a derived size that no input has."""
    return _refused("Give each of them the size of a dim, or a number, of an input.")


@contextmanager
def _refused(remedy: str) -> Iterator[None]:
    """Refuse in torch's words, with what to do."""
    try:
        yield
    except (ValueError, AssertionError) as error:
        raise InvalidInput(f"{str(error).rstrip('.')}. {remedy}") from error
