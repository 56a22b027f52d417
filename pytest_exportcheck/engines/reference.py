"""The ``reference`` engine: our own exporter, reader and writer of programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

from torch.export import ExportedProgram

from pytest_exportcheck import reference
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.errors import Unsupported, UnsupportedError


class Reference:
    """A bare engine. It captures non-strictly and above autograd; it runs when it is asked for by name."""

    name = "reference"
    format = "pt2"
    on_request = True
    #: Stages that are another engine's work: its known defects explain them.
    made_by: Mapping[str, str] = dict.fromkeys(("decompose", "interop"), "torch")

    export = staticmethod(reference.export)

    def decompose(self, program: ExportedProgram, decomp_table: Any = None) -> ExportedProgram:
        """By torch; what a call must keep to is carried over, which torch derives anew from the symbols alone."""
        lowered = TorchExport().decompose(program, decomp_table)
        lowered._guards_code = list(dict.fromkeys([*lowered._guards_code, *program._guards_code]))
        return lowered

    def save(self, program: ExportedProgram, file: BinaryIO, *, extra_files: dict[str, Any] | None = None) -> None:
        try:
            reference.save(program, file, extra_files=extra_files)
        except UnsupportedError as error:
            raise Unsupported(str(error)) from error

    def load(self, file: BinaryIO, *, extra_files: dict[str, Any] | None = None) -> ExportedProgram:
        return reference.load(file, extra_files=extra_files, trust=True)  # an edge saved it a moment ago
