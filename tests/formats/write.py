"""Write the archives of one torch: ``python write.py FOLDER``. It imports torch only, and runs on torch 2.5 and later.

Each program becomes ``NAME.pt2``, as this torch saves it, and ``NAME.io.pt`` with its inputs, what eager returned for
them, and sizes of inputs that the program accepts and must compute too. See README.md in this folder.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim, export

BATCH = Dim("batch", min=2, max=64)


@dataclass
class Written:
    """A model, its inputs, and other inputs that its program accepts."""

    model: torch.nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    dynamic: Any = None
    others: list[tuple[Any, ...]] = field(default_factory=list)
    lowered: bool = False


class Linear(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(4, 3)
        self.second = torch.nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x)))


class Tied(torch.nn.Module):
    """One tensor under two names, a buffer, a buffer that is not saved, a constant, a strided weight."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(5, 4)
        self.head = torch.nn.Linear(4, 5, bias=False)
        self.head.weight = self.embedding.weight
        self.register_buffer("scale", torch.tensor(2.0))
        self.register_buffer("shift", torch.arange(5.0), persistent=False)
        self.strided = torch.nn.Parameter(torch.arange(12.0).reshape(3, 4).t()[:, :2])
        self.constant = torch.tensor([1, 2, 3])

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.embedding(tokens)
        return self.head(x) * self.scale + self.shift, (x @ self.strided).sum() + self.constant.sum()


class Writes(torch.nn.Module):
    """A buffer and an input that are written to."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls.add_(1)
        x.mul_(2)
        return x + self.calls


class Nested(torch.nn.Module):
    """Containers, numbers, text and None among the inputs; None and a number among the outputs."""

    def forward(self, x: dict[str, Any], pair: list[torch.Tensor], scale: float, *, flag: bool, name: str) -> Any:
        total = x["a"] + x["b"][0] * scale
        if flag and name == "plus":
            total = total + pair[0]
        return {"total": total, "rest": [pair[1].sum(), None], "number": 3}


class Sizes(torch.nn.Module):
    """Dynamic sizes: expressions of them, a derived size, a size as an output."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        flat = x.reshape(x.shape[0] * 2, -1)
        parts = torch.split(x, 2, dim=1)
        values, places = torch.topk(flat, 2)
        return (
            flat,
            values,
            places,
            sum(p.sum() for p in parts[:2]) + y.sum(),
            x.shape[0] * 3,
            x.shape[0] // 2,
            x.new_ones(x.shape[0] * 2 + 1),
        )


class Branches(torch.nn.Module):
    """Control flow, which is stored as subgraphs."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cond(x.sum() > 0, lambda y: y.sin() + 1, lambda y: y.cos() - 1, (x,))


class DataDependent(torch.nn.Module):
    """A size that is read from a tensor, and assertions about it."""

    def forward(self, x: torch.Tensor, n: torch.Tensor) -> Any:
        size: Any = n.item()
        torch._check_is_size(size)
        torch._check(size <= 4)
        return torch.ones(size) + x.sum(), x.nonzero()


class Dtypes(torch.nn.Module):
    """Weights and constants of many dtypes, special values, an empty one, one without dimensions."""

    def __init__(self) -> None:
        super().__init__()
        for dtype in (
            torch.float16,
            torch.bfloat16,
            torch.float64,
            torch.int8,
            torch.uint8,
            torch.int16,
            torch.int32,
            torch.int64,
            torch.bool,
            torch.complex64,
        ):
            self.register_buffer("of_" + str(dtype).rpartition(".")[2], torch.tensor([0, 1, 1]).to(dtype))
        self.register_buffer("special", torch.tensor([float("inf"), float("-inf"), float("nan"), -0.0]))
        self.register_buffer("empty", torch.empty(0, 3))
        self.register_buffer("scalar", torch.tensor(7))

    def forward(self, x: torch.Tensor) -> Any:
        named = dict(self.named_buffers())
        return [x.sum().to(each.dtype) * each for each in named.values()]


class Cast(torch.nn.Module):
    """Arguments of every kind: dtypes, devices, layouts, memory formats, lists, None, optional tensors."""

    def forward(self, x: torch.Tensor) -> Any:
        made = torch.full((2, 3), 1.5, dtype=torch.float64, device="cpu")
        image = x.reshape(1, 2, 2, 2).contiguous(memory_format=torch.channels_last)
        pool = torch.nn.functional.max_pool2d(image, 2)
        norm = torch.nn.functional.layer_norm(x, (4,), None, None)
        index = x[torch.tensor([1, 0]), 1:]
        return made.to(torch.float32), pool, norm, index, x.clamp(min=None, max=0.5), x.sum(dtype=torch.float64)


def programs() -> dict[str, Callable[[], Written]]:
    """Return what is written, by name. Each is built with a seed of its own."""
    x = torch.randn
    return {
        "linear": lambda: Written(Linear(), (x(2, 4),)),
        "batch": lambda: Written(Linear(), (x(3, 4),), dynamic=({0: BATCH},), others=[(x(2, 4),), (x(64, 4),)]),
        "tied": lambda: Written(Tied(), (torch.tensor([0, 3]),)),
        "writes": lambda: Written(Writes(), (x(2),)),
        "nested": lambda: Written(
            Nested(), ({"a": x(2), "b": (x(2),)}, [x(2), x(3)], 0.5), {"flag": True, "name": "plus"}
        ),
        "sizes": lambda: Written(
            Sizes(),
            (x(4, 6), x(8)),
            dynamic=({0: BATCH}, {0: 2 * BATCH}),
            others=[(x(2, 6), x(4)), (x(7, 6), x(14))],
        ),
        "branches": lambda: Written(Branches(), (torch.ones(3),), others=[(-torch.ones(3),)]),
        "data_dependent": lambda: Written(
            DataDependent(), (torch.tensor([1.0, 0, 2]), torch.tensor(3)), others=[(torch.zeros(3), torch.tensor(2))]
        ),
        "dtypes": lambda: Written(Dtypes(), (torch.ones(2),)),
        "cast": lambda: Written(Cast(), (x(2, 4),)),
        "lowered": lambda: Written(
            torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.ReLU()),
            (x(2, 2, 5, 5),),
            lowered=True,
        ),
    }


def write(folder: Path) -> None:
    """Write every program that this torch can export; say which it cannot, and why."""
    folder.mkdir(parents=True, exist_ok=True)
    exported = {}
    for name, make in programs().items():
        torch.manual_seed(0)
        each = make()
        try:
            exported[name] = program = _exported(each)
            torch.export.save(program, folder / f"{name}.pt2")
        except Exception as error:
            print(f"{torch.__version__}: {name} is not written: {type(error).__name__}: {str(error).splitlines()[0]}")
            continue
        calls = [each.args, *each.others]
        torch.save([_call(each.model, args, each.kwargs) for args in calls], folder / f"{name}.io.pt")
    _several(exported, folder)


def _exported(each: Written) -> Any:
    model = copy.deepcopy(each.model).eval()
    args, kwargs = copy.deepcopy((each.args, each.kwargs))
    program = export(model, args, kwargs, dynamic_shapes=each.dynamic, strict=False)
    return program.run_decompositions() if each.lowered else program


def _call(model: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    given = copy.deepcopy((args, kwargs))
    outputs = copy.deepcopy(model).eval()(*args, **kwargs)
    return {"args": given[0], "kwargs": given[1], "outputs": outputs, "args_after": args}


def _several(exported: dict[str, Any], folder: Path) -> None:
    """Write two programs into one archive, which torch 2.8 and later can."""
    try:
        from torch.export.pt2_archive._package import package_pt2
    except ImportError:
        return
    package_pt2(folder / "several.pt2", exported_programs={name: exported[name] for name in ("linear", "batch")})


if __name__ == "__main__":
    with torch.no_grad():
        write(Path(sys.argv[1]))
