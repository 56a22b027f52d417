"""AOTInductor: a package with a compiled library, as ``torch._inductor.aoti_compile_and_package`` writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_exportcheck.runtimes.interface import Interface
from pytest_exportcheck.runtimes.protocol import Fact, Loaded

_FILE = "model.pt2"


class Aoti:
    """The runtime ``aoti``. It needs a C++ compiler."""

    name = "aoti"
    needs = ("torch",)
    extra = ""

    def compile(self, program: Any, folder: Path) -> Mapping[str, Fact]:
        import torch

        torch._inductor.aoti_compile_and_package(program, package_path=str(folder / _FILE))
        return {}

    def load(self, folder: Path) -> Loaded:
        import torch

        loader = torch._inductor.aoti_load_package(str(folder / _FILE)).loader
        interface = Interface.read(folder)

        def call(inputs: Sequence[Any]) -> Sequence[Any]:
            outputs = loader.run(interface.tensors(inputs))
            return interface.filled([each for each in outputs if each is not None])

        return call
