"""Defaults: calls whose result depends on the default dtype or device at the time of the call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from pytest_exportcheck.harness._torch import OpOverload, pytree, schema_of_operator

#: Operators whose meta kernels are torch's own.
_NAMESPACES = ("aten", "prims")


def taken_from_defaults(node: torch.fx.Node) -> tuple[str, ...]:
    """Return ``dtype``, ``device``, both or neither: the defaults of the process that a call uses."""
    target = node.target
    if node.op != "call_function" or not isinstance(target, OpOverload):
        return ()
    if target.namespace not in _NAMESPACES or not _results(node):
        return ()
    given = _tensors(node)
    missing = (
        ("dtype", not any(map(_is_floating, given)) and _depends_on_default_dtype(node, target, given)),
        ("device", not given and _omits(node, target, "Device")),
    )
    return tuple(name for name, is_missing in missing if is_missing)


def _depends_on_default_dtype(node: torch.fx.Node, target: Any, given: list[torch.Tensor]) -> bool:
    floating = [result.dtype for result in _results(node) if _is_floating(result)]
    if not floating or any(
        isinstance(each, torch.dtype) for each in pytree.tree_leaves((node.args, dict(node.kwargs)))
    ):
        return False
    other = (
        torch.float64
        if floating[0] in (torch.float16, torch.bfloat16, torch.float32, torch.complex64)
        else torch.float32
    )
    try:
        return _dtypes_under(other, node, target) != [result.dtype for result in _results(node)]
    except Exception:  # an operator that does not run without data
        return not given and _omits(node, target, "ScalarType")


def _dtypes_under(default: torch.dtype, node: torch.fx.Node, target: Any) -> list[torch.dtype]:
    """Return the dtypes of the results of a call, on tensors without data, under another default dtype."""
    args, kwargs = pytree.tree_map(_without_data, (tuple(node.args), dict(node.kwargs)))
    if any(_is_of(argument, "Device") for argument in schema_of_operator(target).arguments):
        kwargs["device"] = torch.device("meta")
    before = torch.get_default_dtype()
    torch.set_default_dtype(default)
    try:
        with torch.no_grad():
            return [each.dtype for each in _of_tensors(target(*args, **kwargs))]
    finally:
        torch.set_default_dtype(before)


def _without_data(value: Any) -> Any:
    """Return a tensor of the meta device for a node that yields a tensor, a number for one that yields a symbol."""
    if not isinstance(value, torch.fx.Node):
        return value
    val = value.meta["val"]
    if isinstance(val, torch.Tensor):
        return torch.empty([_number(size) for size in val.shape], dtype=val.dtype, device="meta")
    return _number(val)


def _number(value: Any) -> Any:
    if isinstance(value, (torch.SymInt, torch.SymFloat, torch.SymBool)):
        hint = value.node.hint if value.node.has_hint() else None
        return 2 if hint is None else hint
    return value


def _omits(node: torch.fx.Node, target: Any, kind: str) -> bool:
    """Return True if the schema has an argument of this kind, and the call does not give it."""
    wanted = [(place, each) for place, each in enumerate(schema_of_operator(target).arguments) if _is_of(each, kind)]
    given = [
        node.kwargs.get(each.name) if each.kwarg_only or place >= len(node.args) else node.args[place]
        for place, each in wanted
    ]
    return bool(wanted) and all(each is None for each in given)


def _is_of(argument: Any, kind: str) -> bool:
    return str(argument.real_type if hasattr(argument, "real_type") else argument.type) in (kind, f"Optional[{kind}]")


def _results(node: torch.fx.Node) -> list[torch.Tensor]:
    return list(_of_tensors(node.meta.get("val")))


def _of_tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        yield from (each for each in value if isinstance(each, torch.Tensor))


def _tensors(node: torch.fx.Node) -> list[torch.Tensor]:
    return [result for each in node.all_input_nodes for result in _results(each)]


def _is_floating(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex() or tensor.is_quantized
