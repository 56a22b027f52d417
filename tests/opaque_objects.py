"""An opaque Python class of our own, and operators that take its objects."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch._library import opaque_object

__all__ = ["CHANGING", "CONSTANT", "Base", "Counter", "Scale", "bump", "load", "register"]

if "register_custom_class" in vars(opaque_object):  # torch 2.14 renamed everything
    from torch._custom_class_base import CustomClassBase as Base

    register, CHANGING, CONSTANT = opaque_object.register_custom_class, "symbolic", "constant"
else:
    from torch._opaque_base import OpaqueBase as Base  # type: ignore[attr-defined]  # the name in torch 2.13

    register, CHANGING, CONSTANT = opaque_object.register_opaque_type, "reference", "value"


class Counter(Base):
    """An object that an operator changes."""

    seen: list[torch.Tensor | str]  # only where a test sets it

    def __init__(self, number=0):
        self.number = number


class Scale:
    """A constant."""

    def __init__(self, factor):
        self.factor = factor

    def __eq__(self, other):
        return type(other) is Scale and other.factor == self.factor

    def __hash__(self):
        return hash(self.factor)

    def __fx_repr__(self):
        return f"Scale({self.factor})", {"Scale": Scale}


def bump(counter, x):
    counter.number += 1
    return x + counter.number


#: Operators that return objects: schema -> the operator, and its fake.
_MAKERS: Mapping[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    f"make(Tensor x) -> {__name__}.Counter": (lambda x: Counter(x.numel()), lambda x: Counter()),
    f"next({__name__}.Counter counter) -> {__name__}.Counter": (
        lambda counter: Counter(counter.number + 10),
        lambda counter: Counter(),
    ),
    f"split(Tensor x) -> (Tensor, {__name__}.Counter)": (
        lambda x: (x + 1, Counter(5)),
        lambda x: (torch.empty_like(x), Counter()),
    ),
}


@functools.cache
def load() -> torch.library.Library:
    """Make ``torch.ops.exportcheck_opaque`` in this process."""
    register(Counter, typ=CHANGING)
    register(Scale, typ=CONSTANT)
    library = torch.library.Library("exportcheck_opaque", "FRAGMENT")
    library.define(f"bump({__name__}.Counter counter, Tensor x) -> Tensor")
    library.define(f"scale({__name__}.Scale scale, Tensor x) -> Tensor")
    library.impl("bump", bump, "CompositeExplicitAutograd")
    library.impl("scale", lambda scale, x: x * scale.factor, "CompositeExplicitAutograd")
    torch.library.register_fake("exportcheck_opaque::bump", lambda counter, x: torch.empty_like(x))
    torch.library.register_fake("exportcheck_opaque::scale", lambda scale, x: torch.empty_like(x))
    for schema, (operator, fake) in _MAKERS.items():
        library.define(schema)
        name = schema.partition("(")[0]
        library.impl(name, operator, "CompositeExplicitAutograd")
        torch.library.register_fake(f"exportcheck_opaque::{name}", fake)
    return library
