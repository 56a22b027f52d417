"""Objects in programs: script objects, whose classes are written in C++, and opaque Python objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch._library import fake_class_registry as _fake_classes
from torch._library import opaque_object as _opaque
from torch.export.graph_signature import CustomObjArgument

from pytest_exportcheck.reference._torch.values import pytree

# The value of an object while tracing: it refers to the real object and has the methods of a fake class (2.13).
FakeScriptObject = _fake_classes.FakeScriptObject

# The bytes of a script object in an archive; torch.jit.save writes whole modules only (2.13).
pickle_script_object: Callable[[torch.ScriptObject], bytes] = torch._C._pickle_save
unpickle_script_object: Callable[[bytes], Any] = torch._C._pickle_load_obj

# Private functions that 2.14 renamed: whether a class is registered as opaque, and whether as a constant (2.13).
_is_opaque: Callable[[Any], bool] = getattr(_opaque, "is_custom_class", None) or _opaque.is_opaque_type
_is_constant: Callable[[Any], bool] = getattr(_opaque, "is_opaque_constant_type", None) or _opaque.is_opaque_value_type


def is_script_object(value: Any) -> bool:
    """Return True for an object of a C++ class; the public class includes scripted modules (2.13)."""
    return _fake_classes._is_script_object(value)


def is_opaque(value: Any) -> bool:
    """Return True for an object of a Python class that is registered for custom operators, and that an operator may
    change; there is no public test (2.13).
    """
    return _is_opaque(type(value)) and not _is_constant(type(value))


def is_constant_object(value: Any) -> bool:
    """Return True for an object of a Python class that is registered as a constant: a graph holds it as an argument;
    there is no public test (2.13).
    """
    return _is_opaque(type(value)) and _is_constant(type(value))


def class_of_object(value: Any) -> str:
    """Return the name of the class of an object as signatures have it; there is no public type of it (2.13)."""
    if isinstance(value, torch.ScriptObject):
        return str(value._type().qualified_name())
    return _opaque.get_opaque_type_name(type(value))


def described(name: str, val: Any) -> Any:
    """Return the value of a node of this name as metadata holds it: with the names of classes in the places of objects,
    for which there is no public type (2.13).
    """

    def of(each: Any) -> Any:
        fake = each.real_obj if isinstance(each, FakeScriptObject) else each
        return CustomObjArgument(name, class_of_object(fake)) if is_script_object(fake) or is_opaque(fake) else each

    return pytree.tree_map(of, val)


def identity(value: Any) -> int:
    """Return a number that two values share only if they are one object: torch makes a new Python object for a generator
    or a script object when an operator takes it, and has no public name for the object behind it (2.13).
    """
    if isinstance(value, torch.Generator):
        return int(value._cdata)  # type: ignore[attr-defined]
    return hash(value) if isinstance(value, torch.ScriptObject) else id(value)


def fake_class_of(value: torch.ScriptObject) -> Any:
    """Return the fake class that is registered for the class of a script object, or None; there is no public registry
    (2.13).
    """
    return _fake_classes.find_fake_class(class_of_object(value))


def fake_object(mode: Any, value: Any) -> Any:
    """Return an object as tracing sees it; only a private function converts one (2.13)."""
    return _fake_classes.maybe_to_fake_obj(mode, value)
