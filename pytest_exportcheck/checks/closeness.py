"""Limits on the distance between the values of two tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_exportcheck.policy import BELIEVED_ROUNDOFFS, OWN_ROUNDING, UNIT_ROUNDOFF
from pytest_exportcheck.records import Agreement, Tolerance
from pytest_exportcheck.records.levels import ValueLevel


@dataclass(frozen=True)
class Own:
    """Eager's own rounding at one place, and the largest value that it is relative to."""

    size: float
    scale: float


@dataclass(frozen=True)
class Limit:
    """The largest distance that is allowed, and how a message words it."""

    size: float
    text: str


@dataclass(frozen=True)
class Rule:
    """The rule for comparing values: ``bits``, ``close``, ``rounding`` (within eager's own) or ``structure`` (type,
    shape and dtype only). ``agreement`` is the budget that takes the place of closeness. ``unmeasured`` says why eager's own rounding is not known, where a comparison asked for it.
    """

    level: ValueLevel
    tolerance: Tolerance | None
    by_dtype: Mapping[str, Tolerance]
    own: Own | None = None
    unmeasured: str = ""
    agreement: Agreement | None = None

    def limit(self, dtype: str, largest: float) -> Limit | None:
        """Return the limit for a tensor of this dtype whose largest expected value is ``largest``; None where values
        must be equal.

        A tolerance that the user declares is the limit. Otherwise it is the bound of the dtype or, where that is more,
        a multiple of eager's own rounding.
        """
        if self.tolerance is not None:
            return _relative(self.tolerance, largest)
        if self.level not in ("close", "rounding") or dtype not in self.by_dtype:
            return None
        usual = _relative(self.by_dtype[dtype], largest)
        least = usual if self.level == "close" else Limit(0.0, "nothing")
        if self.own is None:
            return Limit(least.size, "; ".join(filter(None, [least.text, self.unmeasured])))
        if self.own.size > max(usual.size, BELIEVED_ROUNDOFFS * UNIT_ROUNDOFF.get(dtype, 0.0) * self.own.scale):
            said = f"eager differs by {self.own.size:.3g} from eager in float64, more than rounding explains"
            return Limit(least.size, f"{least.text}; {said}")
        size = OWN_ROUNDING * self.own.size
        if size <= least.size:
            return least
        return Limit(size, f"{size:.3g}, {OWN_ROUNDING} times the difference between eager and eager in float64")


def _relative(tolerance: Tolerance, largest: float) -> Limit:
    text = f"{tolerance.atol:g} + {tolerance.rtol:g} of the largest value"
    return Limit(tolerance.atol + tolerance.rtol * largest, text)
