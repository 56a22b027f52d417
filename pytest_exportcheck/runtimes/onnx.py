"""ONNX: the exporter of torch, called by ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_exportcheck.runtimes.interface import Interface
from pytest_exportcheck.runtimes.protocol import Fact, Loaded

_FILE = "model.onnx"


class Onnx:
    """The runtime ``onnx``."""

    name = "onnx"
    needs = ("onnx", "onnxscript", "onnxruntime")
    extra = "onnx"

    def compile(self, program: Any, folder: Path) -> Mapping[str, Fact]:
        import torch

        exported = torch.onnx.export(program, dynamo=True, verbose=False)
        exported.save(str(folder / _FILE))
        return {"nodes": sum(1 for _ in exported.model.graph)}

    def load(self, folder: Path) -> Loaded:
        import onnxruntime

        session = onnxruntime.InferenceSession(str(folder / _FILE), providers=["CPUExecutionProvider"])
        names = [each.name for each in session.get_inputs()]
        interface = Interface.read(folder)

        def call(inputs: Sequence[Any]) -> Sequence[Any]:
            given = dict(zip(names, map(_array, interface.tensors(inputs)), strict=True))
            found = session.run(None, given)
            return interface.filled([_leaf(each) for each in found])

        return call


def _array(leaf: Any) -> Any:
    import torch

    return torch.as_tensor(leaf).contiguous().numpy()


def _leaf(found: Any) -> Any:
    import torch

    return torch.as_tensor(found)
