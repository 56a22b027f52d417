"""Comparison of two leaves of a pytree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from pytest_exportcheck.checks.closeness import Limit, Rule
from pytest_exportcheck.checks.compare.budgets import explained, is_measured, measured, unlike_places
from pytest_exportcheck.harness.tensors import (
    UNREADABLE,
    as_plain,
    differing_elements,
    facts_of,
    has_values,
    parts_of,
    same_bits,
)
from pytest_exportcheck.harness.tensors.layouts import is_packed
from pytest_exportcheck.records import Agreement, Leaf, ObjectValue, TensorFacts


@dataclass(frozen=True)
class Difference:
    """A difference between two values."""

    kind: str
    expected: str
    actual: str
    detail: str = ""


def differences(expected: Leaf, actual: Leaf, rule: Rule) -> Iterator[Difference]:
    """Yield the differences between two leaves of the same place. Values are compared only where the facts agree."""
    if expected.facts is None or actual.facts is None:
        yield from _plain(expected.value, actual.value, rule)
        return
    factual = list(_facts(expected.facts, actual.facts))
    yield from factual
    if rule.level != "structure" and not any(each.kind != "stride" for each in factual):
        yield from value_difference(expected.value, actual.value, rule)


def value_difference(expected: torch.Tensor, actual: torch.Tensor, rule: Rule) -> Iterator[Difference]:
    """Yield the difference between the values of two tensors, if there is one."""
    if same_bits(expected, actual):
        return
    if not _same_form(expected, actual):
        yield Difference("value", tensor_text(expected), tensor_text(actual))
        return
    if not (has_values(expected) and has_values(actual)):
        if has_values(expected) != has_values(actual):
            yield Difference("value", tensor_text(expected), tensor_text(actual), "one of them has no data")
        return
    left, right = _shown_parts(expected), _shown_parts(actual)
    if [name for name, _ in left] != [name for name, _ in right]:
        yield Difference("value", tensor_text(expected), tensor_text(actual), "they have other parts")
        return
    for (name, one), (_, other) in zip(left, right, strict=True):
        yield from _part_difference(name, one, other, rule)


def _shown_parts(tensor: torch.Tensor) -> tuple[tuple[str, torch.Tensor], ...]:
    """Return the parts of a tensor; a sparse tensor as one dense part, as long as there is memory for it."""
    if tensor.layout is torch.strided or tensor.is_nested or tensor.numel() > _LARGE:
        return parts_of(tensor)
    try:
        return parts_of(tensor.detach().to_dense())
    except UNREADABLE:
        return parts_of(tensor)


#: Elements of a sparse tensor that is still shown as a dense one.
_LARGE = 2**24


def _part_difference(name: str, expected: torch.Tensor, actual: torch.Tensor, rule: Rule) -> Iterator[Difference]:
    """Yield the difference between two parts (:func:`parts_of`) of the same name, if there is one."""
    if expected.shape != actual.shape or expected.dtype != actual.dtype:
        yield Difference("value", tensor_text(expected), tensor_text(actual), _of_part(name))
        return
    places = differing_elements(expected, actual)
    left, right = _flat(expected), _flat(actual)
    if rule.agreement is not None and is_measured(expected, rule.agreement):
        yield from _beyond_budget(expected, actual, rule.agreement)
        return
    limit = rule.limit(str(expected.dtype).removeprefix("torch."), _largest(left))
    if not places.numel() or (limit is not None and _is_close(left, right, limit)):
        return
    yield Difference(
        "value",
        _element(left, int(places[0]), expected.shape),
        _element(right, int(places[0]), expected.shape),
        "\n".join(filter(None, [_extent(left, right, places, limit), _of_part(name)])),
    )


def _beyond_budget(expected: torch.Tensor, actual: torch.Tensor, budget: Agreement) -> Iterator[Difference]:
    """Yield the difference between two parts of which a measure of the budget is not met."""
    left, right = _flat(expected), _flat(actual)
    places = differing_elements(expected, actual)
    unlike = unlike_places(expected, actual)
    if unlike.numel():
        yield Difference(
            "value",
            _element(left, int(unlike[0]), expected.shape),
            _element(right, int(unlike[0]), expected.shape),
            f"{unlike.numel()} of {expected.numel()} elements are NaN or infinite on one side; a budget is for finite values",
        )
        return
    missed = [each for each in measured(expected, actual, budget) if not each.is_met]
    if missed:
        detail = [_extent(left, right, places, None), explained(missed, expected)]
        yield Difference(
            "value",
            " and ".join(each.expected for each in missed),
            " and ".join(each.actual for each in missed),
            "\n".join(filter(None, detail)),
        )


def _of_part(name: str) -> str:
    return f"in its part {name!r}" if name else ""


def tensor_text(tensor: torch.Tensor) -> str:
    """Render a tensor in one line: ``float32[2, 16]``, or its values where they are few."""
    facts, parts = facts_of(tensor), parts_of(tensor)
    if tensor.is_nested:
        return f"nested {facts.dtype} " + ", ".join(f"{name} {list(part.shape)}" for name, part in parts)
    text = f"{facts.dtype}{list(facts.shape)}"
    if not parts:
        return f"{text} without data ({facts.type})"
    if facts.layout == "strided" and [name for name, _ in parts] == [""] and 0 < parts[0][1].numel() <= 8:
        text += f" {_flat(parts[0][1]).reshape(facts.shape).tolist()}"
    return text


@as_plain
def _same_form(expected: torch.Tensor, actual: torch.Tensor) -> bool:
    """Return True if the elements of two tensors can be compared one by one."""
    if expected.is_nested or actual.is_nested:
        return expected.is_nested == actual.is_nested and expected.dtype == actual.dtype
    return expected.shape == actual.shape and expected.dtype == actual.dtype


def _facts(expected: TensorFacts, actual: TensorFacts) -> Iterator[Difference]:
    for kind in ("type", "shape", "dtype", "device", "layout"):
        left, right = getattr(expected, kind), getattr(actual, kind)
        if left != right:
            yield Difference(kind, _text(left), _text(right))
    if expected.shape == actual.shape and 0 not in expected.shape:
        left, right = strides(expected), strides(actual)
        if left != right:
            yield Difference("stride", _text(expected.stride), _text(actual.stride), f"of shape {list(expected.shape)}")


def strides(facts: TensorFacts) -> tuple[int, ...] | None:
    """Return the strides of the dims longer than 1: the others mean nothing. None for layouts without, and for empty
    tensors.
    """
    if facts.stride is None or 0 in facts.shape:
        return None
    return tuple(step for step, size in zip(facts.stride, facts.shape, strict=True) if size > 1)


def is_dense(facts: TensorFacts) -> bool:
    """Return True if the elements fill their part of the storage, each in a separate place."""
    steps = sorted(zip(facts.stride or (), facts.shape, strict=False))
    expected = 1
    for step, size in steps:
        if size > 1:
            if step != expected:
                return False
            expected *= size
    return True


def _text(value: object) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _plain(expected: Any, actual: Any, rule: Rule) -> Iterator[Difference]:
    if isinstance(expected, ObjectValue) and isinstance(actual, ObjectValue):
        yield from _object(expected, actual, rule)
    elif type(expected) is not type(actual):
        yield Difference("type", _plain_text(expected), _plain_text(actual))
    elif rule.level != "structure" and not _equal(expected, actual):
        yield Difference("value", _plain_text(expected), _plain_text(actual))


def _object(expected: ObjectValue, actual: ObjectValue, rule: Rule) -> Iterator[Difference]:
    """Yield the first difference of the state of an object."""
    same_places = [each.place for each in expected.leaves] == [each.place for each in actual.leaves]
    if expected.kind != actual.kind or not same_places:
        yield Difference("value", object_text(expected), object_text(actual))
        return
    for one, other in zip(expected.leaves, actual.leaves, strict=True):
        for difference in differences(one, other, rule):
            where = f"{one.place} of the object" + (f": {difference.detail}" if difference.detail else "")
            yield Difference("value", difference.expected, difference.actual, where)
            return


def object_text(value: ObjectValue) -> str:
    """Render an object and its state in one line."""
    return f"{value.kind} with {', '.join(f'{each.place}={_plain_text(each.value)}' for each in value.leaves) or 'no state'}"


def _equal(expected: Any, actual: Any) -> bool:
    both_nan = expected != expected and actual != actual
    return bool(both_nan or (expected == actual and repr(expected) == repr(actual)))


def _plain_text(value: Any) -> str:
    if isinstance(value, ObjectValue):
        return object_text(value)
    return tensor_text(value) if isinstance(value, torch.Tensor) else f"{type(value).__name__} {value!r}"


def _flat(tensor: torch.Tensor) -> torch.Tensor:
    """Return the elements of a part, 1-D, in a dtype that has operators."""
    flat = tensor.reshape(-1)
    if is_packed(flat.dtype):  # it has no operators: show the bytes
        return flat.view(torch.uint8)
    if not flat.is_floating_point() or flat.element_size() > 1:
        return flat
    return flat.to(torch.float32)


def _largest(flat: torch.Tensor) -> float:
    """Return the largest finite absolute value; for a complex tensor, that of its parts."""
    if not (flat.is_floating_point() or flat.is_complex()):
        return 0.0
    parts = _real(flat)
    finite = parts[parts.isfinite()]
    return float(finite.abs().max()) if finite.numel() else 0.0


def _real(flat: torch.Tensor) -> torch.Tensor:
    return (torch.view_as_real(flat.resolve_conj()) if flat.is_complex() else flat).double()


def _is_close(expected: torch.Tensor, actual: torch.Tensor, limit: Limit) -> bool:
    """Return whether the distance is within the limit, with nan and infinities in the same places."""
    if not (expected.is_floating_point() or expected.is_complex()):
        return False
    left, right = _real(expected), _real(actual)
    finite = left.isfinite()
    if not torch.equal(finite, right.isfinite()) or not torch.equal(left.isnan(), right.isnan()):
        return False
    if not torch.equal(left[left.isinf()], right[right.isinf()]):
        return False
    if not bool(finite.any()):
        return True
    return float((left[finite] - right[finite]).abs().max()) <= limit.size


def _element(flat: torch.Tensor, index: int, shape: torch.Size) -> str:
    place = [int(each) for each in torch.unravel_index(torch.tensor(index), shape)] if len(shape) else []
    value = flat[index].item()
    text = f"{value:.{_DIGITS.get(flat.dtype, 17)}g}" if isinstance(value, float) else repr(value)
    return f"{text} at {place}" if place else text


#: Significant digits that distinguish any two values of a dtype.
_DIGITS = {torch.float32: 9, torch.float16: 5, torch.bfloat16: 4}


def _extent(expected: torch.Tensor, actual: torch.Tensor, places: torch.Tensor, limit: Limit | None) -> str:
    text = f"{places.numel()} of {expected.numel()} elements differ"
    if expected.is_floating_point() or expected.is_complex():
        wide = torch.complex128 if expected.is_complex() else torch.float64
        gap = (expected.to(wide) - actual.to(wide)).abs()
        largest = float(gap[gap.isfinite()].max()) if bool(gap.isfinite().any()) else float("nan")
        text += f", by at most {largest:.3g}"
    if limit is not None:
        text += f" (allowed: {limit.text})"
    return text
