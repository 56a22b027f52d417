"""Checks of a case's inputs against its ``dynamic_shapes``, before anything is captured.

torch reports these faults late, in every mode again, and about the program instead of the case.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pytest_exportcheck.describe.declared import children_of, declared_dims, specs_of
from pytest_exportcheck.describe.specified import broken_assumptions
from pytest_exportcheck.errors import CaseError
from pytest_exportcheck.harness._torch import is_specification, plain_spec
from pytest_exportcheck.harness.dynamic_shapes import specs_by_position
from pytest_exportcheck.harness.tensors import input_leaves
from pytest_exportcheck.records import Case, DeclaredDim, Inputs
from pytest_exportcheck.records.programs import NUMBER

#: Python values that a program keeps as the example has them.
_PLAIN = (bool, int, float, str, type(None))


@dataclass(frozen=True, eq=False)
class _Leaf:
    """One leaf of the inputs: ``name`` is the user's name for it, ``source`` the option of the case that draws it."""

    place: str
    name: str
    source: str
    example: Any
    fresh: Any
    spec: Any

    @property
    def pair(self) -> str:
        return f"({self.example!r}, {self.fresh!r})"


def check_inputs(case: Case, module: torch.nn.Module, example: Inputs, fresh: Inputs, shapes: Any) -> None:
    """Compare the example, the fresh inputs and ``dynamic_shapes`` with one another.

    Raises
    ------
    CaseError
        When a size, a value or the structure varies without a declaration, a declared dim does not exist in its tensor,
        or a size is outside its declared range: every such place, and what to do.
    """
    if not (shapes is None or isinstance(shapes, (Mapping, tuple, list)) or is_specification(shapes)):
        return  # AdditionalInputs declare in another way
    bound = bound_inputs(module, example)
    if bound is None:  # the call itself says so
        return
    names = names_of_inputs(bound, example)
    specs = leaf_specs(module, example, shapes)
    missing = [*_structure(example, fresh, names)]
    given = dict(input_leaves(fresh.args, fresh.kwargs))
    leaves = [
        _Leaf(
            place, named_place(place, names), place.partition("[")[0], value, given.get(place, value), specs.get(place)
        )
        for place, value in input_leaves(example.args, example.kwargs)
    ]
    wrong = [problem for leaf in leaves for problem in _wrong_dims(leaf)]
    if not wrong:  # the dims are those of the tensors
        dims = {(each.place, each.dim): each for each in declared_dims(module, example, shapes)}
        wrong = [*missing, *(problem for leaf in leaves for problem in _problems(leaf, dims))]
    if not wrong:
        wrong = [*broken_assumptions(dims.values(), {"the example inputs": example, "fresh inputs": fresh})]
    if wrong:
        raise CaseError(f"case {case.name!r} ({case.origin}): " + "\n".join(dict.fromkeys(wrong)))


def _problems(leaf: _Leaf, dims: Mapping[tuple[str, int], DeclaredDim]) -> Iterator[str]:
    if isinstance(leaf.example, torch.Tensor) and isinstance(leaf.fresh, torch.Tensor):
        yield from _tensor(leaf, dims)
    elif isinstance(leaf.example, torch.Tensor) or isinstance(leaf.fresh, torch.Tensor):
        kinds = f"({type(leaf.example).__name__}, {type(leaf.fresh).__name__})"
        yield f"{leaf.name} is a tensor in one call of {leaf.source} and not in the next {kinds}; draw one kind of value."
    elif (leaf.place, NUMBER) in dims:
        sizes = {"the example inputs": leaf.example, "fresh inputs": leaf.fresh}
        yield from out_of_range(leaf.name, dims[leaf.place, NUMBER], sizes)
    elif type(leaf.example) is int and type(leaf.spec) is int and {leaf.example, leaf.fresh} != {leaf.spec}:
        yield f"{leaf.name} is {leaf.example} in the example inputs and {leaf.fresh} in fresh inputs, and dynamic_shapes says {leaf.spec}; make them agree."
    elif leaf.spec is None and differing_constants(leaf.example, leaf.fresh):
        declare = ", or declare it in dynamic_shapes with Dim.DYNAMIC" if type(leaf.example) is int else ""
        yield (
            f"{leaf.name} varies between calls of {leaf.source} {leaf.pair}, and a program keeps the value of the example; "
            f"draw one value{declare}."
        )


def differing_constants(one: Any, other: Any) -> bool:
    """Return True if two Python values of a kind that a program keeps as constants differ."""
    plain = isinstance(one, _PLAIN) and isinstance(other, _PLAIN)
    return plain and (type(one), one) != (type(other), other)


def _tensor(leaf: _Leaf, dims: Mapping[tuple[str, int], DeclaredDim]) -> Iterator[str]:
    example, fresh = leaf.example, leaf.fresh
    if example.dtype != fresh.dtype:
        pair = f"({example.dtype}, {fresh.dtype})"
        yield f"the dtype of {leaf.name} varies between calls of {leaf.source} {pair}; draw one dtype."
    if example.dim() != fresh.dim():
        pair = f"({example.dim()}, {fresh.dim()})"
        yield f"the number of dims of {leaf.name} varies between calls of {leaf.source} {pair}; draw one number."
        return
    if example.is_nested or fresh.is_nested:
        return  # sizes of a special kind
    for dim, (one, other) in enumerate(zip(example.shape, fresh.shape, strict=True)):
        declared = dims.get((leaf.place, dim))
        where = f"dim {dim} of {leaf.name}"
        if one != other and (declared is None or not may_vary(declared)):
            said = "is not declared" if declared is None else f"is declared as {declared.text}"
            yield (
                f"{where} varies between calls of {leaf.source} ({one}, {other}) and {said}; declare it in "
                "dynamic_shapes or draw one size."
            )
        elif declared is not None:
            yield from out_of_range(where, declared, {"the example inputs": one, "fresh inputs": other})


def may_vary(declared: DeclaredDim) -> bool:
    """Return True if the size of a dim may vary from call to call."""
    return declared.dynamic or declared.text == "Dim.AUTO"


def out_of_range(where: str, declared: DeclaredDim, sizes: Mapping[str, int]) -> Iterator[str]:
    """Yield a message for each of the sizes of a dim, by the label of the call, that is outside its declared range."""
    range_ = declared.interval
    for label, size in sizes.items():
        if declared.text.isdecimal() and size != int(declared.text):
            yield f"{where} is {size} in {label}, but dynamic_shapes declares {declared.text}; make the two agree."
        elif range_ is not None and not _holds(range_.lower, size, range_.upper):
            upper = "no upper bound" if range_.upper is None else f"to {range_.upper}"
            lower = "no lower bound" if declared.dim == NUMBER and range_.lower is None else range_.lower or 0
            yield (
                f"{where} is {size} in {label}, outside the range that dynamic_shapes declares for {declared.text} "
                f"({lower} {upper}); draw a size within the range, or widen it."
            )


def _holds(lower: int | None, size: int, upper: int | None) -> bool:
    return (lower is None or lower <= size) and (upper is None or size <= upper)


def _wrong_dims(leaf: _Leaf) -> Iterator[str]:
    """Yield a message for each dim of a spec that the tensor does not have."""
    if not isinstance(leaf.example, torch.Tensor):
        return
    has = f"which has {leaf.example.dim()} {'dim' if leaf.example.dim() == 1 else 'dims'}"
    if isinstance(leaf.spec, Mapping):
        for dim in leaf.spec:
            if isinstance(dim, int) and not -leaf.example.dim() <= dim < leaf.example.dim():
                yield f"dynamic_shapes declares dim {dim} of {leaf.name}, {has}; correct the number."
    elif isinstance(leaf.spec, (tuple, list)) and len(leaf.spec) != leaf.example.dim():
        yield (
            f"dynamic_shapes gives {len(leaf.spec)} sizes for {leaf.name}, {has}; give one for each dim, None for a static "
            "one, or a dict of the dynamic ones: {0: Dim('batch')}."
        )


def _structure(example: Inputs, fresh: Inputs, names: Mapping[str, str]) -> Iterator[str]:
    """Yield a message for each leaf that one call of ``args`` or ``kwargs`` gives and another does not."""
    for source in ("args", "kwargs"):
        one, other = (
            [place for place, _ in input_leaves(each.args, each.kwargs) if place.startswith(source)]
            for each in (example, fresh)
        )
        only = [*(place for place in one if place not in other), *(place for place in other if place not in one)]
        if only:
            yield (
                f"the structure of {source} varies between its calls: {named_place(only[0], names)} is given in one and not in "
                f"another ({len(one)}, {len(other)} values); draw one structure."
            )


def bound_inputs(module: torch.nn.Module, call: Inputs) -> inspect.BoundArguments | None:
    """Return the inputs by the parameters of ``forward``; None where they do not fit, or where ``forward`` has no
    signature.
    """
    try:
        return inspect.signature(module.forward).bind(*call.args, **call.kwargs)
    except (TypeError, ValueError):
        return None


def names_of_inputs(bound: inspect.BoundArguments, call: Inputs) -> dict[str, str]:
    """Map ``args[0]`` to the name of the parameter that takes it; keyword arguments by their names."""
    signature = bound.signature
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    positional = [name for name, each in signature.parameters.items() if each.kind in kinds]
    names = {f"args[{number}]": name for number, name in enumerate(positional[: len(call.args)])}
    return {**names, **{f"kwargs[{name!r}]": name for name in call.kwargs}}


def named_place(place: str, names: Mapping[str, str]) -> str:
    """Return a place by the name of the parameter that takes it."""
    root = place[: place.find("]") + 1]
    return names.get(root, root) + place[len(root) :]


def leaf_specs(module: torch.nn.Module, call: Inputs, shapes: Any) -> dict[str, Any]:
    """Return the declaration of ``dynamic_shapes`` for each leaf of the inputs, by place."""
    specs = specs_by_position(module, call.args, call.kwargs, shapes)
    if specs is None:
        return {}
    places = [*(f"args[{number}]" for number in range(len(call.args))), *(f"kwargs[{name!r}]" for name in call.kwargs)]
    values = [*call.args, *call.kwargs.values()]
    return dict(_each(zip(places, values, specs, strict=False)))


def _each(specified: Iterable[tuple[str, Any, Any]]) -> Iterator[tuple[str, Any]]:
    for place, value, spec in specified:
        children = [] if isinstance(value, torch.Tensor) else children_of(value)
        if not children:
            yield place, plain_spec(spec)
        elif spec is not None:
            parts = zip(children, specs_of(plain_spec(spec), value), strict=False)
            yield from _each((place + path, inner, given) for (path, inner), given in parts)
