"""Budgets: how far the outputs of a runtime may be from those of the program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The least agreement of every output with the expected one, in each call. What is None is not measured.

    Parameters
    ----------
    sqnr_db
        The signal-to-quantisation-noise ratio in dB: the power of the expected output over that of the error.
    cosine
        The cosine of the angle between the two outputs, each read as one vector.
    top1
        The part of the rows (along the last dim) in which the largest value is at the same index; of integer and
        boolean outputs, the part of the elements that are equal.
    max_abs
        The largest absolute error, in the unit of the output. Like ``sqnr_db`` and ``cosine``, it says nothing of integer
        and boolean outputs: without ``top1``, they must be equal.
    outputs
        Other budgets for some outputs, by number or by path: ``{"logits": Agreement(top1=1)}``. Such a budget replaces
        the one for all outputs.
    """

    sqnr_db: float | None = None
    cosine: float | None = None
    top1: float | None = None
    max_abs: float | None = None
    outputs: Mapping[int | str, Agreement] = field(default_factory=dict)

    @property
    def limits(self) -> Mapping[str, float]:
        """Return what is asked of an output, by the name of the measure."""
        given = {"sqnr_db": self.sqnr_db, "cosine": self.cosine, "top1": self.top1, "max_abs": self.max_abs}
        return {name: limit for name, limit in given.items() if limit is not None}

    def of(self, place: str, number: int) -> Agreement:
        """Return the budget of an output: that of the longest path that leads to it, else the one for all outputs."""
        found = [(len(str(name)), each) for name, each in self.outputs.items() if names_output(name, place, number)]
        return max(found, key=lambda each: each[0])[1] if found else self


def names_output(name: int | str, place: str, number: int) -> bool:
    """Return True if a number or a path names an output, or a container that the output is in. JSON has numbers as text."""
    if isinstance(name, int) or name.isdecimal():
        return int(name) == number
    return any(place == path or place.startswith((f"{path}[", f"{path}.")) for path in _paths(name))


def _paths(name: str) -> Iterator[str]:
    """Yield the places that a path may mean: ``logits`` is ``output['logits']`` or ``output.logits``."""
    yield name
    yield f"output{name}" if name.startswith(("[", ".")) else f"output.{name}"
    yield f"output[{name!r}]"
