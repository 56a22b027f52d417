"""Torch's text of pytree specs."""

from __future__ import annotations

import json
import sys
import types
from typing import Any

import pytest
import torch
import torch.utils._pytree as pytree

from pytest_exportcheck.errors import SchemaError, UnsupportedError
from pytest_exportcheck.reference.pt2.treespec import dumps, loads
from tests.unit.reference.pt2.pytree_classes import HERE, IN_TORCHS_TEXT, Box, Nameless, Point

DAMAGED = "The file is damaged or its writer is at fault: save the program again."


@pytest.mark.parametrize("value", IN_TORCHS_TEXT.values(), ids=IN_TORCHS_TEXT)
def test_the_text_is_torchs(value: object) -> None:
    spec = pytree.tree_structure(value)
    assert dumps(spec) == pytree.treespec_dumps(spec)


@pytest.mark.parametrize("value", IN_TORCHS_TEXT.values(), ids=IN_TORCHS_TEXT)
def test_the_text_is_read_as_torch_reads_it(value: object) -> None:
    spec = pytree.tree_structure(value)
    assert loads(pytree.treespec_dumps(spec)) == spec == pytree.treespec_loads(dumps(spec))


UNNAMED = "is not registered under a name. Register it with torch.utils._pytree."
NODE = "register_pytree_node or register_dataclass, with serialized_type_name=..."


@pytest.mark.parametrize(
    ("value", "name", "remedy"),
    [
        (Point(1, 2), f"{HERE}.Point", "_register_namedtuple(cls, serialized_type_name=...)"),
        (Box(1), f"{HERE}.Box", NODE),
        (Nameless({}), f"{HERE}.Nameless", NODE),
        (torch.max(torch.ones(2, 2), 0), "torch.return_types.max", NODE),
    ],
    ids=["namedtuple", "dataclass", "class", "return_types"],
)
def test_a_type_without_a_name_is_not_written_as_text(value: object, name: str, remedy: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        dumps(pytree.tree_structure([value]))
    assert str(caught.value) == f"the pytree node {name} {UNNAMED}{remedy}."


def test_keys_that_are_no_json_are_not_written_as_text() -> None:
    with pytest.raises(UnsupportedError) as caught:
        dumps(pytree.tree_structure({torch.float32: 1}))
    assert str(caught.value) == (
        "the context of the pytree node builtins.dict, [torch.float32], cannot be written: a torch.dtype is not JSON. "
        "Register it with to_dumpable_context and from_dumpable_context."
    )


def text(kind: Any, context: Any, children: Any = ()) -> str:
    return json.dumps([1, {"type": kind, "context": context, "children_spec": list(children)}])


LEAF: dict[str, Any] = {"type": None, "context": None, "children_spec": []}


@pytest.mark.parametrize("name", ["nowhere.Class", "NO_SERIALIZED_TYPE_NAME_FOUND", None, 3, ["builtins.list"]])
def test_a_type_that_is_not_registered_is_not_read(name: object) -> None:
    with pytest.raises(UnsupportedError) as caught:
        loads(text(name, "null", [LEAF]), where="m.pt2")
    assert str(caught.value) == (
        f"m.pt2: no pytree node is registered as {name!r}. Import the module that registers it before loading."
    )


def factory(module: str, name: str) -> str:
    context = {"default_factory_module": module, "default_factory_name": name, "dict_context": []}
    return text("collections.defaultdict", context)


def test_a_factory_is_one_of_a_few() -> None:
    with pytest.raises(UnsupportedError) as caught:
        loads(factory("os", "abort"))
    assert str(caught.value) == (
        "the file names os.abort as the factory of a defaultdict. It may be one of Counter, OrderedDict, bool, bytes, "
        "complex, deque, dict, float, frozenset, int, list, set, str, tuple."
    )


def enum_key(name: str) -> str:
    return text("builtins.dict", json.dumps([{"__enum__": True, "fqn": name, "name": "RED"}]), [LEAF])


@pytest.mark.parametrize("read", [lambda: loads(factory("antigravity", "x")), lambda: loads(enum_key("antigravity:X"))])
def test_nothing_that_a_file_names_is_imported(read: Any) -> None:
    with pytest.raises(UnsupportedError):
        read()
    assert "antigravity" not in sys.modules


def test_a_module_is_not_asked_for_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    lazy = types.ModuleType("lazy_module")
    lazy.__getattr__ = lambda name: pytest.fail("asked")
    monkeypatch.setitem(sys.modules, "lazy_module", lazy)
    with pytest.raises(UnsupportedError) as caught:
        loads(enum_key("lazy_module:Colour"))
    assert str(caught.value) == (
        "the file names lazy_module.Colour, but lazy_module does not have it. Define it there before loading."
    )


def test_only_an_enumeration_is_read_as_one() -> None:
    with pytest.raises(UnsupportedError) as caught:
        loads(enum_key("os:system"))
    assert str(caught.value) == (
        "the file names os.system as an enumeration, but it is not. Define it as one before loading."
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("[", "expected a pytree spec as JSON, got '['."),
        ("3", "expected a pytree spec as JSON, got '3'."),
        ("[2, {}]", "expected version 1 of a pytree spec, got 2."),
        ("[1, {}]", "expected an object with type, context, children_spec, got '{}'."),
        ("[" * 100_000, "nested too deeply to read."),
        (text("builtins.dict", '["a"]'), "expected 1 children of builtins.dict, got 0."),
        (text("builtins.dict", "3"), "builtins.dict cannot be read from '3': ValueError('keys must be a list')."),
        (
            text("collections.namedtuple", "builtins.list"),
            "collections.namedtuple cannot be read from 'builtins.list': "
            "ValueError('builtins.list is not a namedtuple class').",
        ),
        (text("collections.defaultdict", []), "collections.defaultdict cannot be read from '[]': TypeError("),
        (text(f"{HERE}.Doubting", "x"), f"{HERE}.Doubting cannot be read from 'x': LookupError('no such cache')."),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_spec_is_refused(given: str, message: str) -> None:
    with pytest.raises(SchemaError) as caught:
        loads(given, where="m.pt2")
    assert str(caught.value).startswith(f"m.pt2: {message}")
    assert str(caught.value).endswith(DAMAGED)
