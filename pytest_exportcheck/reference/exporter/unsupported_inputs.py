"""Tensors and modules that this exporter does not capture in every use: an error names them where a capture fails on
them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pytest_exportcheck.errors import ExportcheckError
from pytest_exportcheck.reference._torch.tracing import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UserError,
)
from pytest_exportcheck.reference._torch.values import state_tables
from pytest_exportcheck.reference.exporter.errors import LeakedTensor, NotSupported
from pytest_exportcheck.reference.exporter.inputs import Example

#: Errors that describe the model in their own words.
_SAYS_WHY = (ExportcheckError, UserError, DynamicOutputShapeException, DataDependentOutputException)

_REMEDY = (
    "The reference exporter does not support this use of them. Capture the model with torch.export, or convert them before "
    "exporting: plain tensors for a subclass (torchao: unwrap_tensor_subclass), .dequantize(), .to_dense(), an nn.Module for a "
    "scripted module."
)


@contextmanager
def named_when_unsupported(module: torch.nn.Module, example: Example) -> Iterator[None]:
    """Turn an error inside torch into a refusal if the model or the example has something that is rarely supported: its
    name, and the error.
    """
    try:
        yield
    except Exception as error:
        leaked = isinstance(error, LeakedTensor)
        if isinstance(error, _SAYS_WHY) and not leaked:
            raise
        odd = {name: what for name, what in _odd(module, example) if not leaked or "subclass" in what}
        if not odd:
            raise
        named = ", ".join(f"{name} ({what})" for name, what in odd.items())
        said = "" if leaked else f" torch raises {type(error).__name__}: {_first_line(error)}"
        raise NotSupported(f"the capture failed on a model with {named}.{said} {_REMEDY}") from error


def _first_line(error: BaseException) -> str:
    line = str(error).strip().partition("\n")[0]
    return line if line.endswith((".", "!")) else f"{line}."


def _odd(module: torch.nn.Module, example: Example) -> Iterator[tuple[str, str]]:
    for name, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            yield name or "the module", "a scripted module"
            continue
        parameters, buffers = state_tables(part)
        for key, value in (*parameters.items(), *buffers.items(), *vars(part).items()):
            if isinstance(value, torch.Tensor) and (what := _kind(value)):
                yield (f"{name}.{key}" if name else key), what
    for leaf in example.leaves:
        if isinstance(leaf.value, torch.Tensor) and (what := _kind(leaf.value)):
            yield leaf.text, what


def _kind(tensor: torch.Tensor) -> str:
    """Describe in words a tensor that is not a plain strided one; return an empty text for a plain one."""
    if tensor.is_nested:
        return "a nested tensor"
    if type(tensor).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
        return f"a tensor of the subclass {type(tensor).__name__}"
    if tensor.is_quantized:
        return "a quantized tensor"
    if tensor.layout is not torch.strided:
        return f"a tensor of the layout {tensor.layout}"
    return ""
