"""Names of operators, functions and classes, and the way back, without importing or running what a file names."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch

from pytest_exportcheck.errors import UnsupportedError
from pytest_exportcheck.reference._torch.values import (
    HigherOrderOperator,
    OpOverload,
    OpOverloadPacket,
    name_of_packet,
    nn_functions,
    overload_of_operator,
    schema_of_operator,
)
from pytest_exportcheck.reference.pt2.plain.extensions import (
    extension_name,
    extension_of,
    extension_schema,
    is_extension_name,
)

#: Python functions that programs have as targets: on symbolic numbers, and on what operators return.
_FUNCTIONS: tuple[Callable[..., Any], ...] = (
    *(
        getattr(operator, name)
        for name in [
            "eq",
            "ne",
            "le",
            "ge",
            "lt",
            "gt",
            "neg",
            "pos",
            "mul",
            "add",
            "sub",
            "floordiv",
            "mod",
            "pow",
            "truediv",
            "and_",
            "or_",
            "xor",
            "lshift",
            "rshift",
            "getitem",
            "abs",
            "not_",
        ]
    ),
    *(getattr(math, name) for name in ["trunc", "ceil", "floor", "sqrt"]),
    *(
        getattr(torch, name)
        for name in [
            "sym_not",
            "sym_int",
            "sym_float",
            "sym_ite",
            "sym_max",
            "sym_min",
            "sym_sqrt",
            "sym_sum",
            "sym_fresh_size",
        ]
        if hasattr(torch, name)
    ),
    round,
    max,
    min,
)
_OPS = "torch.ops."
_PREDISPATCH = "torch._functorch.predispatch"


def target_name(target: Any) -> str:
    """Return the name of a ``call_function`` node's target in a file.

    Raises
    ------
    UnsupportedError
        For a function that is neither an operator, a higher-order operator nor one that programs use on numbers.
    """
    if isinstance(target, OpOverload):
        namespace, _, name = schema_of_operator(target).name.partition("::")
        return f"{_OPS}{namespace}.{name}.{overload_of_operator(target)}"
    if isinstance(target, HigherOrderOperator):
        return f"{_OPS}higher_order.{target.name()}"  # type: ignore[no-untyped-call]
    extension = extension_name(target)
    if extension is not None:
        return extension
    module = getattr(target, "__module__", None)
    if target in _FUNCTIONS or module == _PREDISPATCH:
        return f"{module}.{target.__name__}"
    raise UnsupportedError(
        f"{target!r} is not an operator that a file can name. Wrap what it does in a custom operator (torch.library.custom_op), "
        "or register a handler for its type (pytest_exportcheck.reference.register_extension)."
    )


def target_of(name: str) -> Any:
    """Return the target of that name.

    Raises
    ------
    UnsupportedError
        When no such target exists here, such as an operator that is not registered.
    """
    if name.startswith(_OPS):
        return _operator(name, OpOverload, HigherOrderOperator)
    if is_extension_name(name):
        return extension_of(name)
    for function in _FUNCTIONS:
        if f"{function.__module__}.{function.__name__}" == name:
            return function
    module, _, last = name.rpartition(".")
    if module == _PREDISPATCH:
        found = vars(sys.modules[module]).get(last) if module in sys.modules else None
        if callable(found):
            return found
    raise UnsupportedError(
        f"{name!r} is not a function that a program may call. If a newer torch wrote the file, update torch."
    )


def schema_of(name: str) -> Any:
    """Return the ``torch.FunctionSchema`` of the operator of that name; None for a function without a schema and for an
    unknown name.
    """
    try:
        operator = target_of(name)
    except UnsupportedError:
        return None
    return schema_of_operator(operator) if isinstance(operator, OpOverload) else extension_schema(operator)


def is_packet_name(name: str) -> bool:
    """Return whether the name is that of an operator without its overload, such as ``torch.ops.aten.add``."""
    return name.startswith(_OPS) and name.count(".") == 3 and not name.startswith(f"{_OPS}higher_order.")


def _operator(name: str, *kinds: type) -> Any:
    parts = name.removeprefix(_OPS).split(".")
    found: Any = torch.ops
    for part in parts if all(part.isidentifier() for part in parts) else ("?",):
        found = getattr(found, part, None) if found is not None and part != "?" else None
    if isinstance(found, kinds):
        return found
    raise UnsupportedError(
        f"the operator {name!r} is not registered. Import the package that registers it before loading the file."
    )


def global_name(value: Any) -> str:
    """Return ``module:qualified.name`` of a class or function that can be found again under it; for an operator without
    its overload, return the name that torch has for it.

    Raises
    ------
    UnsupportedError
        For a function or class that is local to a function, or that something else of its name hides.
    """
    if isinstance(value, OpOverloadPacket):
        return _OPS + name_of_packet(value).replace("::", ".")
    module = getattr(value, "__module__", None) or getattr(getattr(value, "__objclass__", None), "__module__", None)
    name = f"{module}:{getattr(value, '__qualname__', getattr(value, '__name__', None))}"
    found = name if _lookup(name) is value else _name_in_torch(value)
    if found is None:
        raise UnsupportedError(f"{value!r} cannot be found by its name. Define it at the top level of a module.")
    return found


def _name_in_torch(value: Any) -> str | None:
    """Return the name under which torch exposes a function whose own module attribute is wrong, as that of
    ``torch.rand`` and ``torch.nn.functional.max_pool2d`` is.
    """
    for module in (torch, torch.nn.functional, nn_functions, torch.linalg, torch.special, torch.fft):
        for name, found in vars(module).items():
            if found is value:
                return f"{module.__name__}:{name}"
    return None


def global_of(name: str) -> Any:
    """Return the class or function of that name in a module that is imported already; nothing is imported.

    Raises
    ------
    UnsupportedError
        When the name is not found.
    """
    if is_packet_name(name):
        return _operator(name, OpOverloadPacket)
    found = _lookup(name)
    if found is None:
        raise UnsupportedError(f"{name!r} is not in an imported module. Import its module before loading the file.")
    return found


def _lookup(name: str) -> Any:
    """Look a name up in the dictionaries of modules and classes: asking them for attributes may run code."""
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        if not isinstance(found, (ModuleType, type)):
            return None
        found = vars(found).get(part)
    return found
