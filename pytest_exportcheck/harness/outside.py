"""A watch over values that are not tensors of a module's state: their changes by calls, and their restoration."""

from __future__ import annotations

import copy
import dis
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from types import CodeType
from typing import Any

import torch

from pytest_exportcheck.harness.reachable import MISSING, PLAIN, Reached, Spot, around, described, inside
from pytest_exportcheck.harness.tensors import UNREADABLE, as_plain, detached_clone, same_bits
from pytest_exportcheck.harness.tensors.writes import make_leaf, version_of, write_back
from pytest_exportcheck.records import Outside

#: Bytes of tensors that are cloned to be compared and put back.
ROOM = 2**26


@dataclass(frozen=True)
class _Version:
    """The state of a tensor's version counter, and its address."""

    token: tuple[int, int] | None

    @staticmethod
    def of(tensor: torch.Tensor) -> _Version:
        return _Version(version_of(tensor))


class Watched:
    """Values as they were when the watch began. ``changed`` compares with them, ``restore`` puts them back.

    Tensors of up to ``room`` bytes in all are cloned. Of the rest, the version counters and identities are watched:
    writes to them are seen, and cannot be undone.
    """

    #: True if ``restore`` puts everything back, and not only data.
    everything = False

    def __init__(
        self, reached: Reached, *, in_module: bool, owner: torch.nn.Module | None = None, room: int = ROOM
    ) -> None:
        self._reached = reached
        self._in_module = in_module
        self._owner = owner
        self._values = list(_kept_within(room, reached.spots))
        self._contents = [(spot, spot.read(), copy.copy(spot.read())) for spot in reached.containers]
        self._names = [(prefix, each, set(vars(each))) for prefix, each in _owners(owner)]

    def changed(self) -> tuple[Outside, ...]:
        """Return the values that have changed. Of a module's own attributes, only those count that its code reads."""
        contents = list(self._changed_contents())
        found = [*contents, *self._new_attributes()]
        whole = tuple(f"{each.name}[" for each in contents)  # an entry more moves the others
        found += [each for each in self._changed_values() if not each.name.startswith(whole)]
        if self._in_module and found:
            found = [each for each in found if _attribute(each.name) in self._loaded]
        return tuple({each.name: each for each in found}.values())

    def keep(self, changes: Iterable[Outside]) -> None:
        """Watch only the values of these changes from now on. Drop the copies of the other values, which do not
        change.
        """
        names = {each.name for each in changes}
        self._values = [entry for entry in self._values if entry[0].name in names]
        self._contents = [entry for entry in self._contents if entry[0].name in names]

    def restore(self) -> None:
        """Put tensors and numbers back, containers that hold tensors, and dicts that count; with ``everything``, all
        other values too. A flag, or a table that is filled once, may guard an action that must not be done twice; a
        list of other values may be what the user collects.
        """
        for _, container, before in self._contents:
            if _same_entries(container, before):
                continue
            if self.everything or _is_data(container) or _is_data(before):
                container.clear()
                container.update(before) if isinstance(container, (dict, set)) else container.extend(before)
        for spot, value, kept in self._values:
            now = spot.read()
            if value is not MISSING and now is not value and (self.everything or _is_data(value) or _is_data(now)):
                spot.write(value)
            if isinstance(value, torch.Tensor) and isinstance(kept, torch.Tensor) and not _same(value, kept):
                with torch.no_grad():
                    make_leaf(value)
                    write_back(value, kept)

    def leaves_changes(self) -> bool:
        """Return whether any value differs from before: after ``restore``, those that it does not put back."""
        bound = any(spot.read() is not value for spot, value, _ in self._values)
        return bound or not all(_same_entries(container, before) for _, container, before in self._contents)

    def as_it_is(self) -> Watched:
        """Watch the same places with the values that they have now, to put everything back."""
        other = copy.copy(self)
        other.everything = True
        other._values = list(_kept_within(ROOM, [spot for spot, _, _ in self._values]))
        other._contents = [(spot, container, copy.copy(container)) for spot, container, _ in self._contents]
        return other

    def _changed_values(self) -> Iterator[Outside]:
        for spot, value, kept in self._values:
            now = spot.read()
            is_held = now is value and not isinstance(value, torch.Tensor)  # entries have separate places and contents
            if isinstance(kept, _Version):
                if now is not value or kept != _Version.of(value):
                    yield Outside(spot.name, spot.what, value, None if now is MISSING else now, self._in_module)
            elif not is_held and not _same(kept, now):
                after = None if now is MISSING else _kept(now)[1]
                yield Outside(spot.name, spot.what, kept, after, self._in_module)

    def _changed_contents(self) -> Iterator[Outside]:
        for spot, container, before in self._contents:
            is_kept = self._in_module or all(isinstance(each, (torch.Tensor, *PLAIN)) for each in _entries(container))
            if is_kept and spot.read() is container and not _same_keys(container, before):
                yield Outside(spot.name, spot.what, len(before), len(container), self._in_module, entries=True)

    def _new_attributes(self) -> Iterator[Outside]:
        for prefix, owner, names in self._names:
            for key in [key for key in vars(owner) if key not in names]:
                value, shared = vars(owner)[key], getattr(type(owner), key, MISSING)
                before = None if shared is MISSING else _kept(shared)[1]
                after = _kept(value)[1]
                yield Outside(f"{prefix}{key}", described(value), before, after, True, added=shared is MISSING)

    @cached_property
    def _loaded(self) -> frozenset[str]:
        """Return names of attributes that the code reads, and texts that it may look attributes up by."""
        return frozenset(name for code in self._reached.codes() for name in _loaded_by(code))


def _loaded_by(code: CodeType) -> Iterator[str]:
    """Count an attribute that a tensor has too (``x.shape``) only where it is read from the first argument."""
    own = {"self", *code.co_varnames[:1]}
    owner: Any = None
    for instruction in dis.get_instructions(code):
        names = _names_in(instruction.argval) if instruction.opname.startswith("LOAD_") else []
        is_attribute = instruction.opname.startswith(("LOAD_ATTR", "LOAD_METHOD"))
        yield from (name for name in names if not is_attribute or owner in own or name not in _OF_TENSORS)
        if instruction.opname not in _TRANSPARENT:
            owner = names[-1] if names and not is_attribute else None


_OF_TENSORS = frozenset(dir(torch.Tensor))

#: Instructions between the load of an object and that of its attribute, in ``self.calls += 1``.
_TRANSPARENT = ("CACHE", "COPY", "DUP_TOP")


def attributes_of(module: torch.nn.Module) -> Watched:
    """Watch the plain attributes and containers of a module and its submodules."""
    return Watched(inside(module), in_module=True, owner=module)


def surroundings_of(module: torch.nn.Module) -> Watched:
    """Watch the values outside a module that its code names. Tensors beyond ``ROOM`` bytes in all, such as a data set,
    are watched by version counter and identity only.
    """
    return Watched(around(module), in_module=False)


def nothing() -> Watched:
    """Watch nothing."""
    return Watched(Reached(), in_module=False)


def _owners(module: torch.nn.Module | None) -> list[tuple[str, torch.nn.Module]]:
    named = module.named_modules() if module is not None else ()
    return [(f"self.{prefix}." if prefix else "self.", owner) for prefix, owner in named]


def _attribute(name: str) -> str:
    """Return the last attribute of a place: ``calls`` of ``self.block.calls[0]``."""
    return name.partition("[")[0].rpartition(".")[2]


def _names_in(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [each for each in value if isinstance(each, str)] if isinstance(value, tuple) else []


def _kept(value: Any) -> tuple[Any, Any]:
    """Return a value, and a copy that later writes do not change: of a tensor its values, of a container its
    entries.
    """
    if isinstance(value, torch.Tensor):
        return value, detached_clone(value)
    return value, copy.copy(value) if isinstance(value, (list, dict, set, deque)) else value


def _kept_within(room: int, spots: Iterable[Spot]) -> Iterator[tuple[Spot, Any, Any]]:
    """Yield each place with its value and a copy, or with the version of a tensor once the clones have used the
    room.
    """
    for spot in spots:
        value = spot.read()
        size = _bytes(value) if isinstance(value, torch.Tensor) else 0
        if size > room:
            yield spot, value, _Version.of(value)
        else:
            room -= size
            yield spot, *_kept(value)


@as_plain
def _bytes(tensor: torch.Tensor) -> int:
    """Return the size of a clone, if the tensor reports it."""
    try:
        return tensor.numel() * tensor.element_size()
    except UNREADABLE:
        return 0


def _is_data(value: Any) -> bool:
    """Return whether a value is data: tensors and numbers, containers that hold tensors, and dicts of numbers."""
    if isinstance(value, dict) and value and all(map(_is_number, value.values())):
        return True
    return _is_number(value) or isinstance(value, torch.Tensor) or _holds_tensors(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, complex)) and not isinstance(value, bool)


def _holds_tensors(value: Any) -> bool:
    return any(isinstance(each, torch.Tensor) for each in _entries(value))


def _entries(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, (list, tuple, set, deque)) else ()


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return same_bits(one, other)
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(map(_same, one.values(), other.values()))
    if isinstance(one, (list, tuple, deque)):
        return len(one) == len(other) and all(map(_same, one, other))
    try:
        return bool(one == other) or bool(one != one and other != other)
    except Exception:  # objects that compare to something that has no truth value
        return False


def _same_keys(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return bool(one.keys() == other.keys())
    return bool(one == other) if isinstance(one, set) else len(one) == len(other)


def _same_entries(one: Any, other: Any) -> bool:
    if isinstance(one, set):
        return bool(one == other)
    if not _same_keys(one, other):
        return False
    pairs = ((one[key], other[key]) for key in one) if isinstance(one, dict) else zip(one, other, strict=True)
    return all(left is right for left, right in pairs)
