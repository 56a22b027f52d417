"""What a sized defect is: a function, a program of it that is wrong at some sizes, and the smallest of these sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch.export import ExportedProgram

#: ``differs``: another result at a declared size. ``refuses``: an error at a declared size that eager takes. ``accepts``: a size
#: that nobody declared is taken, with another result than eager's.
Kind = Literal["differs", "refuses", "accepts"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sized:
    """``eager`` is the function; ``program`` is the one that is captured instead, with the defect in it: None where torch itself
    captures the function wrongly, and then ``sound`` is a function without the defect. ``edit`` changes the captured program.

    ``minimal`` are the smallest failing sizes: the roots in the order of ``dynamic_shapes``, compared one after the other.
    """

    id: str
    eager: Callable[..., Any]
    args: tuple[Any, ...]
    dynamic_shapes: Any
    minimal: Mapping[str, int]
    program: Callable[..., Any] | None = None
    sound: Callable[..., Any] | None = None
    edit: Callable[[ExportedProgram], None] | None = None
    kind: Kind = "differs"
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_torchs_own(self) -> bool:
        return self.program is None and self.edit is None


class Calls(torch.nn.Module):
    """``forward`` is a function of the module and its inputs."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(()))
        self.function = function

    def forward(self, x: Any, y: Any = None, z: Any = None) -> Any:
        given = [each for each in (x, y, z) if each is not None]
        return self.function(self, *given)


def count(x: torch.Tensor, dim: int = 0) -> torch.Tensor:
    """The size of a dim as a tensor, which no guard can be about."""
    return torch.ones(x.shape[dim], dtype=torch.int64).sum()


def wrong_where(condition: Callable[..., torch.Tensor], right: Callable[..., Any], wrong: Callable[..., Any]) -> Any:
    """A function that is wrong where a condition on the inputs holds."""

    def function(module: Any, *args: Any) -> Any:
        return torch.where(condition(*args), wrong(module, *args), right(module, *args))

    return function
