"""Objects that operators take, script objects and opaque Python objects: what they hold, and copies of them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from pytest_exportcheck.harness._torch import class_of_object, is_object, pytree
from pytest_exportcheck.harness.module_attributes import ATOMS, is_set_by_author
from pytest_exportcheck.harness.tensors import detached_clone, facts_of, same_bits
from pytest_exportcheck.records import Leaf, ObjectValue

MISSING = object()


def object_value(value: Any) -> ObjectValue:
    """Return an object as it is now: its class, and the leaves of its state, tensors as clones."""
    return ObjectValue(class_of_object(value), tuple(_leaves("", _state(value))))


def as_value(value: Any) -> Any:
    """Return what an object is now, and other values as they are."""
    return object_value(value) if is_object(value) else value


def _state(value: Any) -> Any:
    """Return the state of an object in containers, none where its class does not give any."""
    if isinstance(value, torch.Generator):
        return {"state": value.get_state()}
    if isinstance(value, torch.ScriptObject):
        try:
            return dict(value.__obj_flatten__()) if hasattr(value, "__obj_flatten__") else value.__getstate__()  # type: ignore[attr-defined]
        except RuntimeError:  # a class of C++ that cannot be pickled
            return {}
    if getattr(type(value), "__getstate__", None) is not getattr(object, "__getstate__", None):
        return value.__getstate__()
    return dict(getattr(value, "__dict__", {}))


def _leaves(place: str, state: Any) -> Iterator[Leaf]:
    for path, leaf in pytree.tree_flatten_with_path(state)[0]:
        name = place + pytree.keystr(path)
        if isinstance(leaf, torch.Tensor):
            yield Leaf(name, detached_clone(leaf), facts_of(leaf))
        else:
            yield Leaf(name, leaf if type(leaf) in ATOMS else f"a {type(leaf).__name__}")


def same_object(one: ObjectValue, other: ObjectValue) -> bool:
    """Return True if two values of objects are the same, tensors bit by bit."""
    return (
        one.kind == other.kind
        and [each.place for each in one.leaves] == [each.place for each in other.leaves]
        and all(map(_same, one.leaves, other.leaves))
    )


def _same(one: Leaf, other: Leaf) -> bool:
    if isinstance(one.value, torch.Tensor) and isinstance(other.value, torch.Tensor):
        return same_bits(one.value, other.value)
    return type(one.value) is type(other.value) and repr(one.value) == repr(other.value)


def copied_object(value: Any) -> Any:
    """Return a copy of an object, ``MISSING`` if its class does not allow one."""
    try:
        return value.clone_state() if isinstance(value, torch.Generator) else copy.deepcopy(value)
    except Exception:  # the class says so in its own words
        return MISSING


@dataclass(frozen=True, eq=False)
class Place:
    """A place where a module holds an object: ``holder[key]``, and its name."""

    name: str
    holder: Any
    key: Any
    value: Any


def places_of(module: torch.nn.Module) -> list[Place]:
    """Return every place where a module holds an object: attributes, and lists and dicts in attributes."""
    return [
        place
        for prefix, owner in module.named_modules(remove_duplicate=False)
        for key, value in vars(owner).items()
        if is_set_by_author(key)
        for place in _places(f"{prefix}.{key}" if prefix else key, vars(owner), key, value)
    ]


def _places(name: str, holder: Any, key: Any, value: Any) -> Iterator[Place]:
    if type(value) in (list, dict):
        for inner, each in list(enumerate(value) if isinstance(value, list) else value.items()):
            if is_object(each):
                yield Place(f"{name}[{inner!r}]", value, inner, each)
    elif is_object(value):
        yield Place(name, holder, key, value)


@dataclass(eq=False)
class ObjectsSnapshot:
    """The objects that a module holds, as they were when the snapshot was made."""

    module: torch.nn.Module
    _places: list[Place] = field(init=False)
    _before: dict[int, ObjectValue] = field(init=False)
    _kept: dict[int, Any] = field(init=False)

    def __post_init__(self) -> None:
        self._places = places_of(self.module)
        self._before = {id(place.value): object_value(place.value) for place in self._places}
        self._kept = {id(place.value): copied_object(place.value) for place in self._places}

    @property
    def uncopied(self) -> list[str]:
        """Return the names of the objects that cannot be copied, and so are not put back."""
        return [place.name for place in self._places if self._kept[id(place.value)] is MISSING]

    def replaced(self) -> None:
        """Put copies into the places until :meth:`restore`, so that calls do not change what other code holds."""
        made = {id(place.value): self._copy(place) for place in self._places}
        for place in self._places:
            place.holder[place.key] = made[id(place.value)]

    def changed(self) -> Mapping[str, ObjectValue]:
        """Return the objects whose state differs from the snapshot, by name."""
        now = {
            place.name: (
                place,
                place.holder.get(place.key, MISSING) if isinstance(place.holder, dict) else place.holder[place.key],
            )
            for place in self._places
        }
        found = {name: (place, object_value(value)) for name, (place, value) in now.items() if is_object(value)}
        return {
            name: value
            for name, (place, value) in found.items()
            if not same_object(value, self._before[id(place.value)])
        }

    def restore(self) -> None:
        """Put the objects back as they were: each itself, or a copy of its former state if it was changed."""
        made: dict[int, Any] = {}
        for place in self._places:
            key = id(place.value)
            if key not in made:
                intact = same_object(object_value(place.value), self._before[key])
                made[key] = place.value if intact else self._copy(place)
            place.holder[place.key] = made[key]

    def _copy(self, place: Place) -> Any:
        kept = self._kept[id(place.value)]
        return place.value if kept is MISSING else copied_object(kept)
