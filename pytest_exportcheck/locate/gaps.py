"""The distance between two values that should be the same."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from pytest_exportcheck.checks.closeness import Rule
from pytest_exportcheck.checks.compare.tensors import differences
from pytest_exportcheck.harness.tensors import UNREADABLE, leaf_of, named_leaves, same_bits


@dataclass(frozen=True)
class Gap:
    """A difference. ``text`` is the largest distance of two elements, or what else differs; ``relative`` that distance
    by the largest value; ``nonfinite`` says that only the value after has NaN or infinities. The text of one that has numbers
    in their place is ``finite``.
    """

    text: str
    relative: float
    exceeds: bool
    nonfinite: bool = False


def gap_between(before: Any, after: Any, rule: Rule) -> Gap | None:
    """Return the largest difference between two values, or None where they are the same bit for bit. Strides do not
    count.
    """
    gaps = list(_gaps(before, after, rule))
    return max(gaps, key=lambda gap: (gap.exceeds, gap.relative), default=None)


def _gaps(before: Any, after: Any, rule: Rule) -> Iterator[Gap]:
    left, right = list(named_leaves(before, "")), list(named_leaves(after, ""))
    if len(left) != len(right):
        yield Gap(f"{len(right)} values for {len(left)}", math.inf, exceeds=True)
        return
    for (place, one), (_, other) in zip(left, right, strict=True):
        gap = _leaf_gap(place, one, other, rule)
        if gap is not None:
            yield gap


def _leaf_gap(place: str, before: Any, after: Any, rule: Rule) -> Gap | None:
    if isinstance(before, torch.Tensor) and isinstance(after, torch.Tensor):
        if before.shape == after.shape and same_bits(before, after):
            return None
        found = [
            each
            for each in differences(leaf_of(place, before, clone=False), leaf_of(place, after, clone=False), rule)
            if each.kind != "stride"
        ]
        facts = [each for each in found if each.kind != "value"]
        if facts:
            return Gap(f"{facts[0].kind} {facts[0].actual} for {facts[0].expected}", math.inf, exceeds=True)
        return _value_gap(before, after, exceeds=bool(found))
    if type(before) is not type(after):
        return Gap(f"{type(after).__name__} for {type(before).__name__}", math.inf, exceeds=True)
    if isinstance(before, (int, float, str)) and before != after and not (before != before and after != after):
        return Gap(f"{after} for {before}", math.inf, exceeds=True)
    return None


def _value_gap(before: torch.Tensor, after: torch.Tensor, *, exceeds: bool) -> Gap | None:
    try:
        left, right = _wide(before), _wide(after)
        finite = left.isfinite() & right.isfinite()
        nonfinite = bool((left.isfinite() & ~right.isfinite()).any())
        replaced = exceeds and bool((~left.isfinite() & right.isfinite()).any())
        if not bool(finite.any()):
            largest, relative = math.nan, math.inf
        else:
            largest = float((left[finite] - right[finite]).abs().max())
            scale = float(left[finite].abs().max())
            relative = math.inf if nonfinite or replaced else largest / scale if scale else largest
    except UNREADABLE:
        return Gap("another value", math.inf, exceeds=True)
    text = "NaN or infinity" if nonfinite else "finite" if replaced else f"{largest:.3g}"
    return Gap(text, relative, exceeds, nonfinite)


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    plain = tensor.detach()
    plain = plain.to_dense() if plain.layout is not torch.strided else plain
    return plain.to(torch.complex128 if plain.is_complex() else torch.float64).reshape(-1)
