"""The ``torch`` engine: a thin adapter over ``torch.export``, the system under test."""

from __future__ import annotations

from typing import IO, Any

import torch


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
    ) -> torch.export.ExportedProgram:
        """``torch.export.export``, or the inference IR with ``pre_dispatch=False``."""
        if strict:
            torch._dynamo.reset()  # else the recompile limit counts the captures of other cases
        if pre_dispatch:
            return torch.export.export(module, args, kwargs, dynamic_shapes=dynamic_shapes, strict=strict)
        # Below autograd there is no public function; nothing else of torch's internals is used here.
        from torch.export._trace import _export

        return _export(
            module, args, kwargs, dynamic_shapes=dynamic_shapes, strict=strict, pre_dispatch=False
        )

    def decompose(
        self, program: torch.export.ExportedProgram, decomp_table: Any = None
    ) -> torch.export.ExportedProgram:
        return program.run_decompositions(decomp_table)

    def save(
        self,
        program: torch.export.ExportedProgram,
        file: str | IO[bytes],
        *,
        extra_files: dict[str, Any] | None = None,
    ) -> None:
        torch.export.save(program, file, extra_files=extra_files)

    def load(
        self, file: str | IO[bytes], *, extra_files: dict[str, Any] | None = None
    ) -> torch.export.ExportedProgram:
        return torch.export.load(file, extra_files=extra_files)

    def unflatten(self, program: torch.export.ExportedProgram) -> torch.nn.Module:
        return torch.export.unflatten(program)
