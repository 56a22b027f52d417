"""Parts of a program that the reference engine writes into a file and no other reader knows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch
from torch.export import ExportedProgram

from pytest_exportcheck.engines.objects import beyond_torch
from pytest_exportcheck.harness._torch import pytree


def unportable(program: ExportedProgram) -> str:
    """Name the first such part and the remedy; empty if there is none."""
    found = chain(_sparse(program), _classes(program)) if isinstance(program, ExportedProgram) else iter(())
    return next(found, "") or beyond_torch(program, "file")


def _sparse(program: ExportedProgram) -> Iterator[str]:
    for name, value in {**program.state_dict, **program.constants}.items():
        if isinstance(value, torch.Tensor) and value.layout is not torch.strided:
            yield (
                f"{name!r}, a weight of the layout {value.layout}: the format holds strided tensors, and only the reference reader "
                "knows the parts of this one. Keep a dense tensor and convert it in forward."
            )


def _classes(program: ExportedProgram) -> Iterator[str]:
    for spec in (program.call_spec.in_spec, program.call_spec.out_spec):
        for kind in _kinds(spec):
            registered = pytree.SUPPORTED_SERIALIZED_TYPES.get(kind)
            if registered is None or registered.serialized_type_name == pytree.NO_SERIALIZED_TYPE_NAME_FOUND:
                yield (
                    f"{kind.__module__}.{kind.__qualname__} among the inputs or outputs: the class is registered without a name for "
                    "files. Register it with a serialized_type_name, or return a tuple or a dict."
                )


def _kinds(spec: Any) -> Iterator[Any]:
    """Yield the classes of the nodes of a spec; for a namedtuple its own class."""
    if spec is None or spec.is_leaf():
        return
    own = pytree.is_namedtuple_class(spec.context) if isinstance(spec.context, type) else False
    yield spec.context if own else spec.type
    for child in spec.children():
        yield from _kinds(child)
