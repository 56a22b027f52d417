"""The ``reference`` engine: our own exporter, reader and writer of programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

import torch
from torch.export import ExportedProgram

from pytest_exportcheck import reference
from pytest_exportcheck.errors import Unsupported, UnsupportedError


class Reference:
    """A bare engine. It captures non-strictly; it runs when it is asked for by name."""

    name = "reference"
    format = "pt2"
    on_request = True
    #: Stages that are another engine's work: its known defects explain them.
    made_by: Mapping[str, str] = {"interop": "torch"}

    def export(
        self,
        module: torch.nn.Module,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
        *,
        dynamic_shapes: Any = None,
        pre_dispatch: bool = True,
    ) -> ExportedProgram:
        return reference.export(module, args, kwargs, dynamic_shapes=dynamic_shapes, pre_dispatch=pre_dispatch)

    decompose = staticmethod(reference.decompose)

    def save(self, program: ExportedProgram, file: BinaryIO, *, extra_files: dict[str, Any] | None = None) -> None:
        try:
            reference.save(program, file, extra_files=extra_files)
        except UnsupportedError as error:
            raise Unsupported(str(error)) from error

    def load(self, file: BinaryIO, *, extra_files: dict[str, Any] | None = None) -> ExportedProgram:
        return reference.load(file, extra_files=extra_files, trust=True)  # an edge saved it a moment ago
