"""The ``reference`` engine: an independent exporter, reader and writer of programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

import torch
from torch.export import ExportedProgram

from pytest_exportcheck import reference
from pytest_exportcheck.engines.unportable import unportable
from pytest_exportcheck.errors import ExportcheckError, PayloadError, Unsupported, UnsupportedError
from pytest_exportcheck.harness._torch import refusals_of_capture
from pytest_exportcheck.reference.exporter.errors import ConstraintViolation, NotTraceable


class Reference:
    """A bare engine, the second opinion on ``torch``."""

    name = "reference"
    format = "pt2"
    default_modes = (
        *("nonstrict", "nonstrict-serdes", "nonstrict-retrace", "nonstrict-interop"),
        *("strict", "strict-serdes"),
    )
    #: Errors about a model or a file, and errors of torch's tensors without data. Any other error is the engine's own
    #: fault.
    objections = (ConstraintViolation, NotTraceable)
    refusals = (ExportcheckError, *refusals_of_capture())
    #: Stages that are another engine's work: its known defects explain them. Drawn sizes are refused by guards, which
    #: torch makes of a program's symbols.
    delegates_to: Mapping[str, str] = {"interop": "torch", "fuzz": "torch"}

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
        try:
            return reference.export(
                module, args, kwargs, dynamic_shapes=dynamic_shapes, strict=strict, pre_dispatch=pre_dispatch
            )
        except reference.NotSupported as error:
            raise Unsupported(str(error)) from error

    decompose = staticmethod(reference.decompose)

    def save(self, program: ExportedProgram, file: BinaryIO, *, extra_files: dict[str, Any] | None = None) -> None:
        try:
            reference.save(program, file, extra_files=extra_files)
        except (UnsupportedError, PayloadError) as error:
            raise Unsupported(str(error)) from error

    unportable = staticmethod(unportable)

    def load(self, file: BinaryIO, *, extra_files: dict[str, Any] | None = None) -> ExportedProgram:
        return reference.load(file, extra_files=extra_files, trust=True)  # an edge saved it a moment ago
