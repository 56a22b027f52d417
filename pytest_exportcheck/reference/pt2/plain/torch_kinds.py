"""Kinds of torch's values: nodes, tensors by their facts, sizes, dtypes, devices, arguments of signatures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch
import torch.fx
from torch.export import graph_signature as signature
from torch.fx.traceback import NodeSource

from pytest_exportcheck.errors import SchemaError
from pytest_exportcheck.reference._torch.values import FakeTensor, is_functorch_tensor, node_source
from pytest_exportcheck.reference.pt2.plain.kind import Kind, Plain, Write

_ARGUMENTS: Mapping[str, type] = {
    each.__name__: each
    for each in (
        signature.TensorArgument,
        signature.TokenArgument,
        signature.SymIntArgument,
        signature.SymFloatArgument,
        signature.SymBoolArgument,
        signature.ConstantArgument,
    )
}


def _tensor_facts(tensor: torch.Tensor, plain: Write) -> dict[str, Plain]:
    """Return the facts of a fake tensor. Only those that differ from a plain dense tensor are stated."""
    facts: dict[str, Plain] = {
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "shape": [plain(size) for size in tensor.shape],
        "device": str(tensor.device),
    }
    if tensor.layout is torch.strided:
        facts["stride"] = [plain(size) for size in tensor.stride()]
        offset = plain(tensor.storage_offset())
        facts |= {"offset": offset} if offset != 0 else {}
    else:
        facts |= {"layout": str(tensor.layout).removeprefix("torch."), "parts": _sparse_parts(tensor, plain)}
    facts |= {"requires_grad": True} if tensor.requires_grad else {}
    facts |= {"parameter": True} if isinstance(tensor, torch.nn.Parameter) else {}
    return facts


def _sparse_parts(tensor: torch.Tensor, plain: Write) -> dict[str, Plain]:
    if tensor.layout is torch.sparse_coo:
        return {"dense_dim": tensor.dense_dim(), "sparse_dim": tensor.sparse_dim(), "coalesced": tensor.is_coalesced()}
    by_rows = tensor.layout in (torch.sparse_csr, torch.sparse_bsr)
    compressed = tensor.crow_indices() if by_rows else tensor.ccol_indices()
    other = tensor.col_indices() if by_rows else tensor.row_indices()
    shapes = {"compressed": compressed, "plain": other, "values": tensor.values()}
    parts: dict[str, Plain] = {name: [plain(size) for size in each.shape] for name, each in shapes.items()}
    return {**parts, "index": str(other.dtype).removeprefix("torch.")}


def _is_traced_tensor(value: object) -> bool:
    """Return True if a value is a tensor without data: a fake one, or one that a torch.func transform makes of it,
    which is written as the operators in the transform see it.
    """
    if not isinstance(value, torch.Tensor):
        return False
    return isinstance(value, FakeTensor) or is_functorch_tensor(value)


def _torch_constant(name: str, kind: type) -> Any:
    found = vars(torch).get(name)
    if not isinstance(found, kind):
        raise SchemaError(f"torch.{name} is not a {kind.__name__}.")
    return found


def _constant(tag: str, kind: type) -> Kind:
    return Kind(
        tag,
        lambda value, _: str(value).removeprefix("torch."),
        lambda given, *_: _torch_constant(given, kind),
        types=(kind,),
    )


TORCH_KINDS: tuple[Kind, ...] = (
    Kind("node", lambda node, _: node.name, lambda given, reader, _: reader.node(given), types=(torch.fx.Node,)),
    Kind(
        "size",
        lambda value, plain: [plain(each) for each in value],
        lambda given, reader, value_of: torch.Size(value_of(each, reader) for each in given),
        types=(torch.Size,),
    ),
    _constant("dtype", torch.dtype),
    _constant("layout", torch.layout),
    _constant("memory_format", torch.memory_format),
    Kind("device", lambda value, _: str(value), lambda given, *_: torch.device(given), types=(torch.device,)),
    Kind(
        "node_source",
        lambda value, _: value.to_dict(),
        lambda given, *_: node_source(given),
        types=(NodeSource,),
    ),
    Kind(
        "argument",
        lambda argument, plain: [
            type(argument).__name__,
            *(plain(getattr(argument, each.name)) for each in fields(argument)),
        ],
        lambda given, reader, value_of: _ARGUMENTS[given[0]](*(value_of(each, reader) for each in given[1:])),
        types=tuple(_ARGUMENTS.values()),
    ),
    Kind(
        "custom_object",
        lambda value, _: [value.name, value.class_fqn],
        lambda given, *_: signature.CustomObjArgument(*given),
        types=(signature.CustomObjArgument,),
    ),
    Kind(
        "tensor",
        _tensor_facts,
        lambda given, reader, _: reader.tensor(given),
        types=(FakeTensor,),
        fits=_is_traced_tensor,
    ),
)
