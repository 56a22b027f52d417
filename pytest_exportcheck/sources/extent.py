"""Dimensions of example inputs: how long they are, and which of them are dynamic."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from pytest_exportcheck.errors import SelectionError
from pytest_exportcheck.records import Case, Fallback
from pytest_exportcheck.sources.spec import Spec

#: Descriptions of the options ``batch`` and ``dynamic`` of a source where only the batch can be dynamic.
BATCH_OPTIONS = {
    "batch": "examples in a batch (default: 2 to 4, another number for fresh inputs)",
    "dynamic": "batch (default) or none",
}
_LARGEST_BATCH = 16


@dataclass(frozen=True)
class Extent:
    """One dimension, shared by all inputs that have it.

    A dynamic one is drawn again, from ``usual``, whenever inputs are made, so that fresh inputs have another size than
    the example; a static one, and one that the spec gives, is always the same.
    """

    name: str
    given: int | None
    usual: tuple[int, int]
    least: int
    most: int
    dynamic: bool

    @property
    def shortest(self) -> int:
        """Return the shortest length of an example."""
        return self.usual[0] if self.given is None else self.given

    def draw(self) -> int:
        """Draw the length for one set of inputs, from torch's generator."""
        low, high = self.usual
        if self.given is not None or not self.dynamic:
            return self.given if self.given is not None else low
        return int(torch.randint(low, high + 1, ()))

    def dim(self) -> Any:
        """Return the declaration for ``dynamic_shapes``: a Dim, or None."""
        return torch.export.Dim(self.name, min=self.least, max=self.most) if self.dynamic else None


def extent(spec: Spec, name: str, *, usual: tuple[int, int], least: int, most: int, dynamic: bool) -> Extent:
    """Return the dimension that the option of this name gives, or the usual one.

    Raises
    ------
    SelectionError
        For a size that no dynamic dimension of an example can have.
    """
    given = spec.number(name)
    if dynamic and given == 1:
        raise SelectionError(
            f"{spec}: torch.export makes a dimension static if its size in the example is 1: "
            f"set {name} to at least 2, or dynamic=none."
        )
    return Extent(name, given, usual, least, max(most, given or 0), dynamic)


@dataclass(frozen=True)
class Dims:
    """The dimensions of a model's inputs by name, and the note to show where they are a fallback."""

    extents: Mapping[str, Extent]
    note: str


def with_fallbacks(
    case: Case, spec: Spec, extents: Mapping[str, Extent], inputs: Callable[[Mapping[str, Extent]], Mapping[str, Any]]
) -> Case:
    """Return the case, with cases of other dims to try where a capture refuses these. ``inputs`` gives the fields of a
    case that depend on its dims.
    """
    others = [
        Fallback(case=replace(case, **inputs(dims.extents)), note=dims.note) for dims in _other_dims(spec, extents)
    ]
    return replace(case, fallbacks=tuple(others))


def _other_dims(spec: Spec, extents: Mapping[str, Extent]) -> Iterator[Dims]:
    """Yield longer dims first, then fewer dynamic ones, finally none. Yield nothing where the spec says what is
    dynamic: a user's choice does not fall back.
    """
    dynamic = {name: each for name, each in extents.items() if each.dynamic}
    if not dynamic or "dynamic" in spec.options:
        return
    longer = {name: replace(each, least=max(each.least, min(_LONGER, each.shortest))) for name, each in dynamic.items()}
    yield Dims(
        {**extents, **longer}, " and ".join(f"{name} from {each.least} to {each.most}" for name, each in longer.items())
    )
    kinds = ([name for name in dynamic if name == "batch"], [name for name in dynamic if name != "batch"])
    for kept in filter(None, kinds):
        if len(kept) < len(dynamic):
            static = {name: replace(each, dynamic=False) for name, each in dynamic.items() if name not in kept}
            yield Dims({**extents, **static}, f"only {' and '.join(kept)} dynamic")
    yield Dims({**extents, **{name: replace(each, dynamic=False) for name, each in dynamic.items()}}, "no dynamic dim")


#: A length for models that cannot have a dim of 1, 2 or 3, at which models often branch.
_LONGER = 4


def batch_of(spec: Spec) -> Extent:
    """Return the batch of a source whose models know no other dynamic dimension."""
    dynamic = spec.word("dynamic", ("batch", "none")) == "batch"
    return extent(spec, "batch", usual=(2, 4), least=1, most=_LARGEST_BATCH, dynamic=dynamic)


def images(batch: Extent, shape: tuple[int, ...]) -> tuple[torch.Tensor]:
    """Return one argument of normally distributed values: (batch, *shape)."""
    return (torch.randn(batch.draw(), *shape),)


def batched(shape: tuple[int, ...], extents: Mapping[str, Extent]) -> Mapping[str, Any]:
    """Return the fields of a case that takes :func:`images` of a batch."""
    batch = extents["batch"]
    return {"args": partial(images, batch, shape), "dynamic_shapes": partial(dynamic_batch, batch)}


def dynamic_batch(batch: Extent) -> tuple[dict[int, Any]] | None:
    """Return ``dynamic_shapes`` of :func:`images`."""
    return ({0: batch.dim()},) if batch.dynamic else None
