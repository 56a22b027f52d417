"""Errors of torch while the model is traced: refused with the line of the model, and with what decides a condition."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sympy
import torch

from pytest_exportcheck.reference._torch.sizes import (
    GuardOnDataDependentSymNode,
    PendingUnbackedSymbolNotFound,
    PythonPrinter,
    free_unbacked_symbols,
)
from pytest_exportcheck.reference._torch.tracing import UnsupportedOperatorException
from pytest_exportcheck.reference._torch.values import pytree
from pytest_exportcheck.reference.exporter.errors import DataDependent, NotSupported, NotTraceable
from pytest_exportcheck.reference.exporter.inputs import Example
from pytest_exportcheck.reference.exporter.objects import reason_of
from pytest_exportcheck.reference.exporter.shape_env import NOT_THE_MODEL, line_of_the_model


@contextmanager
def data_dependence_located(sizes: Mapping[Any, str]) -> Iterator[None]:
    """Refuse control flow that depends on data, or on one of these unbacked sizes, with the line of the model that
    needs the value, and operators that read numbers which no result has, or that have no fake implementation.
    """
    try:
        yield
    except GuardOnDataDependentSymNode as error:
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        own = [frame for frame in frames if not frame.f_code.co_filename.startswith(NOT_THE_MODEL)]
        raise data_dependence(error, _line(error), own[-1].f_locals if own else {}, sizes) from error
    except PendingUnbackedSymbolNotFound as error:
        raise NotTraceable(
            f"an operator reads a number from a tensor, or makes a symbol, that its result does not have, at\n  {_line(error)}\n"
            "Read the number with .item() and pass it to the operator. If the operator is custom, its fake must return each "
            "symbol that it makes."
        ) from error
    except UnsupportedOperatorException as error:
        raise NotTraceable(
            f"the operator {error.func} has no implementation for fake tensors. It is called at\n  {_line(error)}\n"
            "Give it one with torch.library.register_fake."
        ) from error


def data_dependence(
    error: GuardOnDataDependentSymNode, place: str, variables: Mapping[str, Any], sizes: Mapping[Any, str]
) -> DataDependent:
    """Return the refusal of a condition at a line of the model; ``variables`` are those of the line, and ``sizes`` the
    unbacked ones by their symbols.
    """
    symbols = sorted(getattr(error.cond, "free_symbols", ()), key=str)
    specified = ", ".join(f"{sizes[each]} ({each})" for each in symbols if each in sizes)
    checks = _checks(error.cond, variables)
    return DataDependent.at(place, error.cond, checks=checks, error=error, sizes=specified)


def unbacked_sizes(example: Example, leaves: list[Any]) -> dict[Any, str]:
    """Map the unbacked symbols of the inputs to the sizes and numbers that they are, as the model writes them."""
    found: dict[Any, str] = {}
    for leaf, value in zip(example.leaves, leaves, strict=True):
        for text, size in _symbols(leaf.text, value):
            if free_unbacked_symbols(size):
                found.setdefault(size.node.expr, text)
    return found


def _symbols(text: str, value: Any) -> Iterator[tuple[str, torch.SymInt]]:
    """Yield the sizes of a tensor, or the number, that are symbols, each as the model writes it."""
    is_tensor = isinstance(value, torch.Tensor)
    for number, size in enumerate(value.shape if is_tensor else [value]):
        if isinstance(size, torch.SymInt):
            yield f"{text}.shape[{number}]" if is_tensor else text, size


@contextmanager
def object_errors_located() -> Iterator[None]:
    """Refuse what torch's fakes of objects cannot do, with the line of the model."""
    try:
        yield
    except (RuntimeError, AttributeError) as error:
        reason = reason_of(error)
        if not reason:
            raise
        kind = NotSupported if isinstance(error, NotImplementedError) else NotTraceable
        raise kind(f"{reason} It is used at\n  {_line(error)}") from error


def _line(error: BaseException) -> str:
    """Return the last line of the model that led to an error; torch quotes the lines of a graph in the message."""
    quoted = re.findall(r'File "(.+)", line (\d+), in (.+)\n +(.+)', str(error))
    graph = (traceback.FrameSummary(file, int(line), name, line=text) for file, line, name, text in quoted)
    return line_of_the_model((*graph, *traceback.extract_tb(error.__traceback__)))


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
            for text, size in _symbols(f"{name}{pytree.keystr(path)}", leaf):
                names.setdefault(size.node.expr, sympy.Symbol(text, integer=True))
    is_number = isinstance(condition, sympy.Expr)  # that the model needs: no check decides it
    decides = isinstance(condition, sympy.logic.boolalg.Boolean) and not is_number
    if not decides or not condition.free_symbols <= names.keys():
        return ""
    either = [PythonPrinter().doprint(each.xreplace(names)) for each in (sympy.Not(condition), condition)]
    checks = "".join(f"\n  {number}. torch._check({each})" for number, each in enumerate(either, 1))
    return f"\nTo fix the error, insert one of the following checks before this call:{checks}"
