"""The schema's enumerations, sizes that may be symbols, and tensor metadata."""

from __future__ import annotations

from enum import IntEnum

from pytest_exportcheck.reference.pt2.schema.base import Record, Tagged


class ScalarType(IntEnum):
    UNKNOWN = 0
    BYTE = 1
    CHAR = 2
    SHORT = 3
    INT = 4
    LONG = 5
    HALF = 6
    FLOAT = 7
    DOUBLE = 8
    COMPLEXHALF = 9
    COMPLEXFLOAT = 10
    COMPLEXDOUBLE = 11
    BOOL = 12
    BFLOAT16 = 13
    UINT16 = 28
    FLOAT8E4M3FN = 29
    FLOAT8E5M2 = 30
    FLOAT8E4M3FNUZ = 31
    FLOAT8E5M2FNUZ = 32
    FLOAT8E8M0FNU = 33
    UINT32 = 34
    UINT64 = 35


class Layout(IntEnum):
    Unknown = 0
    SparseCoo = 1
    SparseCsr = 2
    SparseCsc = 3
    SparseBsr = 4
    SparseBsc = 5
    _mkldnn = 6
    Strided = 7


class MemoryFormat(IntEnum):
    Unknown = 0
    ContiguousFormat = 1
    ChannelsLast = 2
    ChannelsLast3d = 3
    PreserveFormat = 4


class ArgumentKind(IntEnum):
    UNKNOWN = 0
    POSITIONAL = 1
    KEYWORD = 2


class Device(Record, frozen=True):
    type: str
    index: int | None = None


class ComplexValue(Record, frozen=True):
    real: float
    imag: float


class SymExprHint(Tagged):
    """The value that an expression had when the program was captured."""

    __slots__ = ()
    as_int: int
    as_bool: bool
    as_float: float


class SymExpr(Record, frozen=True):
    """An expression over symbols, as sympy's ``srepr`` writes it."""

    expr_str: str
    hint: SymExprHint | None = None


class SymInt(Tagged):
    __slots__ = ()
    as_expr: SymExpr
    as_int: int


class SymFloat(Tagged):
    __slots__ = ()
    as_expr: SymExpr
    as_float: float


class SymBool(Tagged):
    __slots__ = ()
    as_expr: SymExpr
    as_bool: bool


class TensorMeta(Record, frozen=True):
    """Tensor metadata: sizes and strides in elements, the offset in elements from the start of the storage."""

    dtype: ScalarType
    sizes: list[SymInt]
    requires_grad: bool
    device: Device
    strides: list[SymInt]
    storage_offset: SymInt
    layout: Layout


__all__ = [
    "ArgumentKind",
    "ComplexValue",
    "Device",
    "Layout",
    "MemoryFormat",
    "ScalarType",
    "SymBool",
    "SymExpr",
    "SymExprHint",
    "SymFloat",
    "SymInt",
    "TensorMeta",
]
