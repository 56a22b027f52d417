"""Measures of how well two tensors agree, and their limits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from pytest_exportcheck.harness.tensors.layouts import is_packed
from pytest_exportcheck.records import Agreement


@dataclass(frozen=True)
class Measured:
    """The value of one measure, and its limit."""

    name: str
    limit: float
    value: float

    @property
    def is_met(self) -> bool:
        """Return True if the value is within the limit."""
        return self.value <= self.limit if self.name in _ERRORS else self.value >= self.limit

    def worse(self, other: Measured | None) -> Measured:
        """Return the one of two values of the same measure that agrees less."""
        if other is None:
            return self
        return max(self, other, key=lambda each: each.value if each.name in _ERRORS else -each.value)

    @property
    def expected(self) -> str:
        """Return the limit as a message words it."""
        return f"{self.name} at {'most' if self.name in _ERRORS else 'least'} {self.limit:.6g}"

    @property
    def actual(self) -> str:
        """Return the value with as many digits as distinguish it from the limit."""
        texts = (f"{self.value:.{digits}g}" for digits in range(4, 18))
        return f"{self.name} {next((text for text in texts if float(text) != self.limit), repr(self.value))}"


#: Measures that are smaller where the agreement is better.
_ERRORS = frozenset({"max_abs"})


def is_measured(tensor: torch.Tensor, budget: Agreement) -> bool:
    """Return True if one of the measures of a budget says something about a tensor."""
    return any(name in budget.limits for name in _measures_of(tensor))


def unlike_places(expected: torch.Tensor, actual: torch.Tensor) -> torch.Tensor:
    """Return the flat indices at which only one of two tensors is NaN or infinite, or they are infinite in other ways."""
    left, right = _real(expected), _real(actual)
    same = (left.isfinite() & right.isfinite()) | (left.isnan() & right.isnan()) | (left == right)
    unlike = ~same
    if expected.is_complex():
        unlike = unlike.reshape(-1, 2).any(dim=1)
    return unlike.nonzero().reshape(-1)


def measured(expected: torch.Tensor, actual: torch.Tensor, budget: Agreement) -> Sequence[Measured]:
    """Return the measures of two tensors of the same shape and dtype. Elements that are NaN or infinite in both are left out."""
    measures = _measures_of(expected)
    if not expected.numel():
        return ()
    return [
        Measured(name, limit, measures[name](expected.detach(), actual.detach()))
        for name, limit in budget.limits.items()
        if name in measures
    ]


def explained(found: Sequence[Measured], expected: torch.Tensor) -> str:
    """Return what to do where an output of zeros has no signal; empty otherwise."""
    of_signal = any(each.name in ("sqnr_db", "cosine") and not each.is_met for each in found)
    if of_signal and not bool(_real(expected).nan_to_num(0, 1, 1).any()):
        return "every expected value is 0, so that sqnr_db and cosine allow no error: give this output max_abs"
    return ""


def _measures_of(tensor: torch.Tensor) -> Mapping[str, Callable[[torch.Tensor, torch.Tensor], float]]:
    """Return the measures that say something about a tensor."""
    if is_packed(tensor.dtype):
        return {}
    if tensor.is_complex():
        return _OF_NUMBERS
    if tensor.is_floating_point():
        has_rows = tensor.dim() > 0 and tensor.shape[-1] > 1
        return {**_OF_NUMBERS, "top1": _same_top} if has_rows else _OF_NUMBERS
    return {"top1": _equal}  # a distance between two indices says nothing


def _real(tensor: torch.Tensor) -> torch.Tensor:
    plain = tensor.detach().resolve_conj().resolve_neg()
    return (torch.view_as_real(plain) if plain.is_complex() else plain).double().reshape(-1)


def _finite(expected: torch.Tensor, actual: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    left, right = _real(expected), _real(actual)
    kept = left.isfinite() & right.isfinite()
    return left[kept], right[kept]


def _sqnr(expected: torch.Tensor, actual: torch.Tensor) -> float:
    left, right = _scaled(*_finite(expected, actual))
    signal, noise = left.square().sum().item(), (left - right).square().sum().item()
    if not noise:
        return math.inf
    return 10 * math.log10(signal / noise) if signal / noise > 0 else -math.inf


def _cosine(expected: torch.Tensor, actual: torch.Tensor) -> float:
    left, right = _finite(expected, actual)
    (left, _), (right, _) = _scaled(left, left), _scaled(right, right)
    lengths = float(left.norm() * right.norm())
    if not lengths:
        return 1.0 if torch.equal(left, right) else 0.0
    return max(-1.0, min(1.0, float(left.dot(right)) / lengths))


def _scaled(expected: torch.Tensor, actual: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the tensors relative to the largest value of the first, so that no square overflows or vanishes."""
    largest = expected.abs().max().item() if expected.numel() else 0.0
    return (expected / largest, actual / largest) if largest else (expected, actual)


def _largest_error(expected: torch.Tensor, actual: torch.Tensor) -> float:
    left, right = _finite(expected, actual)
    return float((left - right).abs().max()) if left.numel() else 0.0


def _same_top(expected: torch.Tensor, actual: torch.Tensor) -> float:
    """Return the part of the rows whose largest value is at the same index, or at one where the expected row is as large."""
    size = expected.shape[-1]
    left, right = (
        _real(each).reshape(-1, size).nan_to_num(-math.inf, math.inf, -math.inf) for each in (expected, actual)
    )
    chosen = left.gather(1, right.argmax(dim=1, keepdim=True)).squeeze(1)
    return float((chosen == left.max(dim=1).values).double().mean())


def _equal(expected: torch.Tensor, actual: torch.Tensor) -> float:
    return float((expected == actual).double().mean())


_OF_NUMBERS: Mapping[str, Callable[[torch.Tensor, torch.Tensor], float]] = {
    "sqnr_db": _sqnr,
    "cosine": _cosine,
    "max_abs": _largest_error,
}
