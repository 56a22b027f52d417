"""The key of a program: a digest of each part that a compiler may read.

Nothing is left out because it seems not to matter: a package of another program would be called in place of the
program's own. An object whose content is not known makes the program uncacheable.
"""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import sympy
import torch

from pytest_exportcheck.errors import ExportcheckError
from pytest_exportcheck.harness._torch import HigherOrderOperator, OpOverload, pytree
from pytest_exportcheck.harness.fingerprint import content_digest, digest_of
from pytest_exportcheck.harness.tensors import is_strided, storage_key
from pytest_exportcheck.runtimes.dependencies import OF_TORCH


class Uncacheable(ExportcheckError):
    """A program that holds something whose content cannot be compared with that of another run."""


#: Metadata of nodes about where they come from: no compiler computes with it, and other lines of the user's file change it.
_INERT = frozenset({"stack_trace", "from_node", "seq_nr", "desc"})

#: Higher-order operators whose content is in their arguments. Others, such as those of Triton kernels, look it up elsewhere.
_HIGHER_ORDER = frozenset(
    {"cond", "while_loop", "map_impl", "scan", "associative_scan", "wrap_with_set_grad_enabled", "wrap_with_autocast"}
)

#: Modules whose functions are those of a version of torch or Python.
_KNOWN = ("torch", "_operator", "operator", "math", "builtins", "sympy")

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def program_key(program: Any) -> dict[str, str]:
    """Return a digest of each part of an ``ExportedProgram``, the same in every process.

    Raises
    ------
    Uncacheable
        For a program with an object that has no stable text, or with an operator from outside torch, whose code may change.
    """
    parts: Mapping[str, Callable[[Any], Iterator[str]]] = {
        "graph": _graph,
        "metadata": _metadata,
        "signature": _signature,
        "ranges": _ranges,
        "state": _state,
        "example": _example,
    }
    return {name: digest_of(_stable(texts(program))) for name, texts in parts.items()}


def _stable(texts: Iterator[str]) -> Iterator[str]:
    for text in texts:
        if _ADDRESS.search(text):
            raise Uncacheable(f"the text of an object has an address: {text.strip()[:80]}")
        yield text


def _graph(program: Any) -> Iterator[str]:
    yield f"{type(program).__qualname__} {program.dialect}"
    for path, node in _nodes(program.graph_module):
        yield f"{path} {node.name} {node.op} {_target(node)} {_text(node.args)} {_text(node.kwargs)}"
        if node.op == "get_attr":
            yield from _attribute(node)


def _metadata(program: Any) -> Iterator[str]:
    for path, node in _nodes(program.graph_module):
        told = {key: value for key, value in node.meta.items() if key not in _INERT}
        yield f"{path} {node.name} {_text(told)}"
    for path, module in program.graph_module.named_modules():
        yield f"{path} {type(module).__qualname__} {_text(dict(getattr(module, 'meta', {})))}"


def _signature(program: Any) -> Iterator[str]:
    yield repr(program.graph_signature)
    yield repr(program.call_spec)
    yield repr(program.module_call_graph)


def _ranges(program: Any) -> Iterator[str]:
    for symbol, interval in program.range_constraints.items():
        yield f"{symbol} {interval}"


def _state(program: Any) -> Iterator[str]:
    shared: dict[Any, int] = {}
    for kind, values in (("state", program.state_dict), ("constant", program.constants)):
        for name, value in values.items():
            group = shared.setdefault(storage_key(value), len(shared)) if isinstance(value, torch.Tensor) else ""
            yield f"{kind} {name} {_held(name, value)} {group}"


def _example(program: Any) -> Iterator[str]:
    for number, leaf in enumerate(pytree.tree_leaves(program.example_inputs)):
        yield _held(f"input {number}", leaf) if isinstance(leaf, torch.Tensor) else _text(leaf)


def _nodes(module: torch.nn.Module) -> Iterator[tuple[str, torch.fx.Node]]:
    for path, owner in module.named_modules():
        if isinstance(owner, torch.fx.GraphModule):
            for node in owner.graph.nodes:
                yield path, node


def _target(node: torch.fx.Node) -> str:
    target: Any = node.target
    if isinstance(target, str):
        return target
    if isinstance(target, HigherOrderOperator) and _name(target) not in _HIGHER_ORDER:
        raise Uncacheable(f"the content of {_name(target)} is not in the program")
    return _text(target)


def _attribute(node: torch.fx.Node) -> Iterator[str]:
    owner: Any = node.graph.owning_module
    for name in str(node.target).split("."):
        owner = getattr(owner, name)
    if not isinstance(owner, torch.fx.GraphModule):
        yield _held(str(node.target), owner)


def _held(name: str, value: Any) -> str:
    """Return the type, the layout and a digest of the bytes of a tensor that a program holds."""
    plain = type(value) in (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer) and is_strided(value)
    if not plain or value.is_quantized or value.is_conj() or value.is_neg() or value.device.type == "meta":
        raise Uncacheable(f"{name} is not a plain tensor")
    return f"{type(value).__name__} {_tensor(value)} {value.storage_offset()} {content_digest(value)}"


def _tensor(value: torch.Tensor) -> str:
    sizes = "" if value.is_nested else _text(tuple(value.shape))
    strides = _text(tuple(value.stride())) if is_strided(value) else ""
    return f"{value.dtype} {value.device} {value.layout} {sizes} {strides} {value.requires_grad}"


def _text(value: Any) -> str:
    """Return a value of a graph or of metadata as a text that is the same in every process."""
    if type(value) in _PLAIN:
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(key)}: {_text(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (set, frozenset)):
        return "{" + ", ".join(sorted(map(_text, value))) + "}"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}(" + ", ".join(map(_text, value)) + ")"
    for kind, text in _TEXTS.items():
        if isinstance(value, kind):
            return text(value)
    module = getattr(value, "__module__", None) or ""
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and module.partition(".")[0] == "torch":
        return type(value).__qualname__ + _text(
            {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        )
    name = getattr(value, "__qualname__", None)
    if isinstance(value, type) or (callable(value) and name and module.partition(".")[0] in _KNOWN):
        return f"{module}.{name}"
    raise Uncacheable(f"an object of type {type(value).__module__}.{type(value).__qualname__} is in the program")


def _operator(value: Any) -> str:
    if value.namespace not in OF_TORCH:
        raise Uncacheable(f"operator {_name(value)} is not torch's: its code may change")
    return _name(value)


def _name(operator: Any) -> str:
    return str(operator.name())


def _symbolic(value: Any) -> str:
    return f"{type(value).__name__}({value.node.expr}, {getattr(value.node, 'hint', None)})"


_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), torch.dtype, torch.device, torch.layout, torch.memory_format)  # fmt: skip

_TEXTS: Mapping[type, Callable[[Any], str]] = {
    torch.fx.Node: lambda node: f"%{node.name}",
    torch.Tensor: lambda tensor: f"{type(tensor).__name__}({_tensor(tensor)})",
    torch.SymInt: _symbolic,
    torch.SymFloat: _symbolic,
    torch.SymBool: _symbolic,
    OpOverload: _operator,
    HigherOrderOperator: _name,
    slice: lambda value: f"slice({_text(value.start)}, {_text(value.stop)}, {_text(value.step)})",
    sympy.Basic: sympy.srepr,
    enum.Enum: str,
}
