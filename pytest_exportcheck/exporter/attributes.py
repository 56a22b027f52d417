"""The module as it was: what ``forward`` sets on it while it is traced is taken back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


class Attributes:
    """The attributes of a module and of those within, before it is traced."""

    def __init__(self, module: torch.nn.Module) -> None:
        self._parts = [(path, part, dict(vars(part))) for path, part in module.named_modules()]
        self._tables = [
            (table, dict(table))
            for _, part, _ in self._parts
            for table in (part._buffers, part._parameters, part._modules)
        ]

    def replaced(self) -> Iterator[tuple[str, Any]]:
        """Tensors that were attributes and are not any more, by their names."""
        for path, part, before in self._parts:
            for name, value in before.items():
                if isinstance(value, torch.Tensor) and vars(part).get(name) is not value:
                    yield (f"{path}.{name}" if path else name), value

    def restore(self) -> None:
        for _, part, before in self._parts:
            now = vars(part)
            for name in now.keys() - before.keys():
                del now[name]
            now.update(before)
        for table, before in self._tables:
            table.clear()
            table.update(before)


@contextmanager
def restored(module: torch.nn.Module) -> Iterator[Attributes]:
    """Whatever happens inside, the module has its attributes again. What they hold is not copied: a list that ``forward`` appends to
    keeps what was appended."""
    attributes = Attributes(module)
    try:
        yield attributes
    finally:
        attributes.restore()
