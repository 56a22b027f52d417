"""The ``torch`` engine: a thin adapter over ``torch.export``, the system under test."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import IO, Any

import torch
from torch.export import ExportedProgram

from pytest_exportcheck.engines.objects import beyond_torch, check_real, refused_by_torch
from pytest_exportcheck.harness._torch import exporter_below_autograd, holds_guards_of_dynamo
from pytest_exportcheck.harness.dynamic_shapes import effective_shapes


class TorchExport:
    """``torch.export`` as a bare engine."""

    name = "torch"
    format = "pt2"
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
        """Capture by ``torch.export.export``, or in the inference IR with ``pre_dispatch=False``."""
        with _forgotten_by_dynamo() if strict else nullcontext():
            program = self._export(module, args, kwargs, dynamic_shapes, strict, pre_dispatch)
        check_real(program)
        return program

    def _export(
        self, module: torch.nn.Module, args: Any, kwargs: Any, dynamic_shapes: Any, strict: bool, pre_dispatch: bool
    ) -> ExportedProgram:
        if pre_dispatch:
            program: ExportedProgram = torch.export.export(
                module, args, kwargs, dynamic_shapes=dynamic_shapes, strict=strict
            )
            return program
        export_below = exporter_below_autograd()
        shapes = effective_shapes(module, dynamic_shapes)  # which only the public function looks for
        return export_below(module, args, kwargs, dynamic_shapes=shapes, strict=strict, pre_dispatch=False)

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
        with refused_by_torch(program, "file"):
            torch.export.save(program, file, extra_files=extra_files)

    def unportable(self, program: ExportedProgram) -> str:
        """Name what neither torch nor another reader reads from a file that torch saved."""
        return beyond_torch(program, "file")

    def load(self, file: str | IO[bytes], *, extra_files: dict[str, Any] | None = None) -> ExportedProgram:
        return torch.export.load(file, extra_files=extra_files)

    def unflatten(self, program: ExportedProgram) -> torch.nn.Module:
        with refused_by_torch(program, "unflatten"):
            return torch.export.unflatten(program)


@contextmanager
def _forgotten_by_dynamo() -> Iterator[None]:
    """Make Dynamo forget a capture, so that captures do not add up over cases: neither against its recompile limit nor
    in memory.

    For every object that a guard looks at, Dynamo registers a finalizer that holds all guards of the capture. Classes
    and modules never die, so each strict capture would be kept: 0.6 MB for a small model (torch 2.13, 2.14). Dynamo
    forgets the capture at the next reset; this context removes the finalizers.
    """
    torch.compiler.reset()
    before = set(weakref.finalize._registry)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for finalizer in set(weakref.finalize._registry) - before:  # type: ignore[attr-defined]
            held = finalizer.peek()
            if held and holds_guards_of_dynamo(held[1]):
                finalizer.detach()
