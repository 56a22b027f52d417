"""The ``torch`` engine: a thin adapter over ``torch.export``, the system under test."""

from __future__ import annotations

from typing import IO, Any

import torch
from torch.export import ExportedProgram


class TorchExport:
    """``torch.export`` as a bare engine."""

    name = "torch"
    edits_input = ("unflatten",)

    def export(
        self,
        module: torch.nn.Module,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
        *,
        dynamic_shapes: Any = None,
        strict: bool = False,
        pre_dispatch: bool = True,
    ) -> ExportedProgram:
        """``torch.export.export``, or the inference IR with ``pre_dispatch=False``."""
        if strict:
            torch._dynamo.reset()  # else the recompile limit counts the captures of other cases
        if pre_dispatch:
            program: ExportedProgram = torch.export.export(
                module, args, kwargs, dynamic_shapes=dynamic_shapes, strict=strict
            )
            return program
        # Below autograd there is no public function; nothing else of torch's internals is used here.
        from torch.export._trace import _export

        below_autograd: ExportedProgram = _export(
            module, args, kwargs, dynamic_shapes=dynamic_shapes, strict=strict, pre_dispatch=False
        )
        return below_autograd

    def decompose(self, program: ExportedProgram, decomp_table: Any = None) -> ExportedProgram:
        decomposed: ExportedProgram = program.run_decompositions(decomp_table)
        return decomposed

    def save(
        self,
        program: ExportedProgram,
        file: str | IO[bytes],
        *,
        extra_files: dict[str, Any] | None = None,
    ) -> None:
        torch.export.save(program, file, extra_files=extra_files)

    def load(self, file: str | IO[bytes], *, extra_files: dict[str, Any] | None = None) -> ExportedProgram:
        return torch.export.load(file, extra_files=extra_files)

    def unflatten(self, program: ExportedProgram) -> torch.nn.Module:
        return torch.export.unflatten(program)
