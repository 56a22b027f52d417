"""A kind of value: its tag, and how it is written and read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import torch

Plain = Any  # None, bool, int, float, str, list of plain values, or a mapping with one tag


class Reader(Protocol):
    """The context that reading a plain value needs: symbols, and the nodes that were built."""

    def expression(self, text: str) -> Any: ...
    def symbolic(self, kind: str, text: str, hint: Any) -> Any: ...
    def tensor(self, facts: Mapping[str, Plain]) -> torch.Tensor: ...
    def node(self, name: str) -> Any: ...
    def named(self, name: str) -> Any: ...


class Write(Protocol):
    """The function that writes the values inside of a value."""

    def __call__(self, value: Any) -> Plain: ...
    def expression(self, expression: Any) -> str: ...


Read: TypeAlias = Callable[[Plain, Reader], Any]


@dataclass(frozen=True, eq=False)
class Kind:
    """One tag. ``types`` are matched exactly, everything else by ``fits``.

    ``write`` and ``read`` are also given the functions that write and read a value of any kind, for the values inside.
    """

    tag: str
    write: Callable[[Any, Write], Plain]
    read: Callable[[Any, Reader, Read], Any]
    types: tuple[type, ...] = ()
    fits: Callable[[Any], bool] = lambda _: False
