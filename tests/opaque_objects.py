"""An opaque Python class of our own, and operators that take its objects."""

from __future__ import annotations

import functools

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
    return library
