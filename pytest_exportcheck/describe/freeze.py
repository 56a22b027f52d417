"""Frozen data: arguments, values and metadata of nodes as plain data.

A frozen value shares nothing with the program, so that a stage that edits its input cannot edit the record of that
input, and never holds a tensor, so that comparing two is safe.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.export.graph_signature import CustomObjArgument

from pytest_exportcheck.describe.symbols import Symbols
from pytest_exportcheck.harness._torch import (
    DYNAMO_NOTE,
    HigherOrderOperator,
    OpOverload,
    class_of_object,
    is_object,
    pytree,
)
from pytest_exportcheck.harness.module_attributes import ATOMS
from pytest_exportcheck.harness.tensors import as_plain, is_strided
from pytest_exportcheck.records import NodeRef, Plain, TensorValue

_SYMBOLIC = (torch.SymInt, torch.SymFloat, torch.SymBool)


def target_text(target: Any) -> str:
    """Return the target of a node: ``aten.add.Tensor``, ``_operator.getitem``, ``cond``."""
    if isinstance(target, (str, OpOverload)):
        return str(target)
    if isinstance(target, HigherOrderOperator):
        return str(target)
    return qualified(target)


def qualified(value: Any) -> str:
    """Return a class or function as text by module and name."""
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    return f"{value.__module__}.{name}" if name else _without_addresses(repr(value))


@as_plain
def tensor_value(tensor: torch.Tensor, symbols: Symbols) -> TensorValue:
    """Return shape, dtype, device, layout, stride and offset of a tensor, real or fake."""
    strided = is_strided(tensor)
    return TensorValue(
        shape=() if tensor.is_nested else tuple(map(symbols.size, tensor.shape)),
        dtype=str(tensor.dtype).removeprefix("torch."),
        device=str(tensor.device),
        layout=str(tensor.layout).removeprefix("torch."),
        stride=tuple(map(symbols.size, tensor.stride())) if strided else None,
        storage_offset=symbols.size(tensor.storage_offset()) if strided else 0,
    )


def frozen(value: Any, symbols: Symbols) -> Any:
    """Return any value as plain data: equal values freeze equal, and what freezes equal is equal for the checks."""
    if type(value) in (str, int, bool, type(None)):
        return value
    if isinstance(value, torch.fx.Node):
        return NodeRef(value.name)
    if isinstance(value, CustomObjArgument):
        return Plain("object", value.class_fqn)
    if is_object(value):
        return Plain("object", class_of_object(value))
    if isinstance(value, _SYMBOLIC):
        return symbols.size(value)
    if isinstance(value, torch.Tensor):
        return tensor_value(value, symbols)
    if isinstance(value, (list, tuple)):
        return tuple(frozen(each, symbols) for each in value)
    if isinstance(value, Mapping):
        return tuple((frozen(key, symbols), frozen(each, symbols)) for key, each in value.items())
    if isinstance(value, (set, frozenset)):
        return tuple(sorted((frozen(each, symbols) for each in value), key=repr))
    if isinstance(value, type) or callable(value):
        return Plain("callable", target_text(value))
    return Plain(type(value).__name__, _without_addresses(repr(value)))


def frozen_metadata(meta: Mapping[str, Any], symbols: Symbols) -> dict[str, Any]:
    """Return the metadata of a node without ``val``, key by key."""
    kept: dict[str, Any] = {}
    for key, value in meta.items():
        if key == "val" or key in PRESENCE_ONLY:
            if key != "val":
                kept[key] = "present"
            continue
        if value is None:
            continue
        freeze = _FREEZERS.get(key)
        try:
            result = freeze(value) if freeze else frozen(value, symbols)
        except (TypeError, ValueError, RuntimeError):  # not of the form that torch gives it
            result = _opaque(value)
        if not (key == "custom" and not result):
            kept[key] = result
    return kept


#: Keys that are long, internal to a capture, and not compared: the ledger only says whether they are present.
PRESENCE_ONLY = frozenset({"tensor_meta", "example_value", "eager_input_vals", "eager_input_kwargs", "grapharg"})


def _module_stack(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return _opaque(value)
    return tuple((str(key), *_path_and_type(entry)) for key, entry in value.items())


def _path_and_type(entry: Any) -> tuple[str, str]:
    path, kind = entry
    return (str(path), qualified(kind) if isinstance(kind, type) else str(kind))


def _stack_trace(value: Any) -> Any:
    return re.sub(r"<eval_with_key>\.\d+", "<eval_with_key>", value) if isinstance(value, str) else _opaque(value)


def _from_node(value: Any) -> Any:
    return tuple(_source(source) for source in value) if isinstance(value, (list, tuple)) else _opaque(value)


def _source(source: Any) -> Any:
    actions = tuple(getattr(each, "name", str(each)) for each in getattr(source, "action", None) or ())
    return (
        getattr(source, "name", str(source)),
        getattr(source, "target", ""),
        getattr(source, "pass_name", ""),
        actions,
        _from_node(getattr(source, "from_node", ())),
    )


def origin_of(meta: Mapping[str, Any]) -> str:
    """Return the node that ``from_node`` names last: the one of the program that a stage was given."""
    chain = meta.get("from_node")
    name = ""
    while isinstance(chain, (list, tuple)) and chain:
        name = getattr(chain[-1], "name", "")
        chain = getattr(chain[-1], "from_node", None)
    return name


def _function(value: Any) -> Any:
    """Freeze a pair of strings; represent any other value by its type, because torch's own writer expects strings."""
    if not isinstance(value, tuple):
        return _opaque(value)
    return tuple(each if isinstance(each, str) else (type(each).__name__, target_text(each)) for each in value)


def _source_functions(value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        return _opaque(value)
    return tuple(
        (str(pair[0]), pair[1] if isinstance(pair[1], str) else target_text(pair[1])) if len(pair) == 2 else str(pair)
        for pair in value
    )


def _custom(value: Any) -> Any:
    """Freeze the user's own annotations, with the types of containers and keys."""
    if not isinstance(value, Mapping):
        return _opaque(value)
    return {
        key: _typed(entry) for key, entry in value.items() if not (isinstance(key, str) and key.startswith(DYNAMO_NOTE))
    }


def _typed(value: Any) -> Any:
    """Freeze a value whose containers keep their types: the user decides what the annotations mean."""
    if isinstance(value, torch.Tensor):
        return _tensor_text(value)
    if isinstance(value, Mapping):
        return {key: _typed(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_typed(each) for each in value) if type(value) in (list, tuple) else _opaque(value)
    return value if type(value) in ATOMS else _opaque(value)


def _tensor_text(tensor: torch.Tensor) -> str:
    """Describe a tensor that a user put into metadata: its facts, and its first values where they can be read."""
    try:
        return f"tensor {tensor.dtype} {list(tensor.shape)} {tensor.detach().flatten()[:8].tolist()}"
    except (RuntimeError, NotImplementedError):  # layouts and devices without values to read
        return f"tensor {tensor.dtype} {tensor.layout} of {tensor.dim()} dims"


def _bindings(value: Any) -> Any:
    """Return the parts of the node's value that bind unbacked symbols; the symbols' own names mean nothing
    elsewhere.
    """
    if not isinstance(value, Mapping):
        return _opaque(value)
    return tuple(sorted(pytree.keystr(path) if isinstance(path, tuple) else str(path) for path in value.values()))


def _opaque(value: Any) -> Any:
    return _without_addresses(repr(value))


def _without_addresses(text: str) -> str:
    return re.sub(r" at 0x[0-9a-f]+", "", text)


_FREEZERS: Mapping[str, Callable[[Any], Any]] = {
    "nn_module_stack": _module_stack,
    "stack_trace": _stack_trace,
    "from_node": _from_node,
    "source_fn_stack": _source_functions,
    "torch_fn": _function,
    "custom": _custom,
    "unbacked_bindings": _bindings,
}
