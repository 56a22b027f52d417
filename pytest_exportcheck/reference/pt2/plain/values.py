"""Python values as plain ones, and back: what JSON holds, with a tag where that is not enough.

None, booleans, small integers, finite floats, strings and lists stand for themselves. Everything else is a mapping with one
key, its tag: ``{"tuple": [...]}``, ``{"sym_int": ["Symbol('s0', ...)", 4]}``, ``{"node": "x"}``. Two values are the same
where their plain values are.
"""

from __future__ import annotations

import base64
import math
import sys
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Any, Protocol

import msgspec
import sympy
import torch
import torch.fx
from torch.export import graph_signature as signature
from torch.fx.traceback import NodeSource

from pytest_exportcheck.errors import SchemaError, SerializationError, UnsupportedError
from pytest_exportcheck.reference._torch.sizes import (
    CallMethodKey,
    ConvertIntKey,
    DivideByKey,
    InnerTensorKey,
    ValueRanges,
)
from pytest_exportcheck.reference._torch.values import (
    FakeTensor,
    HigherOrderOperator,
    OpOverload,
    is_functorch_tensor,
    node_source,
    pytree,
)
from pytest_exportcheck.reference.pt2 import expressions
from pytest_exportcheck.reference.pt2.plain.names import global_name, global_of, target_name, target_of

Plain = Any  # None, bool, int, float, str, list of plain values, or a mapping with one tag

_PATH_KEYS: Mapping[str, type] = {
    each.__name__: each
    for each in (
        pytree.SequenceKey,
        pytree.MappingKey,
        pytree.GetAttrKey,
        CallMethodKey,
        ConvertIntKey,
        DivideByKey,
        InnerTensorKey,
    )
}
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
_SAFE_INT = 2**53


class Reader(Protocol):
    """What reading needs beside the plain value: symbols, and what nodes have become."""

    def expression(self, text: str) -> Any: ...
    def symbolic(self, kind: str, text: str, hint: Any) -> Any: ...
    def tensor(self, facts: Mapping[str, Plain]) -> torch.Tensor: ...
    def node(self, name: str) -> Any: ...
    def named(self, name: str) -> Any: ...


def plain(value: Any) -> Plain:
    """The plain value.

    Raises
    ------
    UnsupportedError
        For a value of a kind that no file can hold.
    """
    if value is None or type(value) in (bool, str):
        return value
    if type(value) is int:
        return value if abs(value) < _SAFE_INT else {"int": str(value)}
    if type(value) is float:
        return value if math.isfinite(value) else {"float": str(value)}
    if type(value) in (list, torch.fx.immutable_collections.immutable_list):
        return [plain(each) for each in value]
    if type(value) is torch.SymInt and value.node.expr.is_Integer:  # a symbol that was found to be always this number
        return plain(int(value.node.expr))
    kind = _BY_TYPE.get(type(value)) or next((each for each in _KINDS if each.fits(value)), None)
    if kind is None:
        raise UnsupportedError(f"a value of type {type(value).__module__}.{type(value).__qualname__} cannot be saved")
    return {kind.tag: kind.write(value)}


def value_of(given: Plain, reader: Reader) -> Any:
    """The value.

    Raises
    ------
    SchemaError
        For a tag that does not exist, or content that does not fit it.
    UnsupportedError
        For an operator or a class that is not there.
    """
    if isinstance(given, list):
        return [value_of(each, reader) for each in given]
    if not isinstance(given, dict):
        return given
    tag, content = next(iter(given.items())) if len(given) == 1 else ("", None)
    kind = _BY_TAG.get(tag)
    if kind is None:
        raise SchemaError(f"expected a value with one tag of {', '.join(_BY_TAG)}, got {str(given)[:100]!r}.")
    try:
        return kind.read(content, reader)
    except SerializationError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, RuntimeError, ArithmeticError, AssertionError) as error:
        raise SchemaError(
            f"a value tagged {tag!r} holds {str(content)[:100]!r}, which does not fit: {error}."
        ) from error


def number_of(given: Plain) -> Plain:
    """A plain number without its tag; anything else as it is."""
    if isinstance(given, dict) and len(given) == 1:
        tag, content = next(iter(given.items()))
        if tag in ("int", "float"):
            return int(content) if tag == "int" else float(content)
    return given


def same(one: Plain, other: Plain) -> bool:
    """Whether two plain values are the same: 1, 1.0 and true differ."""
    return one is other or (one == other and _bytes(one) == _bytes(other))


def _bytes(value: Plain) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def tensor_facts(tensor: torch.Tensor) -> dict[str, Plain]:
    """What a fake tensor stands for. Only what differs from a plain dense one is said."""
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
        facts |= {"layout": str(tensor.layout).removeprefix("torch."), "parts": _sparse_parts(tensor)}
    facts |= {"requires_grad": True} if tensor.requires_grad else {}
    facts |= {"parameter": True} if isinstance(tensor, torch.nn.Parameter) else {}
    return facts


def _is_traced_tensor(value: object) -> bool:
    """Return True if a value is a tensor without data: a fake one, or one that a torch.func transform makes of it, which is written as
    the operators in the transform see it."""
    if not isinstance(value, torch.Tensor):
        return False
    return isinstance(value, FakeTensor) or is_functorch_tensor(value)


def _sparse_parts(tensor: torch.Tensor) -> dict[str, Plain]:
    if tensor.layout is torch.sparse_coo:
        return {"dense_dim": tensor.dense_dim(), "sparse_dim": tensor.sparse_dim(), "coalesced": tensor.is_coalesced()}
    by_rows = tensor.layout in (torch.sparse_csr, torch.sparse_bsr)
    compressed = tensor.crow_indices() if by_rows else tensor.ccol_indices()
    other = tensor.col_indices() if by_rows else tensor.row_indices()
    shapes = {"compressed": compressed, "plain": other, "values": tensor.values()}
    parts: dict[str, Plain] = {name: [plain(size) for size in each.shape] for name, each in shapes.items()}
    return {**parts, "index": str(other.dtype).removeprefix("torch.")}


@dataclass(frozen=True, eq=False)
class _Kind:
    """One tag. ``types`` are matched exactly, what else fits by ``fits``."""

    tag: str
    write: Callable[[Any], Plain]
    read: Callable[[Any, Reader], Any]
    types: tuple[type, ...] = ()
    fits: Callable[[Any], bool] = lambda _: False


def _items(pairs: Any) -> list[Plain]:
    return [[plain(key), plain(value)] for key, value in pairs.items()]


def _pairs(content: Any, reader: Reader) -> list[tuple[Any, Any]]:
    return [(_key(key, reader), value_of(value, reader)) for key, value in content]


def _key(given: Plain, reader: Reader) -> Any:
    """What a mapping or a set is to hash: nothing with a hash of its own making, or one that its author can choose."""
    if isinstance(given, dict) and not given.keys().isdisjoint(("record", "namedtuple")):
        raise SchemaError(f"{str(given)[:60]!r} is no key of a mapping, and no element of a set.")
    key = value_of(given, reader)
    if isinstance(key, int) and abs(key) >= sys.hash_info.modulus:
        raise SchemaError("a whole number of more than 60 bits is no key of a mapping, and no element of a set.")
    return key


def _symbolic(tag: str, kind: type) -> _Kind:
    """A number by its expression and its value in the example. That of a truth value follows from its symbols."""

    def write(value: Any) -> Plain:
        return [expressions.write(value.node.expr), None if kind is torch.SymBool else plain(value.node.hint)]

    return _Kind(tag, write, lambda given, reader: reader.symbolic(tag, *given), types=(kind,))


def _is_namedtuple(value: Any) -> bool:
    return isinstance(value, tuple) and type(value) is not tuple and hasattr(type(value), "_fields")


def _is_structseq(value: Any) -> bool:
    return isinstance(value, tuple) and type(value).__module__ == "torch.return_types"


def _named_tuple(given: Any, reader: Reader) -> Any:
    kind = global_of(given[0])
    if not (isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")):
        raise SchemaError(f"{given[0]!r} is no namedtuple class.")
    return tuple.__new__(kind, [value_of(each, reader) for each in given[1]])


def _is_torch_record(value: Any) -> bool:
    return is_dataclass(value) and not isinstance(value, type) and type(value).__module__.startswith("torch.")


def _torch_record(given: Any, reader: Reader) -> Any:
    """A data class of torch's, filled without its constructor."""
    kind = global_of(given[0])
    if not (isinstance(kind, type) and is_dataclass(kind) and given[0].startswith("torch.")):
        raise SchemaError(f"{given[0]!r} is no data class of torch.")
    made: Any = object.__new__(kind)
    for each, value in zip(fields(kind), given[1], strict=True):
        object.__setattr__(made, each.name, value_of(value, reader))
    return made


def _structseq(given: Any, reader: Reader) -> Any:
    kind = vars(torch.return_types).get(given[0])
    if not isinstance(kind, type):
        raise SchemaError(f"torch.return_types has no {given[0]!r}.")
    return kind([value_of(each, reader) for each in given[1]])


def _enum(given: Any) -> Any:
    kind = global_of(given[0])
    if not (isinstance(kind, type) and issubclass(kind, Enum)):
        raise SchemaError(f"{given[0]!r} is no enumeration.")
    return kind.__members__[given[1]]


def _record(record: Any) -> Plain:
    return [type(record).__name__, *(plain(getattr(record, each.name)) for each in fields(record))]


_FACTORIES = {each.__name__: each for each in (list, dict, set, int, float, str, tuple, bool)}


def _factory_name(factory: Any) -> str | None:
    if factory is None or factory in _FACTORIES.values():
        return getattr(factory, "__name__", None)
    raise UnsupportedError(f"a defaultdict of {factory!r} cannot be saved: one of {', '.join(_FACTORIES)} can.")


def _factory(name: str | None) -> Any:
    return None if name is None else _FACTORIES[name]


def _torch_constant(name: str, kind: type) -> Any:
    found = vars(torch).get(name)
    if not isinstance(found, kind):
        raise SchemaError(f"torch.{name} is no {kind.__name__}.")
    return found


def _constant(tag: str, kind: type) -> _Kind:
    return _Kind(
        tag,
        lambda value: str(value).removeprefix("torch."),
        lambda given, _: _torch_constant(given, kind),
        types=(kind,),
    )


def _custom_object(value: Any) -> Plain:
    return [value.name, value.class_fqn]


_KINDS: tuple[_Kind, ...] = (
    _Kind("int", str, lambda given, _: int(given)),
    _Kind(
        "float", str, lambda given, _: math.nan if given == "nan" else float(given)
    ),  # one nan: it equals itself only
    _Kind("node", lambda node: node.name, lambda given, reader: reader.node(given), types=(torch.fx.Node,)),
    _Kind(
        "tuple",
        lambda value: [plain(each) for each in value],
        lambda given, reader: tuple(value_of(each, reader) for each in given),
        types=(tuple,),
    ),
    _Kind(
        "dict",
        _items,
        lambda given, reader: dict(_pairs(given, reader)),
        types=(dict, torch.fx.immutable_collections.immutable_dict),
    ),
    _symbolic("sym_int", torch.SymInt),
    _symbolic("sym_float", torch.SymFloat),
    _symbolic("sym_bool", torch.SymBool),
    _Kind(
        "size",
        lambda value: [plain(each) for each in value],
        lambda given, reader: torch.Size(value_of(each, reader) for each in given),
        types=(torch.Size,),
    ),
    _constant("dtype", torch.dtype),
    _constant("layout", torch.layout),
    _constant("memory_format", torch.memory_format),
    _Kind("device", str, lambda given, _: torch.device(given), types=(torch.device,)),
    _Kind(
        "complex",
        lambda value: [plain(value.real), plain(value.imag)],
        lambda given, reader: complex(*(value_of(each, reader) for each in given)),
        types=(complex,),
    ),
    _Kind("odict", _items, lambda given, reader: OrderedDict(_pairs(given, reader)), types=(OrderedDict,)),
    _Kind(
        "defaultdict",
        lambda value: [_factory_name(value.default_factory), _items(value)],
        lambda given, reader: defaultdict(_factory(given[0]), _pairs(given[1], reader)),
        types=(defaultdict,),
    ),
    _Kind(
        "set",
        lambda value: sorted((plain(each) for each in value), key=msgspec.json.encode),
        lambda given, reader: {_key(each, reader) for each in given},
        types=(set,),
    ),
    _Kind(
        "frozenset",
        lambda value: sorted((plain(each) for each in value), key=msgspec.json.encode),
        lambda given, reader: frozenset(_key(each, reader) for each in given),
        types=(frozenset,),
    ),
    _Kind(
        "slice",
        lambda value: [plain(each) for each in (value.start, value.stop, value.step)],
        lambda given, reader: slice(*(value_of(each, reader) for each in given)),
        types=(slice,),
    ),
    _Kind("range", lambda v: [v.start, v.stop, v.step], lambda given, _: range(*given), types=(range,)),
    _Kind("ellipsis", lambda _: True, lambda *_: ..., types=(type(...),)),
    _Kind(
        "bytes",
        lambda value: base64.b64encode(value).decode(),
        lambda given, _: base64.b64decode(given),
        types=(bytes,),
    ),
    _Kind("node_source", lambda value: value.to_dict(), lambda given, _: node_source(given), types=(NodeSource,)),
    _Kind(
        "path_key",
        _record,
        lambda given, reader: _PATH_KEYS[given[0]](*(value_of(each, reader) for each in given[1:])),
        types=tuple(_PATH_KEYS.values()),
    ),
    _Kind(
        "argument",
        _record,
        lambda given, reader: _ARGUMENTS[given[0]](*(value_of(each, reader) for each in given[1:])),
        types=tuple(_ARGUMENTS.values()),
    ),
    _Kind(
        "custom_object",
        _custom_object,
        lambda given, _: signature.CustomObjArgument(*given),
        types=(signature.CustomObjArgument,),
    ),
    _Kind(
        "bounds",
        lambda value: [expressions.write(value.lower), expressions.write(value.upper)],
        lambda given, reader: ValueRanges(reader.expression(given[0]), reader.expression(given[1])),
        types=(ValueRanges,),
    ),
    _Kind(
        "expression",
        expressions.write,
        lambda given, reader: reader.expression(given),
        fits=lambda value: isinstance(value, sympy.Basic),
    ),
    _Kind("return_type", lambda v: [type(v).__name__, [plain(each) for each in v]], _structseq, fits=_is_structseq),
    _Kind(
        "namedtuple", lambda v: [global_name(type(v)), [plain(each) for each in v]], _named_tuple, fits=_is_namedtuple
    ),
    _Kind(
        "record",
        lambda v: [global_name(type(v)), [plain(getattr(v, each.name)) for each in fields(v)]],
        _torch_record,
        fits=_is_torch_record,
    ),
    _Kind(
        "tensor",
        tensor_facts,
        lambda given, reader: reader.tensor(given),
        fits=_is_traced_tensor,
    ),
    _Kind(
        "target",
        target_name,
        lambda given, _: target_of(given),
        fits=lambda v: isinstance(v, (OpOverload, HigherOrderOperator)),
    ),
    _Kind(
        "enum",
        lambda v: [global_name(type(v)), v.name],
        lambda given, _: _enum(given),
        fits=lambda v: isinstance(v, Enum),
    ),
    _Kind(
        "global",
        global_name,
        lambda given, reader: reader.named(given),
        fits=lambda v: callable(v) and hasattr(v, "__name__"),
    ),
)
_BY_TAG = {kind.tag: kind for kind in _KINDS}
_BY_TYPE = {each: kind for kind in _KINDS for each in kind.types}
