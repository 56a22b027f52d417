"""Base classes of the schema: records (fields by name) and unions (one value and the tag that says which member it
is).
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from enum import IntEnum
from functools import cache
from typing import Any, NoReturn

import msgspec

from pytest_exportcheck.errors import SchemaError


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A struct of the schema: equal by value, its fields in the order of the schema, which is that of the JSON.

    The cycle collector skips records (a frozen record cannot come to hold itself), which halves the time that reading
    takes.
    """


class Tagged:
    """A union of the schema: ``tag`` says which member is set, ``value`` is that member's value.

    ``Argument("as_int", 3)`` is ``{"as_int": 3}`` in JSON. A member is declared as an annotation of the class, and
    :meth:`tags` is the table of them. ``argument.as_int`` is the value where the tag is ``as_int``, typed.

    Raises
    ------
    SchemaError
        Where the union does not have the tag, or the value does not have the tag's type (elements of lists are not
        checked).
    """

    __slots__ = ("tag", "value")
    __match_args__ = ("tag", "value")
    tag: str
    value: Any

    def __init__(self, tag: str, value: Any) -> None:
        union: Any = type(self)
        if (fits := _tests(union).get(tag)) is None:
            raise SchemaError(f"{type(self).__name__} has no tag {tag!r}. Its tags: {', '.join(self.tags())}.")
        if not fits(value):
            raise SchemaError(
                f"{type(self).__name__}({tag!r}, ...): expected {type_name(self.tags()[tag])}, "
                f"got {type(value).__name__}."
            )
        set_tag(self, tag)
        set_value(self, value)

    @classmethod
    def tags(cls) -> Mapping[str, Any]:
        """Return each tag with its type, in the order of the schema."""
        union: Any = cls
        return _tags(union)

    if not typing.TYPE_CHECKING:

        def __getattr__(self, name):
            """Return the value of the member that is set, by its tag."""
            if name not in self.tags():
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            if name != self.tag:
                raise AttributeError(f"this {type(self).__name__} is {self.tag}, not {name}")
            return self.value

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen: make a new one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen: make a new one")

    def __reduce__(self) -> tuple[type[Tagged], tuple[str, Any]]:
        return type(self), (self.tag, self.value)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.tag == other.tag and bool(self.value == other.value)

    def __hash__(self) -> int:
        return hash((self.tag, self.value))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.tag!r}, {self.value!r})"


set_tag: Callable[[Tagged, str], None] = Tagged.__dict__["tag"].__set__
set_value: Callable[[Tagged, object], None] = Tagged.__dict__["value"].__set__


@cache
def fields(record: Any) -> Mapping[str, Any]:
    """Return each field of a record with its type, in the order of the schema."""
    return types.MappingProxyType({field.name: field.type for field in msgspec.structs.fields(record)})


@cache
def _tags(union: Any) -> Mapping[str, Any]:
    hints = typing.get_type_hints(union)
    return types.MappingProxyType({tag: kind for tag, kind in hints.items() if tag not in ("tag", "value")})


@cache
def _tests(union: Any) -> dict[str, Callable[[object], bool]]:
    return {tag: _test(kind) for tag, kind in _tags(union).items()}


def _test(kind: Any) -> Callable[[object], bool]:
    outer = typing.get_origin(kind) or kind
    if outer is int:
        return lambda value: isinstance(value, int) and not isinstance(value, (bool, IntEnum))
    return lambda value: isinstance(value, outer)


def type_name(kind: Any) -> str:
    """Return a type as ``schema.yaml`` spells it: ``List[int]``, ``Optional[str]``, ``Dict[str, Argument]``."""
    outer, inner = typing.get_origin(kind), typing.get_args(kind)
    if outer in (types.UnionType, typing.Union):
        return f"Optional[{type_name(inner[0])}]"
    if outer in (list, dict):
        return f"{outer.__name__.capitalize()}[{', '.join(map(type_name, inner))}]"
    return str(kind.__name__)
