"""ONNX: the exporter of torch, called by ONNX Runtime on the CPU."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pytest_exportcheck.errors import Unsupported
from pytest_exportcheck.harness.internal import call_foreign
from pytest_exportcheck.runtimes.arrays import array_of
from pytest_exportcheck.runtimes.interface import Interface
from pytest_exportcheck.runtimes.protocol import Fact, Loaded

_FILE = "model.onnx"


class Onnx:
    """The runtime ``onnx``."""

    name = "onnx"
    needs = ("onnx", "onnxscript", "onnxruntime")
    extra = "onnx"

    def options(self) -> Mapping[str, str]:
        return {}

    def compile(self, program: Any, folder: Path) -> Mapping[str, Fact]:
        import torch

        try:
            exported = call_foreign(partial(torch.onnx.export, program, dynamo=True, verbose=False))
        except torch.onnx.errors.OnnxExporterError as error:
            refused = _unsupported(error)
            if refused:
                raise refused from None
            error.args = (_summary(str(error)),)
            raise
        if exported is None:
            raise Unsupported("torch.onnx.export returned None")
        exported.save(str(folder / _FILE))
        return {"nodes": len(list(exported.model.graph))}

    def load(self, folder: Path) -> Loaded:
        import onnxruntime
        from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernel

        try:
            session = onnxruntime.InferenceSession(str(folder / _FILE), providers=["CPUExecutionProvider"])
        except NoKernel as error:
            raise Unsupported(str(error)) from None
        names = [each.name for each in session.get_inputs()]
        interface = Interface.read(folder)

        def call(inputs: Sequence[Any]) -> Sequence[Any]:
            given = dict(zip(names, map(_array, interface.tensors(inputs)), strict=True))
            found = session.run(None, given)
            return interface.filled([_leaf(each) for each in found])

        return call


def _unsupported(error: BaseException) -> Unsupported | None:
    """Return the words of the exporter, if it has no ONNX function for an operator."""
    cause: BaseException | None = error
    while cause is not None:
        if type(cause).__name__ == "DispatchError":
            return Unsupported(str(cause).strip().splitlines()[0])
        cause = cause.__cause__
    return None


def _summary(text: str) -> str:
    """Return the errors that the exporter lists, without its advice and its colours."""
    listed = text.partition("## Exception summary")[2].partition("(Refer to")[0] or text
    return " ".join(re.sub(r"\x1b\[\d*m", "", listed).replace("⬆️", "from").split())


def _array(leaf: Any) -> Any:
    array = array_of(leaf)
    if array.dtype.kind == "c":
        raise Unsupported(f"ONNX Runtime takes no inputs of {array.dtype}")
    return array


def _leaf(found: Any) -> Any:
    import torch

    return torch.as_tensor(found)
