"""Control flow that depends on values of tensors: refused with the line of the model, and with checks that decide it."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sympy
import torch

from pytest_exportcheck.reference._torch.sizes import GuardOnDataDependentSymNode, PythonPrinter
from pytest_exportcheck.reference._torch.values import pytree
from pytest_exportcheck.reference.exporter.errors import DataDependent
from pytest_exportcheck.reference.exporter.shape_env import NOT_THE_MODEL


@contextmanager
def data_dependence_located() -> Iterator[None]:
    """Refuse data-dependent control flow with the line of the model that needs the value."""
    try:
        yield
    except GuardOnDataDependentSymNode as error:
        frames = zip(traceback.extract_tb(error.__traceback__), traceback.walk_tb(error.__traceback__), strict=True)
        own = [(line, frame) for line, (frame, _) in frames if not line.filename.startswith(NOT_THE_MODEL)]
        place, fixes = "a line that is not there any more", ""
        if own:
            line, frame = own[-1]
            place, fixes = f"{line.filename}:{line.lineno}: {line.line}", _checks(error.cond, frame.f_locals)
        raise DataDependent(
            f"Could not guard on data-dependent expression {error.cond}: the model goes one way or another, or needs a number, by the "
            f"values of a tensor, at\n  {place}\nA program goes one way for all values. Compute both and choose with torch.where, use "
            f"torch.cond, or say what holds before that line with torch._check(...).{fixes}",
            error.cond,
        ) from error


def _leaves(value: Any) -> list[tuple[Any, Any]]:
    try:
        return pytree.tree_leaves_with_path(value)
    except ValueError:  # a class that is registered without names of its parts
        return []


def _checks(condition: Any, variables: Mapping[str, Any]) -> str:
    """Return the two checks that decide a condition, in the words of torch.export, if variables hold its symbols."""
    names: dict[Any, sympy.Symbol] = {}
    for name, value in variables.items():
        for path, leaf in _leaves(value):
            sizes = enumerate(leaf.shape) if isinstance(leaf, torch.Tensor) else [(None, leaf)]
            for number, size in sizes:
                if isinstance(size, torch.SymInt):
                    text = f"{name}{pytree.keystr(path)}" + ("" if number is None else f".shape[{number}]")
                    names.setdefault(size.node.expr, sympy.Symbol(text, integer=True))
    if not isinstance(condition, sympy.logic.boolalg.Boolean) or not condition.free_symbols <= names.keys():
        return ""
    either = [PythonPrinter().doprint(each.xreplace(names)) for each in (sympy.Not(condition), condition)]
    checks = "".join(f"\n  {number}. torch._check({each})" for number, each in enumerate(either, 1))
    return f"\nTo fix the error, insert one of the following checks before this call:{checks}"
