"""Dimensions of example inputs: how long they are, and which of them are dynamic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from pytest_exportcheck.errors import SelectionError
from pytest_exportcheck.sources.spec import Spec

#: What the source's models say of ``batch`` and ``dynamic`` where only the batch can be dynamic.
BATCH_OPTIONS = {
    "batch": "examples in a batch (default: 2 to 4, another number for fresh inputs)",
    "dynamic": "batch (default) or none",
}
_LARGEST_BATCH = 16


@dataclass(frozen=True)
class Extent:
    """One dimension, shared by all inputs that have it.

    A dynamic one is drawn anew, from ``usual``, whenever inputs are made, so that fresh inputs have another size than
    the example; a static one, and one that the spec gives, is always the same.
    """

    name: str
    given: int | None
    usual: tuple[int, int]
    least: int
    most: int
    dynamic: bool

    def draw(self) -> int:
        """Its length for one set of inputs, from torch's generator."""
        low, high = self.usual
        if self.given is not None or not self.dynamic:
            return self.given if self.given is not None else low
        return int(torch.randint(low, high + 1, ()))

    def dim(self) -> Any:
        """What ``dynamic_shapes`` says of it: a Dim, or None."""
        return torch.export.Dim(self.name, min=self.least, max=self.most) if self.dynamic else None


def extent(spec: Spec, name: str, *, usual: tuple[int, int], least: int, most: int, dynamic: bool) -> Extent:
    """The dimension that the option of this name gives, or the usual one.

    Raises
    ------
    SelectionError
        For a size that no dynamic dimension of an example can have.
    """
    given = spec.number(name)
    if dynamic and given == 1:
        raise SelectionError(
            f"{spec}: torch.export makes a dimension static where the example has it 1 long: "
            f"give {name} at least 2, or dynamic=none."
        )
    return Extent(name, given, usual, least, max(most, given or 0), dynamic)


def batch_of(spec: Spec) -> Extent:
    """The batch of a source whose models know no other dynamic dimension."""
    dynamic = spec.word("dynamic", ("batch", "none")) == "batch"
    return extent(spec, "batch", usual=(2, 4), least=1, most=_LARGEST_BATCH, dynamic=dynamic)


def images(batch: Extent, shape: tuple[int, ...]) -> tuple[torch.Tensor]:
    """One argument of normally distributed values: (batch, *shape)."""
    return (torch.randn(batch.draw(), *shape),)


def dynamic_batch(batch: Extent) -> tuple[dict[int, Any]] | None:
    """``dynamic_shapes`` of :func:`images`."""
    return ({0: batch.dim()},) if batch.dynamic else None
