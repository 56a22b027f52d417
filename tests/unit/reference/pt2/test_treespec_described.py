"""Descriptions of pytree specs: the lossless form in addition to torch's text."""

from __future__ import annotations

import json
from collections import defaultdict, namedtuple
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
import torch.utils._pytree as pytree
from hypothesis import given
from hypothesis import strategies as st

from pytest_exportcheck.errors import SchemaError, UnsupportedError
from pytest_exportcheck.reference.pt2.treespec import describe_spec, spec_of
from tests.unit.reference.pt2.pytree_classes import BESIDE_IT, HERE, IN_TORCHS_TEXT, Box, Nameless, Point


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


def test_a_class_within_a_function_is_not_described() -> None:
    local = namedtuple("local", "x")
    with pytest.raises(UnsupportedError) as caught:
        describe_spec(pytree.tree_structure(local(1)))
    assert str(caught.value) == (
        f"the class {__name__}.local cannot be found by its name, so a file cannot name it. Define it at the top level of a module, "
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
        describe_spec(pytree.tree_structure(defaultdict(cast("Callable[[], Any]", Nameless))))


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
            "the file names nowhere.Point, but nowhere is not imported. Import it before loading: a file cannot import modules.",
        ),
        (
            node("namedtuple", [HERE, "Gone", ["x"]], 1),
            f"the file names {HERE}.Gone, but {HERE} does not have it. Define it there before loading.",
        ),
        (
            node("namedtuple", ["os", "system", []]),
            "the file names os.system as a namedtuple class, but it is not. Define it as one before loading.",
        ),
        (
            node("namedtuple", [HERE, "Point", ["x", "z"]], 2),
            f"the namedtuple {HERE}.Point has the fields x, y, but the file has x, z. "
            "Load it with the class that it was saved with.",
        ),
        (
            node("dataclass", [HERE, "Stranger", None]),
            f"the file names {HERE}.Stranger as a dataclass that is registered as a pytree node, but it is not. "
            "Define it as one before loading.",
        ),
        (
            node("torch.return_types", "pytree_register_structseq"),
            "the file names torch.return_types.pytree_register_structseq as a member of torch.return_types, but it is "
            "not. Define it as one before loading.",
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
