"""Checks of the named inputs of a case against its example and its ``dynamic_shapes``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch

from pytest_exportcheck.describe.declared import declared_dims
from pytest_exportcheck.describe.inputs import (
    bound_inputs,
    differing_constants,
    leaf_specs,
    may_vary,
    named_place,
    names_of_inputs,
    out_of_range,
)
from pytest_exportcheck.describe.specified import broken_assumptions
from pytest_exportcheck.errors import CaseError
from pytest_exportcheck.harness._torch import is_specification
from pytest_exportcheck.harness.tensors import input_leaves
from pytest_exportcheck.records import Case, DeclaredDim, Inputs
from pytest_exportcheck.records.programs import NUMBER


def check_sample(case: Case, module: torch.nn.Module, example: Inputs, sample: Inputs, shapes: Any) -> None:
    """Compare named inputs with the example and with ``dynamic_shapes``.

    Raises
    ------
    CaseError
        When they have another structure, dtype or number of dims than the example, or a size that is not declared: every
        such place, and what to do.
    """
    if not (shapes is None or isinstance(shapes, (Mapping, tuple, list)) or is_specification(shapes)):
        return  # AdditionalInputs declare in another way
    bound = bound_inputs(module, example)
    names = {} if bound is None else names_of_inputs(bound, example)
    dims = {} if bound is None else {(each.place, each.dim): each for each in declared_dims(module, example, shapes)}
    declared = (
        set()
        if bound is None
        else {place for place, spec in leaf_specs(module, example, shapes).items() if spec is not None}
    )
    wrong = list(_problems(example, sample, names, dims, declared))
    if not wrong:
        wrong = [*_related(sample, names, dims), *broken_assumptions(dims.values(), {sample.label: sample})]
    if wrong:
        raise CaseError(f"case {case.name!r} ({case.origin}): " + "\n".join(dict.fromkeys(wrong)))


def _problems(
    example: Inputs,
    sample: Inputs,
    names: Mapping[str, str],
    dims: Mapping[tuple[str, int], DeclaredDim],
    declared: Collection[str],
) -> Iterator[str]:
    """Yield what does not fit; ``declared`` are the places that ``dynamic_shapes`` says something about."""
    one, other = (dict(input_leaves(each.args, each.kwargs)) for each in (example, sample))
    for label, places, others in ((example.label, one, other), (sample.label, other, one)):
        for place in places:
            if place not in others:
                yield f"{named_place(place, names)} is only in {label}; {sample.label} must have the structure of the example."
    for place, value in one.items():
        if place in other:
            yield from _leaf(place, named_place(place, names), value, other[place], sample.label, dims, declared)


def _leaf(
    place: str,
    name: str,
    value: Any,
    given: Any,
    label: str,
    dims: Mapping[tuple[str, int], DeclaredDim],
    declared: Collection[str],
) -> Iterator[str]:
    if isinstance(value, torch.Tensor) and isinstance(given, torch.Tensor):
        yield from _tensor(place, name, value, given, label, dims)
    elif isinstance(value, torch.Tensor) or isinstance(given, torch.Tensor):
        kinds = type(given).__name__, type(value).__name__
        yield f"{name} is a {kinds[0]} in {label} and a {kinds[1]} in the example inputs; give the same kind of value."
    elif (place, NUMBER) in dims:
        yield from out_of_range(name, dims[place, NUMBER], {label: given})
    elif place not in declared and differing_constants(value, given):
        yield (
            f"{name} is {given!r} in {label} and {value!r} in the example inputs, and a program keeps the value of the "
            "example; give that value, or write another case."
        )


def _tensor(
    place: str,
    name: str,
    value: torch.Tensor,
    given: torch.Tensor,
    label: str,
    dims: Mapping[tuple[str, int], DeclaredDim],
) -> Iterator[str]:
    if given.dtype != value.dtype:
        yield f"{name} is {given.dtype} in {label} and {value.dtype} in the example inputs; convert the sample."
    if given.dim() != value.dim():
        yield f"{name} has {given.dim()} dims in {label} and {value.dim()} in the example inputs; reshape the sample."
        return
    if value.is_nested or given.is_nested:
        return  # sizes of a special kind
    for dim, (size, got) in enumerate(zip(value.shape, given.shape, strict=True)):
        declared, where = dims.get((place, dim)), f"dim {dim} of {name}"
        if declared is not None and (size == got or may_vary(declared)):
            yield from out_of_range(where, declared, {label: got})
        elif size != got:
            said = "is not declared" if declared is None else f"is declared as {declared.text}"
            yield (
                f"{where} is {got} in {label} and {size} in the example inputs, and {said}; declare it in dynamic_shapes, or "
                "resize the sample."
            )


def _related(sample: Inputs, names: Mapping[str, str], dims: Mapping[tuple[str, int], DeclaredDim]) -> Iterator[str]:
    """Yield a message for each dim whose size does not follow from the size of its root elsewhere."""
    roots: dict[str, tuple[int | None, str]] = {}
    given = dict(input_leaves(sample.args, sample.kwargs))
    for (place, dim), declared in dims.items():
        value = given.get(place)
        if not declared.root or not declared.dynamic or not isinstance(value, torch.Tensor) or dim == NUMBER:
            continue
        where, size = f"dim {dim} of {named_place(place, names)}", value.shape[dim]
        own = declared.root_for(size)
        root, first = roots.setdefault(declared.root, (own, f"{where} is {size}"))
        if own is None or own != root:
            also = "" if first.startswith(where) else f", and {first}"
            yield (
                f"{where} is {size} in {sample.label}, but dynamic_shapes declares {declared.text} for it{also}; make the "
                "sizes agree."
            )
