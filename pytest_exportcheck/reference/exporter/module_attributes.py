"""Attributes of the module: what ``forward`` sets while it is traced is set back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch


class Attributes:
    """The attributes of a module and its submodules before they are traced, including what is in lists and dicts among
    them.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        self._held: list[tuple[str, Any, Any]] = []
        seen: set[int] = set()
        for path, part in module.named_modules():
            self._hold(f"{path}." if path else "", vars(part), seen)

    def _hold(self, path: str, container: Any, seen: set[int]) -> None:
        if id(container) in seen:
            return
        seen.add(id(container))
        self._held.append((path, container, container.copy()))
        for name, value in list(_items(container)):
            if type(value) in (list, dict) and isinstance(name, (str, int)):
                self._hold(f"{_name(path, name)}.", value, seen)

    def replace(self, other: Callable[[str, Any], Any]) -> None:
        """Replace each value, which ``other`` is given with its name, until :meth:`restore`."""
        for path, container, _ in self._held:
            for name, value in list(_items(container)):
                new = other(_name(path, name), value)
                if new is not value:
                    container[name] = new

    def replaced(self) -> Iterator[tuple[str, Any]]:
        """Yield tensors that were replaced since, by their names."""
        for path, container, before in self._held:
            now = dict(_items(container))
            for name, value in _items(before):
                if isinstance(value, torch.Tensor) and now.get(name) is not value:
                    yield _name(path, name), value

    def restore(self) -> None:
        """Put back the attributes and the contents of containers."""
        for _, container, before in self._held:
            if isinstance(container, list):
                container[:] = before
            else:
                container.clear()
                container.update(before)


def _name(path: str, name: Any) -> str:
    return f"{path}{name}" if isinstance(name, str) else f"{path.rstrip('.')}[{name}]"


def _items(container: Any) -> Any:
    return enumerate(container) if isinstance(container, list) else container.items()


@contextmanager
def restored(module: torch.nn.Module) -> Iterator[Attributes]:
    """Restore what the module held, even if the block raises."""
    attributes = Attributes(module)
    try:
        yield attributes
    finally:
        attributes.restore()
