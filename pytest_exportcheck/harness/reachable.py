"""The search for values that a module's code can change besides the tensors of its state: plain attributes and
containers of the module, and globals, closure variables, defaults, class attributes and attributes of other objects.
"""

from __future__ import annotations

import enum
import functools
import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Literal

import torch

from pytest_exportcheck.harness._torch import forward_hooks, is_object
from pytest_exportcheck.harness.module_attributes import ATOMS, is_set_by_author
from pytest_exportcheck.harness.slots import slots_of

MISSING = object()

#: Values that are compared as a whole.
PLAIN = (*ATOMS, enum.Enum, torch.Size, torch.dtype, torch.device)

#: Exactly these types: the effect of reading an entry of a subclass is not known.
_CONTAINERS = (dict, OrderedDict, defaultdict, list, set, deque)

#: Packages whose code is not searched: their changes are their own business.
_FOREIGN = frozenset(
    {"torch", "numpy", "builtins", "pytest", "_pytest", "pluggy", "hypothesis", "sympy", "pytest_exportcheck"}
) | frozenset(sys.stdlib_module_names)

_MOST_SPOTS, _MOST_FUNCTIONS, _DEPTH = 5_000, 1_000, 4

How = Literal["item", "attribute", "cell", "fixed"]


@dataclass(frozen=True, eq=False)
class Spot:
    """A place that holds a value. ``name`` is how code writes it, ``what`` describes it."""

    name: str
    what: str
    how: How
    holder: Any
    key: Any = None

    def read(self) -> Any:
        """Return the value, or ``MISSING``."""
        if self.how == "fixed":
            return self.holder
        try:
            if self.how == "item":  # not by brackets: a defaultdict would make the entry
                return self.holder.get(self.key, MISSING) if isinstance(self.holder, dict) else self.holder[self.key]
            if self.how == "attribute":
                return vars(self.holder).get(self.key, MISSING)
            return self.holder.cell_contents
        except (KeyError, IndexError, ValueError):  # no such entry, or an empty cell
            return MISSING

    def write(self, value: Any) -> None:
        """Bind the place to a value."""
        if self.how == "item":
            self.holder[self.key] = value
        elif self.how == "attribute":
            setattr(self.holder, self.key, value)
        elif self.how == "cell":
            self.holder.cell_contents = value


@dataclass(eq=False)
class Reached:
    """The places, the mutable containers (with name and kind), and the code that can change them."""

    spots: list[Spot] = field(default_factory=list)
    containers: list[Spot] = field(default_factory=list)
    functions: list[FunctionType] = field(default_factory=list)

    def codes(self) -> Iterator[CodeType]:
        for function in self.functions:
            yield from _nested(function.__code__)


def inside(module: torch.nn.Module) -> Reached:
    """Return the plain attributes, containers and objects that a module and its submodules hold, state tensors
    excluded.
    """
    search = _Search({id(slot.tensor) for slot in slots_of(module)})
    for prefix, owner in module.named_modules():
        path = f"self.{prefix}." if prefix else "self."
        search.classes_of(owner, attributes=False)
        for key, value in list(vars(owner).items()):
            if is_set_by_author(key):
                search.visit(Spot(path + key, described(value), "item", vars(owner), key), value, _DEPTH)
    return search.reached


def around(module: torch.nn.Module) -> Reached:
    """Return the values outside a module that the code of its classes, hooks and functions names."""
    search = _Search({id(slot.tensor) for slot in slots_of(module)})
    for owner in module.modules():
        search.classes_of(owner, attributes=True)
        for held in (*vars(owner).values(), *forward_hooks(owner)):
            search.function(held)
    search.follow()
    return search.reached


class _Search:
    """A search that visits values and functions, each once."""

    def __init__(self, excluded: set[int]) -> None:
        self.reached = Reached()
        self._excluded = excluded
        self._seen: set[int] = set()
        self._followed = 0

    def visit(self, spot: Spot, value: Any, depth: int) -> None:
        """Add a place and the places within its value."""
        if len(self.reached.spots) >= _MOST_SPOTS or (spot.name.startswith("self.") and is_object(value)):
            return
        if _is(value, (torch.Tensor, *PLAIN)):
            if id(value) not in self._excluded:
                self.reached.spots.append(spot)
        elif not self.function(value) and self._is_new(value) and depth:
            if type(value) in _CONTAINERS or _is(value, tuple):
                self._container(spot, value, depth - 1)
            elif _is(value, torch.nn.Module):
                self._module(spot, value)
            elif _is(value, type):
                self._class(value)
            else:
                self._object(spot, value, depth - 1)

    def _is_new(self, value: Any) -> bool:
        new = id(value) not in self._seen
        self._seen.add(id(value))
        return new

    def _container(self, spot: Spot, value: Any, depth: int) -> None:
        self.reached.spots.append(spot)
        if not _is(value, tuple):
            self.reached.containers.append(spot)
        if _is(value, set):
            return
        for key, entry in list(value.items() if _is(value, dict) else enumerate(value)):
            how: How = "fixed" if _is(value, tuple) else "item"
            what = f"an entry of {described(value) if spot.name.startswith('self.') else _root(spot)}"
            self.visit(Spot(f"{spot.name}[{key!r}]", what, how, entry if how == "fixed" else value, key), entry, depth)

    def _module(self, spot: Spot, value: torch.nn.Module) -> None:
        """Add a module that is not a submodule."""
        for slot in slots_of(value):
            name, what = f"{spot.name}.{slot.name}", f"a {slot.kind} of {_root(spot)}"
            if id(slot.tensor) not in self._excluded:
                self.reached.spots.append(Spot(name, what, "item", slot.holder, slot.key))
        for owner in value.modules():
            self.classes_of(owner, attributes=True)

    def _object(self, spot: Spot, value: Any, depth: int) -> None:
        if _is_foreign(type(value).__module__) or _is(value, ModuleType):
            return
        self.classes_of(value, attributes=not spot.name.startswith("self."))
        held = _attributes_of(value)
        for key, each in list(held.items()):
            what = f"an attribute of {_root(spot)}"
            self.visit(Spot(f"{spot.name}.{key}", what, "item", held, key), each, depth)

    def classes_of(self, value: Any, *, attributes: bool) -> None:
        """Add the functions of the classes of an object, and their attributes where requested."""
        for owner in type(value).__mro__:
            self._class(owner, attributes=attributes)

    def _class(self, owner: type, *, attributes: bool = True) -> None:
        if _is_foreign(owner.__module__) or not self._is_new(owner):
            return
        for key, value in list(vars(owner).items()):
            if self.function(value) or not attributes or key.startswith("__"):
                continue
            name = f"{owner.__name__}.{key}"
            self.visit(Spot(name, "a class attribute", "attribute", owner, key), value, _DEPTH)

    def function(self, value: Any) -> bool:
        """Remember a function to be followed, and return whether the value is one."""
        for function in _functions_in(value):
            new = self._is_new(function) and not _is_foreign(function.__module__ or "")
            if new and len(self.reached.functions) < _MOST_FUNCTIONS:
                self.reached.functions.append(function)
        return bool(_functions_in(value))

    def follow(self) -> None:
        """Visit the values that the functions name, and those of the functions among them in turn."""
        while self._followed < len(self.reached.functions):
            function = self.reached.functions[self._followed]
            self._followed += 1
            for spot in _named_by(function):
                self.visit(spot, spot.read(), _DEPTH)


def _named_by(function: FunctionType) -> Iterator[Spot]:
    """Yield globals, closure variables and defaults."""
    code, values = function.__code__, function.__globals__
    names = {name for each in _nested(code) for name in each.co_names}
    for name in sorted(names & values.keys()):
        if not _is(values[name], ModuleType):
            yield Spot(name, f"a global of {_file(values)}", "item", values, name)
        elif not _is_foreign(values[name].__name__):
            inner = vars(values[name])
            for key in sorted(names & inner.keys()):
                if not _is(inner[key], ModuleType):
                    yield Spot(f"{name}.{key}", f"a global of {_file(inner)}", "item", inner, key)
    cells: Iterable[CellType] = function.__closure__ or ()
    for name, cell in zip(code.co_freevars, cells, strict=False):
        yield Spot(name, f"a closure variable of {function.__name__}()", "cell", cell)
    defaults = function.__defaults__ or ()
    arguments = code.co_varnames[: code.co_argcount]
    for name, value in zip(arguments[len(arguments) - len(defaults) :], defaults, strict=False):
        yield Spot(name, f"a default argument of {function.__name__}()", "fixed", value)
    for name, value in (function.__kwdefaults__ or {}).items():
        yield Spot(name, f"a default argument of {function.__name__}()", "fixed", value)


#: The type of a function under ``functools.cache``.
_CACHED = type(functools.cache(lambda: None))


def _functions_in(value: Any) -> list[FunctionType]:
    """Return the functions that a callable, a descriptor or a decorated function consists of."""
    if _is(value, functools.partial):
        return _functions_in(value.func)
    if _is(value, property):
        return [each for each in (value.fget, value.fset) if _is(each, FunctionType)]
    if _is(value, functools.cached_property):
        return _functions_in(value.func)
    if _is(value, _CACHED):
        return _functions_in(value.__wrapped__)
    if _is(value, (staticmethod, classmethod, MethodType)):
        return _functions_in(value.__func__)
    if not _is(value, FunctionType):
        return []
    return [value, *_functions_in(getattr(value, "__wrapped__", None))]


def _nested(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and those of the functions defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _is(value: Any, kinds: type | tuple[type, ...]) -> bool:
    """Return whether a value is of a kind, by its real type: a proxy may run any code when it is asked for its
    class.
    """
    return issubclass(type(value), kinds)


def _attributes_of(value: Any) -> dict[str, Any]:
    """Return the attributes of an object without running its code; none where it has slots."""
    try:
        held = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return held if type(held) is dict else {}


def _is_foreign(module: object) -> bool:
    return str(module).partition(".")[0] in _FOREIGN


def _file(values: dict[str, Any]) -> str:
    return Path(values.get("__file__") or "").name or str(values.get("__name__", "a module"))


def _root(spot: Spot) -> str:
    """Return ``STATE, a global of net.py``; for an inner place, the description of its root."""
    if spot.what.startswith(("an entry of ", "an attribute of ")):
        return spot.what.partition(" of ")[2]
    return f"{spot.name}, {spot.what}"


def described(value: Any) -> str:
    """Return the kind of a plain value or container in words."""
    for kinds, text in _WORDS:
        if _is(value, kinds):
            return text
    return f"a {type(value).__name__}"


_WORDS: tuple[tuple[tuple[type, ...], str], ...] = (
    ((bool,), "a Python bool"),
    ((int, float, complex), "a Python number"),
    ((str,), "a Python string"),
    ((type(None),), "None at first"),
    ((torch.Tensor,), "a tensor"),
    ((dict,), "a dict"),
    ((list,), "a list"),
    ((tuple,), "a tuple"),
    ((set,), "a set"),
)
