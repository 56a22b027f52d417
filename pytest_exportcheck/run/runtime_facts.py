"""Facts about a package for reports: its size, how long it took to compile, its nodes, and how far its outputs are from the
program's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from pytest_exportcheck.checks.compare.budgets import Measured, is_measured, measured, unlike_places
from pytest_exportcheck.records import Agreement, Leaf, Record
from pytest_exportcheck.records.results import Fact

#: Places of the numbers in reports.
_DIGITS = 4


def errors_of(before: Record, after: Record, budget: Agreement | None = None) -> dict[str, Fact]:
    """Return the largest and the mean absolute error of the outputs of all calls, and their signal-to-noise ratio (SQNR)
    in dB, which is left out where nothing differs. Then, for every measure of the budget, its worst value at each output.
    Values that are not finite are left out. Empty where no output can be compared.
    """
    return {**_overall(before, after), **(_worst(before, after, budget) if budget else {})}


def _overall(before: Record, after: Record) -> dict[str, Fact]:
    floating = [
        (one, other)
        for _, one, other in _outputs(before, after)
        if one.value.is_floating_point() and other.value.is_floating_point()
    ]
    if not floating:
        return {}
    expected, got = (torch.cat([_values(pair[side]) for pair in floating]) for side in (0, 1))
    finite = expected.isfinite() & got.isfinite()
    expected, error = expected[finite], (got - expected)[finite]
    if not expected.numel():
        return {}
    found: dict[str, Fact] = {
        "max absolute error": _rounded(error.abs().max().item()),
        "mean absolute error": _rounded(error.abs().mean().item()),
    }
    noise, signal = error.square().sum().item(), expected.square().sum().item()
    if noise > 0 and signal > 0 and math.isfinite(noise):
        found["SQNR dB"] = round(10 * math.log10(signal / noise), 1)
    return found


def _worst(before: Record, after: Record, budget: Agreement) -> dict[str, Fact]:
    """Return the worst value of each measure at each output. Without any error, SQNR is infinite, and is left out."""
    worst: dict[str, Measured] = {}
    for number, expected, got in _outputs(before, after):
        asked = budget.of(expected.place, number)
        comparable = expected.value.dtype == got.value.dtype and is_measured(expected.value, asked)
        if not comparable or unlike_places(expected.value, got.value).numel():
            continue
        for each in measured(expected.value, got.value, asked):
            name = f"{each.name} of {expected.place}"
            worst[name] = each.worse(worst.get(name))
    return {name: _number(each.value) for name, each in worst.items() if each.value != math.inf}


def _outputs(before: Record, after: Record) -> Iterator[tuple[int, Leaf, Leaf]]:
    """Yield the number of each output and the plain tensors of the same shape that the two records have for it."""
    for one, other in zip(before.observations, after.observations, strict=False):
        for number, (expected, got) in enumerate(zip(one.outputs, other.outputs, strict=False)):
            if _is_plain(expected) and _is_plain(got) and expected.value.shape == got.value.shape:
                yield number, expected, got


def _is_plain(leaf: Leaf) -> bool:
    return isinstance(leaf.value, torch.Tensor) and leaf.value.layout is torch.strided and not leaf.value.is_nested


def _values(leaf: Leaf) -> torch.Tensor:
    value: torch.Tensor = leaf.value
    return value.detach().reshape(-1).double()


def _number(value: float) -> Fact:
    return _rounded(value) if math.isfinite(value) else str(value)


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
