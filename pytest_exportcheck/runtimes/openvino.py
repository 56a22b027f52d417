"""OpenVINO on the CPU, in the precision of the program."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_exportcheck.errors import Unsupported
from pytest_exportcheck.harness.internal import call_foreign
from pytest_exportcheck.runtimes.arrays import array_of
from pytest_exportcheck.runtimes.interface import Interface
from pytest_exportcheck.runtimes.protocol import Fact, Loaded

_FILE = "model.xml"


class OpenVino:
    """The runtime ``openvino``. By default its CPU plugin may compute in bfloat16; here it uses float32."""

    name = "openvino"
    needs = ("openvino",)
    extra = "openvino"

    def options(self) -> Mapping[str, str]:
        return {}

    def compile(self, program: Any, folder: Path) -> Mapping[str, Fact]:
        import openvino
        import openvino.frontend

        try:
            model = call_foreign(openvino.convert_model, program)
        except openvino.frontend.OpConversionFailure as error:
            raise Unsupported(_summary(str(error))) from None
        openvino.save_model(model, folder / _FILE, compress_to_fp16=False)
        return {"nodes": len(model.get_ordered_ops()), "precision": "f32"}

    def load(self, folder: Path) -> Loaded:
        import openvino

        try:
            compiled = openvino.compile_model(folder / _FILE, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        except RuntimeError as error:
            raise _unsupported(str(error)) or error from None
        interface = Interface.read(folder)

        def call(inputs: Sequence[Any]) -> Sequence[Any]:
            import torch

            given = [array_of(each) for each in interface.tensors(inputs)]
            found = compiled(given).to_tuple()
            return interface.filled([torch.as_tensor(each) for each in found])

        return call


#: Words of the errors for an operation that the CPU plugin does not have.
_REFUSALS = re.compile(r"Unsupported operation|Not Implemented|doesn't support|not supported", re.IGNORECASE)


def _unsupported(text: str) -> Unsupported | None:
    """Return the words of the CPU plugin, if it does not have an operation."""
    said = next((line for line in text.splitlines() if _REFUSALS.search(line)), "")
    return Unsupported(said.strip()) if said else None


def _summary(text: str) -> str:
    """Return the operators that OpenVINO cannot convert, in its words."""
    return " ".join(line.strip(" -") for line in text.partition("Summary:")[2].splitlines()).strip() or text
