"""References to the values of a graph: ``name`` is the name of the value, other members are the value itself."""

from __future__ import annotations

from pytest_exportcheck.reference.pt2.schema.base import Record, Tagged


class TensorArgument(Record, frozen=True):
    name: str


class TokenArgument(Record, frozen=True):
    name: str


class CustomObjArgument(Record, frozen=True):
    """A script object or an opaque object; ``class_fqn`` names its class."""

    name: str
    class_fqn: str


class SymIntArgument(Tagged):
    __slots__ = ()
    as_name: str
    as_int: int


class SymFloatArgument(Tagged):
    __slots__ = ()
    as_name: str
    as_float: float


class SymBoolArgument(Tagged):
    __slots__ = ()
    as_name: str
    as_bool: bool


class OptionalTensorArgument(Tagged):
    __slots__ = ()
    as_tensor: TensorArgument
    as_none: bool


class ConstantValue(Tagged):
    """A Python constant among the inputs of a program."""

    __slots__ = ()
    as_none: bool
    as_int: int
    as_float: float
    as_string: str
    as_bool: bool


__all__ = [
    "ConstantValue",
    "CustomObjArgument",
    "OptionalTensorArgument",
    "SymBoolArgument",
    "SymFloatArgument",
    "SymIntArgument",
    "TensorArgument",
    "TokenArgument",
]
