"""Programs that torch saves, small and of many kinds, and the JSON of their files."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
from torch.export import Dim, ExportedProgram, export, save


class Mlp(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> dict[str, Any]:
        self.calls.add_(1)
        joined = torch.cat([self.linear(x), y])
        return {"joined": joined.relu(), "rows": x.shape[0] * 2 + 1}


class Cond(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cond(x.sum() > 0, lambda a: a.sin() + 1, lambda a: a.cos(), (x,))


class Item(torch.nn.Module):
    def forward(self, x: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
        count = n.item()
        torch._check(count >= 0)
        torch._check(count < x.shape[0])
        return x.narrow(0, 0, count)  # type: ignore[arg-type]  # torch's stubs do not know the dtype


class Keywords(torch.nn.Module):
    def forward(self, x: torch.Tensor, *, scale: float, flags: dict[str, torch.Tensor], mode: str = "é😀") -> Any:
        return x * scale + flags["a"], flags["b"].clamp(min=-math.inf) * 1e-5 * 1e16


def mlp() -> ExportedProgram:
    shapes = {"x": {0: Dim("b", min=2, max=64)}, "y": {0: Dim("c")}}
    return export(Mlp(), (torch.ones(3, 4), torch.ones(5, 4)), dynamic_shapes=shapes)


def cond() -> ExportedProgram:
    return export(Cond(), (torch.ones(3, 4),), dynamic_shapes={"x": {0: Dim("b")}})


def item() -> ExportedProgram:
    return export(Item(), (torch.ones(3, 4), torch.tensor(2)), dynamic_shapes={"x": {0: Dim("b")}, "n": None})


def keywords() -> ExportedProgram:
    flags = {"b": torch.ones(2), "a": torch.ones(2)}
    return export(Keywords(), (torch.ones(2),), {"scale": 0.1, "flags": flags, "mode": "é😀"})


def lowered() -> ExportedProgram:
    return mlp().run_decompositions()


PROGRAMS: Mapping[str, Callable[[], ExportedProgram]] = {
    each.__name__: each for each in (mlp, cond, item, keywords, lowered)
}


@cache
def saved(name: str) -> bytes:
    """The JSON that torch writes of a program."""
    file = io.BytesIO()
    save(PROGRAMS[name](), file)
    with zipfile.ZipFile(file) as archive:
        (member,) = (each for each in archive.namelist() if "/models/" in each)
        return archive.read(member)


def tree(name: str = "mlp") -> Any:
    """The same, parsed: a new one each time, to be edited."""
    return json.loads(saved(name))


def written(value: object) -> bytes:
    return json.dumps(value).encode()
