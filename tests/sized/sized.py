"""What an entry of the library is: a model, the sizes that it declares, its defect, and where that shows first."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
import torch.utils._pytree as pytree
from torch.export import Dim, ExportedProgram

Build: TypeAlias = Callable[[], torch.nn.Module]
Edit: TypeAlias = Callable[[ExportedProgram], ExportedProgram | None]


@dataclass(frozen=True)
class Place:
    """A dynamic dim of an input: which leaf of the arguments, which of its dims, and what is declared of it."""

    leaf: int
    dim: int
    declared: Any

    @property
    def root(self) -> Any:
        return getattr(self.declared, "root", self.declared)

    def length(self, size: int) -> int:
        """The length of this dim where its root has a size."""
        return int(self.declared.fn(size)) if self.declared is not self.root else size


@dataclass(frozen=True, kw_only=True, eq=False)
class Sized:
    """A function whose program is wrong at some sizes.

    ``differs``: at a declared size the program computes something else than eager. ``refuses``: at a declared size that
    eager accepts the program raises. ``accepts``: at a size that is not declared the program does not raise, and eager
    computes something else or raises. ``edit`` puts the defect into the program; without it torch captures it so.
    ``sound`` has no defect, and but for it does the same. ``minimal`` is the first of the declared sizes that fail, in
    lexicographic order. ``torch`` names the versions that have the defect.
    """

    id: str
    kind: Literal["differs", "refuses", "accepts"]
    build: Build
    sound: Build
    args: tuple[Any, ...]
    dynamic_shapes: tuple[Any, ...]
    edit: Edit | None = None
    minimal: Mapping[str, int] | None = None
    strict: bool = False
    torch: str = ""

    @property
    def places(self) -> tuple[Place, ...]:
        """All dynamic dims, in the order of ``dynamic_shapes``."""
        numbers = itertools.count()
        return tuple(
            place
            for arg, spec in zip(self.args, self.dynamic_shapes, strict=True)
            for place in _places(arg, spec, numbers)
        )

    @property
    def roots(self) -> dict[str, Any]:
        """The independent dims by name, in the order in which they first appear."""
        return {place.root.__name__: place.root for place in self.places}

    @property
    def example(self) -> dict[str, int]:
        """The sizes of the example inputs."""
        return self.sizes_of([_shape(self.args, place) for place in self.places]) or {}

    def lengths(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """How long each dynamic dim is at the sizes of the roots."""
        return tuple(place.length(sizes[place.root.__name__]) for place in self.places)

    def sizes_of(self, lengths: Sequence[int]) -> dict[str, int] | None:
        """The declared sizes of the roots at which the dynamic dims have these lengths, if there are any."""
        sizes = {}
        for name, root in self.roots.items():
            wanted = [
                (place, length)
                for place, length in zip(self.places, lengths, strict=True)
                if place.root.__name__ == name
            ]
            candidates = range(root.min, min(_bound(root), max(length for _, length in wanted) + 2) + 1)
            fitting = [size for size in candidates if all(place.length(size) == length for place, length in wanted)]
            if not fitting:
                return None
            sizes[name] = fitting[0]
        return sizes

    def inputs(self, sizes: Mapping[str, int]) -> tuple[Any, ...]:
        """Inputs for sizes of the roots, the same ones at every call."""
        return self.inputs_of(self.lengths(sizes))

    def inputs_of(self, lengths: Sequence[int]) -> tuple[Any, ...]:
        """Inputs whose dynamic dims have these lengths, declared or not."""
        leaves, spec = pytree.tree_flatten(self.args)
        generator = torch.Generator().manual_seed(0)
        shapes = {number: list(leaf.shape) for number, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)}
        for place, length in zip(self.places, lengths, strict=True):
            shapes[place.leaf][place.dim] = length
        made = [
            _drawn(leaf, shapes[number], generator) if number in shapes else leaf for number, leaf in enumerate(leaves)
        ]
        return tuple(pytree.tree_unflatten(made, spec))


def upper(root: Any, otherwise: int) -> int:
    """The greatest size that is declared, or another number where there is none."""
    return min(_bound(root), otherwise)


def _bound(root: Any) -> int:
    return root.max if isinstance(root.max, int) else 2**62


def _places(arg: Any, spec: Any, numbers: Iterator[int]) -> Iterator[Place]:
    if isinstance(arg, Mapping):
        for key, value in arg.items():
            yield from _places(value, None if spec is None else spec[key], numbers)
    elif isinstance(arg, (list, tuple)):
        for place, value in enumerate(arg):
            yield from _places(value, None if spec is None else spec[place], numbers)
    else:
        leaf = next(numbers)
        dims = spec.items() if isinstance(spec, Mapping) else enumerate(spec or ())
        yield from (Place(leaf, dim, declared) for dim, declared in dims if isinstance(declared, Dim))


def _shape(args: Any, place: Place) -> int:
    return int(pytree.tree_leaves(args)[place.leaf].shape[place.dim])


def _drawn(leaf: torch.Tensor, shape: Sequence[int], generator: torch.Generator) -> torch.Tensor:
    """A tensor of the leaf's dtype; integers stay between the least and the greatest of the leaf."""
    if leaf.dtype.is_floating_point:
        return torch.randn(*shape, dtype=leaf.dtype, generator=generator)
    low, high = int(leaf.min()), int(leaf.max())
    return torch.randint(low, high + 1, tuple(shape), generator=generator).to(leaf.dtype)
