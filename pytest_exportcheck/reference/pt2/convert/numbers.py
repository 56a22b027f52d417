"""Conversion of symbolic numbers and tensor metadata between plain values and structures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_exportcheck.reference.pt2 import schema
from pytest_exportcheck.reference.pt2.convert.dtypes import read_dtype, write_dtype, write_layout
from pytest_exportcheck.reference.pt2.convert.unrepresentable import Unrepresentable
from pytest_exportcheck.reference.pt2.plain.kind import Plain
from pytest_exportcheck.reference.pt2.plain.values import number_of, plain


def write_device(text: str) -> schema.Device:
    """Return the structure for a device such as ``cuda:0``."""
    kind, _, index = text.partition(":")
    return schema.Device(type=kind, index=int(index) if index else None)


def read_device(device: schema.Device) -> str:
    """Return a device as text, such as ``cuda:0``."""
    return device.type if device.index is None else f"{device.type}:{device.index}"


def write_sym_int(value: Plain) -> schema.SymInt:
    """Return the structure for an integer, symbolic or not."""
    return (
        schema.SymInt("as_expr", _expression(value, "sym_int", "as_int"))
        if _is_symbolic(value)
        else schema.SymInt("as_int", number_of(value))
    )


def write_sym_float(value: Plain) -> schema.SymFloat:
    """Return the structure for a float, symbolic or not."""
    if _is_symbolic(value):
        return schema.SymFloat("as_expr", _expression(value, "sym_float", "as_float"))
    return schema.SymFloat("as_float", number_of(value))


def write_sym_bool(value: Plain) -> schema.SymBool:
    """Return the structure for a truth value, symbolic or not."""
    if _is_symbolic(value):
        return schema.SymBool("as_expr", schema.SymExpr(expr_str=value["sym_bool"][0]))
    return schema.SymBool("as_bool", value)


def read_symbolic(value: Any) -> Plain:
    """Read a ``SymInt``, ``SymFloat`` or ``SymBool``."""
    if value.tag != "as_expr":
        return plain(value.value)
    tag = {schema.SymInt: "sym_int", schema.SymFloat: "sym_float", schema.SymBool: "sym_bool"}[type(value)]
    hint = value.value.hint
    return {tag: [value.value.expr_str, None if hint is None else plain(hint.value)]}


def _is_symbolic(value: Plain) -> bool:
    return isinstance(value, dict) and next(iter(value)) in ("sym_int", "sym_float", "sym_bool")


def _expression(value: Plain, tag: str, hint_tag: str) -> schema.SymExpr:
    if tag not in value:
        raise Unrepresentable(f"{next(iter(value))} for a {tag}")
    text, hint = value[tag]
    if hint is None:
        return schema.SymExpr(expr_str=text)
    hint = number_of(hint)
    return schema.SymExpr(
        expr_str=text, hint=schema.SymExprHint(hint_tag, float(hint) if hint_tag == "as_float" else hint)
    )


def write_tensor_meta(facts: Mapping[str, Plain]) -> schema.TensorMeta:
    """Return the structure for the facts of a tensor."""
    layout = facts.get("layout", "strided")
    return schema.TensorMeta(
        dtype=write_dtype(facts["dtype"]),
        sizes=[write_sym_int(size) for size in facts["shape"]],
        requires_grad=facts.get("requires_grad", False),
        device=write_device(facts["device"]),
        strides=[
            write_sym_int(size) for size in facts.get("stride", [0] * len(facts["shape"]))
        ],  # of a sparse one: zeros
        storage_offset=write_sym_int(facts.get("offset", 0)),
        layout=write_layout(layout),
    )


def read_tensor_meta(meta: schema.TensorMeta) -> Plain:
    """Return the facts of a tensor as a plain value."""
    facts: dict[str, Plain] = {
        "dtype": read_dtype(meta.dtype),
        "shape": [read_symbolic(size) for size in meta.sizes],
        "device": read_device(meta.device),
        "stride": [read_symbolic(size) for size in meta.strides],
    }
    offset = read_symbolic(meta.storage_offset)
    facts |= {"offset": offset} if offset != 0 else {}
    facts |= {"requires_grad": True} if meta.requires_grad else {}
    return {"tensor": facts}
