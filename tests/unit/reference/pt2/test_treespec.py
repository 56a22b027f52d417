"""Pytree specs: torch's text of them, and the lossless form beside it."""

from __future__ import annotations

import enum
import json
import math
import sys
import types
from collections import OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
import torch.utils._pytree as pytree
from hypothesis import given
from hypothesis import strategies as st

from pytest_exportcheck.errors import SchemaError, UnsupportedError
from pytest_exportcheck.reference.pt2.treespec import describe_spec, dumps, loads, spec_of

HERE = __name__
DAMAGED = "The file is damaged or its writer is at fault: save the program again."


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
        lambda values, keys, made=_class: made(dict(zip(keys, values, strict=True))),
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


@pytest.mark.parametrize("value", IN_TORCHS_TEXT.values(), ids=IN_TORCHS_TEXT)
def test_the_text_is_torchs(value: object) -> None:
    spec = pytree.tree_structure(value)
    assert dumps(spec) == pytree.treespec_dumps(spec)


@pytest.mark.parametrize("value", IN_TORCHS_TEXT.values(), ids=IN_TORCHS_TEXT)
def test_the_text_is_read_as_torch_reads_it(value: object) -> None:
    spec = pytree.tree_structure(value)
    assert loads(pytree.treespec_dumps(spec)) == spec == pytree.treespec_loads(dumps(spec))


@pytest.mark.parametrize("value", (IN_TORCHS_TEXT | BESIDE_IT).values(), ids=IN_TORCHS_TEXT | BESIDE_IT)
def test_a_description_brings_any_spec_back(value: object) -> None:
    spec = pytree.tree_structure(value)
    again = spec_of(json.loads(json.dumps(describe_spec(spec), allow_nan=False)))
    assert again == spec
    assert repr(again) == repr(spec)


def test_a_described_spec_builds_the_tree_again() -> None:
    values, spec = pytree.tree_flatten({"p": Point(1, Box(2)), "m": torch.max(torch.ones(2, 2), 0)})
    again = pytree.tree_unflatten(values, spec_of(describe_spec(spec)))
    assert (again["p"], type(again["m"])) == (Point(1, Box(2)), torch.return_types.max)


TREES = st.recursive(
    st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
        | st.builds(Point, inner, inner)
    ),
)


@given(TREES)
def test_any_tree_is_described_and_comes_back(tree: object) -> None:
    spec = pytree.tree_structure(tree)
    assert spec_of(json.loads(json.dumps(describe_spec(spec)))) == spec


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
        "what the pytree node builtins.dict keeps ([torch.float32]) cannot be written: a torch.dtype is no JSON. "
        "Register it with to_dumpable_context and from_dumpable_context."
    )


def text(kind: Any, context: Any, children: Any = ()) -> str:
    return json.dumps([1, {"type": kind, "context": context, "children_spec": list(children)}])


LEAF = {"type": None, "context": None, "children_spec": []}


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
    lazy.__getattr__ = lambda name: pytest.fail("asked")  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "lazy_module", lazy)
    with pytest.raises(UnsupportedError) as caught:
        loads(enum_key("lazy_module:Colour"))
    assert str(caught.value) == (
        "the file names lazy_module.Colour, which lazy_module does not have. Define it there before loading."
    )


def test_only_an_enumeration_is_read_as_one() -> None:
    with pytest.raises(UnsupportedError) as caught:
        loads(enum_key("os:system"))
    assert str(caught.value) == (
        "the file names os.system as an enumeration, which it is not. Define it so before loading."
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
        (text("builtins.dict", "3"), "builtins.dict cannot be read from '3': ValueError('keys are a list')."),
        (
            text("collections.namedtuple", "builtins.list"),
            "collections.namedtuple cannot be read from 'builtins.list': "
            "ValueError('builtins.list is no namedtuple class').",
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


def test_a_class_within_a_function_is_not_described() -> None:
    local = namedtuple("local", "x")
    with pytest.raises(UnsupportedError) as caught:
        describe_spec(pytree.tree_structure(local(1)))
    assert str(caught.value) == (
        f"the class {HERE}.local cannot be found by its name, so no file can name it. Define it at the top of a module, "
        "under its own name."
    )


def test_a_class_without_a_name_that_is_no_dataclass_is_not_described() -> None:
    with pytest.raises(UnsupportedError) as caught:
        describe_spec(pytree.tree_structure(Nameless({})))
    assert str(caught.value) == (
        f"the pytree node {HERE}.Nameless is not registered under a name. Register it with "
        "torch.utils._pytree.register_pytree_node, with serialized_type_name=..."
    )


def test_a_factory_of_ones_own_is_not_described() -> None:
    with pytest.raises(
        UnsupportedError, match=r"^the factory .*Nameless'> of a defaultdict cannot be written\. It may"
    ):
        describe_spec(pytree.tree_structure(defaultdict(Nameless)))


OBJECT = object()


def test_a_key_of_another_type_is_not_described() -> None:
    with pytest.raises(UnsupportedError) as caught:
        describe_spec(pytree.tree_structure({OBJECT: 1}))
    assert str(caught.value) == (
        "a pytree keeps what a file cannot hold: a value of type builtins.object cannot be saved. Register the pytree "
        "node with to_dumpable_context and from_dumpable_context."
    )


def test_a_function_among_the_keys_is_not_described() -> None:
    with pytest.raises(UnsupportedError, match=r"expected a constant of a pytree, got 'torch\.nn\.functional:relu'"):
        describe_spec(pytree.tree_structure({torch.nn.functional.relu: 1}))


def test_keys_that_json_does_not_know_are_described() -> None:
    spec = pytree.tree_structure({b"x": 1, (1, 2.5): 2})
    assert spec_of(describe_spec(spec)) == spec


def node(kind: str, kept: Any, children: int = 0) -> Any:
    return {"node": [kind, kept], "children": [None] * children}


@pytest.mark.parametrize(
    ("described", "message"),
    [
        (
            node("namedtuple", ["nowhere", "Point", ["x"]], 1),
            "the file names nowhere.Point, and nowhere is not imported. Import it before loading: a file imports nothing.",
        ),
        (
            node("namedtuple", [HERE, "Gone", ["x"]], 1),
            f"the file names {HERE}.Gone, which {HERE} does not have. Define it there before loading.",
        ),
        (
            node("namedtuple", ["os", "system", []]),
            "the file names os.system as a namedtuple class, which it is not. Define it so before loading.",
        ),
        (
            node("namedtuple", [HERE, "Point", ["x", "z"]], 2),
            f"the namedtuple {HERE}.Point has the fields x, y, and the file's had x, z. "
            "Load it where the class is as it was.",
        ),
        (
            node("dataclass", [HERE, "Stranger", None]),
            f"the file names {HERE}.Stranger as a dataclass that is registered as a pytree node, which it is not. "
            "Define it so before loading.",
        ),
        (
            node("torch.return_types", "pytree_register_structseq"),
            "the file names torch.return_types.pytree_register_structseq as a member of torch.return_types, which it is "
            "not. Define it so before loading.",
        ),
        (
            node("registered", ["nowhere.Class", None]),
            "a described pytree spec: no pytree node is registered as 'nowhere.Class'. Import the module that registers "
            "it before loading.",
        ),
    ],
)
def test_a_description_names_only_what_is_there(described: Any, message: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        spec_of(described)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "described",
    [
        3,
        {},
        node("colour", None),
        node("dict", {"tuple": []}),
        node("dict", [[]], 1),
        node("defaultdict", [["os", "abort"], []]),
        node("namedtuple", [[], "x", []]),
        {"node": ["list", None], "children": None},
    ],
    ids=str,
)
def test_what_is_no_description_is_refused(described: Any) -> None:
    with pytest.raises(SchemaError) as caught:
        spec_of(described)
    assert str(caught.value) == f"expected a described pytree spec, got {str(described)[:60]!r}."


@pytest.mark.parametrize(
    "kept",
    [
        {"global": "os:abort"},
        {"tensor": {"dtype": "float32", "shape": [], "device": "cpu"}},
        {"expression": "Integer(1)"},
        {"sym_int": ["Integer(1)", 1]},
        {"node": "x"},
    ],
    ids=str,
)
def test_what_is_no_constant_is_refused(kept: Any) -> None:
    with pytest.raises(SchemaError, match=r"^expected a constant of a pytree, got .*\.$"):
        spec_of(node("dict", [kept], 1))


def test_a_description_with_too_few_children_is_refused() -> None:
    with pytest.raises(SchemaError) as caught:
        spec_of(node("dict", ["a", "b"], 1))
    assert str(caught.value) == "expected 2 children of the pytree node dict, got 1."


def test_a_description_nested_too_deeply_is_refused() -> None:
    described: Any = None
    for _ in range(100_000):
        described = {"node": ["list", None], "children": [described]}
    with pytest.raises(SchemaError) as caught:
        spec_of(described)
    assert str(caught.value) == "a described pytree spec is nested too deeply to read."
