"""AOTInductor: a package with a compiled library, the format that torch's own compiler writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pytest_exportcheck.errors import Unsupported
from pytest_exportcheck.harness._torch import compiler_of_inductor, inductor_settings, runner_of_package
from pytest_exportcheck.harness.internal import call_foreign
from pytest_exportcheck.runtimes.cpp_compiler import compiler_facts, failed_compiler, missing_compiler
from pytest_exportcheck.runtimes.interface import Interface
from pytest_exportcheck.runtimes.protocol import Fact, Loaded

_FILE = "model.pt2"


class Aoti:
    """The runtime ``aoti``. It needs a C++ compiler."""

    name = "aoti"
    needs = ("torch",)
    extra = ""

    def options(self) -> Mapping[str, str]:
        return {**compiler_facts(), **{name: repr(value) for name, value in inductor_settings().items()}}

    def compile(self, program: Any, folder: Path) -> Mapping[str, Fact]:
        missing = missing_compiler()
        if missing:
            raise Unsupported(missing)
        try:
            call_foreign(partial(compiler_of_inductor(), program, package_path=str(folder / _FILE)))
        except Exception as error:
            raise failed_compiler(self.name, error) or error from None
        return {}

    def load(self, folder: Path) -> Loaded:
        run = runner_of_package(str(folder / _FILE))
        interface = Interface.read(folder)

        def call(inputs: Sequence[Any]) -> Sequence[Any]:
            outputs = run(interface.tensors(inputs))
            return interface.filled([each for each in outputs if each is not None])

        return call
