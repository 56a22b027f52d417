"""Facts about a package for reports: its size, how long it took to compile, its nodes, and how far its outputs are from the
program's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from pytest_exportcheck.records import Leaf, Observation, Record
from pytest_exportcheck.records.results import Fact

#: Places of the numbers in reports.
_DIGITS = 4


def errors_of(before: Record, after: Record) -> dict[str, Fact]:
    """Return the largest and the mean absolute error of the outputs of all calls, and their signal-to-noise ratio (SQNR)
    in dB, which is left out where nothing differs. Empty where no floating-point output can be compared.
    """
    pairs = list(_pairs(before, after))
    if not pairs:
        return {}
    expected = torch.cat([each for each, _ in pairs])
    error = torch.cat([got for _, got in pairs]) - expected
    found: dict[str, Fact] = {
        "max absolute error": _rounded(error.abs().max().item()),
        "mean absolute error": _rounded(error.abs().mean().item()),
    }
    noise, signal = error.square().sum().item(), expected.square().sum().item()
    if noise > 0 and signal > 0 and math.isfinite(noise):
        found["SQNR dB"] = round(10 * math.log10(signal / noise), 1)
    return found


def _pairs(before: Record, after: Record) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for one, other in zip(before.observations, after.observations, strict=False):
        yield from _of_call(one, other)


def _of_call(before: Observation, after: Observation) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for expected, got in zip(before.outputs, after.outputs, strict=False):
        left, right = _values(expected), _values(got)
        if left is not None and right is not None and left.shape == right.shape and left.numel():
            yield left, right


def _values(leaf: Leaf) -> torch.Tensor | None:
    value = leaf.value
    if not isinstance(value, torch.Tensor) or not value.is_floating_point() or value.layout is not torch.strided:
        return None
    return value.detach().reshape(-1).double()


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
