"""The sound programs that are spoiled, saved by both writers."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.fx.graph_module
import torch.utils._pytree as pytree
from torch.export import Dim, export

from pytest_exportcheck import reference
from pytest_exportcheck.reference.pt2.archive import ArchiveReader
from pytest_exportcheck.reference.pt2.convert.program import from_structures
from pytest_exportcheck.reference.pt2.json.codec import decode_program


class Pair(NamedTuple):
    first: torch.Tensor
    second: torch.Tensor


@dataclass
class Boxed:
    inner: torch.Tensor
    more: Any = None


pytree._register_namedtuple(Pair, serialized_type_name="tests.hostile.Pair")
pytree.register_dataclass(Boxed, serialized_type_name="tests.hostile.Boxed")


class Module(torch.nn.Module):
    def __init__(self, forward: Callable[..., Any], **buffers: torch.Tensor) -> None:
        super().__init__()
        self._call = forward
        self.layer = torch.nn.Linear(2, 2)
        self.tied = torch.nn.Linear(2, 2)
        self.tied.weight = self.layer.weight
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer, persistent=name != "passing")

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(self, *args, **kwargs)


def _derived(self: Any, x: Any, y: Any) -> Any:
    return x[1:] + y, x.shape[0] * 2


def _unbacked(self: Any, x: Any) -> Any:
    count = x.sum().item()
    torch._check(count >= 2)
    torch._check(count <= 90)
    return torch.zeros(count) + 1, x.nonzero()


def _branches(self: Any, x: Any) -> Any:
    return torch.cond(x.sum() > 0, lambda a: (a.sin(), a + 1), lambda a: (a.cos(), a * 2), (x,))


def _stateful(self: Any, x: Any) -> Any:
    self.calls.add_(1)
    return self.tied(self.layer(x)) + self.calls + self.passing + torch.tensor([1.0, 2.0])


def _classes(self: Any, x: Any, *, scale: float = 2.0, mode: str = "up") -> Any:
    values, indices = x.first.max(dim=0)
    return Boxed(values * scale, {"pair": Pair(indices, x.second)}), [len(mode), None]


def _sparse(self: Any, x: Any) -> Any:
    return x * 2, x.to_dense()


class Kept(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(2, 2)

    def forward(self, x: Any) -> Any:
        return self.inner(x).relu()


ONES = torch.ones(2, 2)
ROWS = Dim("rows", min=3, max=64)


def _programs() -> Iterator[tuple[str, torch.export.ExportedProgram]]:
    shapes = {"args": ({0: ROWS}, {0: ROWS - 1})}
    yield "derived", export(Module(_derived), (torch.ones(5), torch.ones(4)), dynamic_shapes=shapes)
    yield "unbacked", export(Module(_unbacked), (torch.tensor([2, 1]),))
    yield "branches", export(Module(_branches), (ONES,), dynamic_shapes={"args": ({0: Dim("b")},)})
    stateful = Module(_stateful, calls=torch.zeros(()), passing=torch.ones(2))
    yield "stateful", export(stateful, (ONES,))
    yield "lowered", export(stateful, (ONES,)).run_decompositions()
    yield "classes", export(Module(_classes), (Pair(ONES, ONES[0]),), {"scale": 3.0, "mode": "down"})
    yield "sparse", export(Module(_sparse), (ONES.to_sparse(),))
    kept = export(Kept(), (ONES,), preserve_module_call_signature=("inner",))
    kept.graph_module.meta["custom"] = {"note": (1, 2)}
    list(kept.graph.nodes)[-2].meta["custom"] = {"pair": (1, {2: {3}}), "at": slice(1, 2), "of": torch.float32}
    yield "kept", kept


@dataclass(frozen=True)
class Sample:
    """A saved program: its records, its JSON, its plain value, and the tensors of its tables."""

    records: Mapping[str, bytes]
    tree: Any
    plain: Any
    state: Mapping[str, Any]
    constants: Mapping[str, Any]


@cache
def samples() -> dict[str, Sample]:
    made = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, program in _programs():
            for writer, save in (("ours", reference.save), ("torch", torch.export.save)):
                file = io.BytesIO()
                try:
                    save(program, file)
                except Exception:  # torch's writer cannot save each of them
                    continue
                made[f"{name}-{writer}"] = _sample(file, program)
    return made


def _sample(file: io.BytesIO, program: Any) -> Sample:
    file.seek(0)
    archive = ArchiveReader(file)
    records = {name: archive.read(name) for name in archive.names}
    data = records["models/model.json"]
    plain = from_structures(decode_program(data, where="sample")[0])
    return Sample(records, json.loads(data), plain, dict(program.state_dict), dict(program.constants))
