"""Classes of pytrees, registered in every way and not at all, and trees of them."""

from __future__ import annotations

import enum
import math
from collections import OrderedDict, defaultdict, deque
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.utils._pytree as pytree

HERE = __name__


class Point(NamedTuple):
    x: object
    y: object


class Named(NamedTuple):
    x: object


@dataclass
class Box:
    width: object
    height: object = None


@dataclass
class NamedBox:
    width: object


@dataclass
class Stranger:
    width: object


class Cache:
    """As DynamicCache is registered: keys kept in a dictionary."""

    def __init__(self, layers: dict[Any, object]) -> None:
        self.layers = layers


class Colour(enum.Enum):
    RED = 1


class Nameless(Cache):
    pass


class Doubting(Cache):
    pass


def _doubt(context: Any) -> Any:
    raise LookupError("no such cache")


pytree._register_namedtuple(Named, serialized_type_name=f"{HERE}.Named")
pytree.register_dataclass(Box)
pytree.register_dataclass(NamedBox, serialized_type_name=f"{HERE}.NamedBox")

for _class, _name, _to, _from in (
    (Cache, f"{HERE}.Cache", None, None),
    (Nameless, None, None, None),
    (Doubting, f"{HERE}.Doubting", lambda context: "x", _doubt),
):
    pytree.register_pytree_node(
        _class,
        lambda cache: (list(cache.layers.values()), list(cache.layers)),
        lambda values, keys, made=_class: made(dict(zip(keys, values, strict=True))),  # type: ignore[misc]  # has a default
        serialized_type_name=_name,
        to_dumpable_context=_to,
        from_dumpable_context=_from,
    )

IN_TORCHS_TEXT: dict[str, Any] = {
    "leaf": 1,
    "none": None,
    "args": ((1, [2, 3]), {}),
    "kwargs": ({}, {"b": 1, "a": [1, {"é": 2}]}),
    "int_keys": {1: 1, False: 2, 2.5: 3, None: 4},
    "ordered": OrderedDict(b=1, a=2),
    "defaultdict": defaultdict(list, a=1),
    "deque": deque([1, 2], maxlen=3),
    "size": torch.Size([1, 2]),
    "registered_namedtuple": Named(1),
    "registered_dataclass": NamedBox(1),
    "cache": Cache({"k": 1, "v": [2]}),
    "enum_keys": {Colour.RED: 1},
}

BESIDE_IT: dict[str, Any] = {
    "namedtuple": Point(1, Named(2)),
    "return_types": torch.max(torch.ones(2, 2), 0),
    "dataclass": Box(1),
    "dataclass_with_none": Box(None, 2),
    "tuple_keys": {(1, "a"): 1, (): 2},
    "float_keys": {math.inf: 1},
    "huge_keys": {2**70: 1},
    "no_factory": defaultdict(None, a=1),
    "dtype_keys": {torch.float32: 1},
    "cache_with_tuple_keys": Cache({("k", 0): 1}),
}
