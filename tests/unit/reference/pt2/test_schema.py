"""The structures of the schema: unions, records, and how they compare with torch's."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._export.serde
from packaging.version import Version

from pytest_exportcheck.errors import SchemaError
from pytest_exportcheck.reference.pt2.schema import (
    Argument,
    Graph,
    NamedArgument,
    ScalarType,
    SymInt,
    SymIntArgument,
    TensorArgument,
)
from tests.unit.reference.pt2.schema_drift import drift

DRIFT: dict[str, list[str]] = {"2.13": [], "2.14": []}
"""How torch's schema differs from ours, by torch's release."""


def parsed(text: str) -> dict[str, Any]:
    """``schema.yaml``, whose form is far simpler than YAML: mappings by indentation, and lists of numbers."""
    tree: dict[str, Any] = {}
    open_at: list[tuple[int, Any]] = [(-1, tree)]
    last = ""
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("- "):
            tree[last] = [*(tree[last] or []), int(line[2:])]
            continue
        depth = len(line) - len(line.lstrip())
        last, _, value = line.strip().partition(":")
        while open_at[-1][0] >= depth:
            open_at.pop()
        open_at[-1][1][last] = scalar(value.strip()) if value else {}
        open_at.append((depth, open_at[-1][1][last]))
    return tree


def scalar(text: str) -> Any:
    return int(text) if text.isdigit() else text.strip("'")


def installed() -> dict[str, Any]:
    return parsed((Path(torch._export.serde.__path__[0]) / "schema.yaml").read_text())


def test_the_schema_is_that_of_the_installed_torch() -> None:
    release = ".".join(map(str, Version(torch.__version__).release[:2]))
    assert drift(installed()) == DRIFT.get(release, [])


def test_the_test_reads_the_file_as_yaml_does() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    theirs = yaml.safe_load((Path(torch._export.serde.__path__[0]) / "schema.yaml").read_text())
    assert json.loads(json.dumps(installed()).replace('"None"', "null")) == json.loads(
        json.dumps(theirs).replace('"None"', "null")
    )


def removed_field(schema: dict[str, Any]) -> str:
    del schema["Node"]["fields"]["metadata"]
    return "Node.metadata: not in torch's schema"


def added_field(schema: dict[str, Any]) -> str:
    schema["Node"]["fields"]["colour"] = {"type": "str"}
    return "Node.colour: not known here"


def changed_type(schema: dict[str, Any]) -> str:
    schema["Device"]["fields"]["index"]["type"] = "Optional[str]"
    return "Device.index: Optional[str] = None in torch's schema, Optional[int] = None here"


def changed_default(schema: dict[str, Any]) -> str:
    schema["ExportedProgram"]["fields"]["torch_version"]["default"] = "<=2.5"
    return "ExportedProgram.torch_version: str = <=2.5 in torch's schema, str = <=2.4 here"


def lost_default(schema: dict[str, Any]) -> str:
    del schema["Graph"]["fields"]["custom_obj_values"]["default"]
    return (
        "Graph.custom_obj_values: Dict[str, CustomObjArgument] in torch's schema, "
        "Dict[str, CustomObjArgument] = {} here"
    )


def added_member(schema: dict[str, Any]) -> str:
    schema["ScalarType"]["fields"]["FLOAT4"] = 45
    return "ScalarType.FLOAT4: not known here"


def removed_member(schema: dict[str, Any]) -> str:
    del schema["Layout"]["fields"]["_mkldnn"]
    return "Layout._mkldnn: not in torch's schema"


def renumbered_member(schema: dict[str, Any]) -> str:
    schema["ScalarType"]["fields"]["UINT16"] = 27
    return "ScalarType.UINT16: 27 in torch's schema, 28 here"


def added_tag(schema: dict[str, Any]) -> str:
    schema["Argument"]["fields"]["as_slice"] = {"type": "List[Argument]"}
    return "Argument.as_slice: not known here"


def changed_tag(schema: dict[str, Any]) -> str:
    schema["Argument"]["fields"]["as_nested_tensors"]["type"] = "List[TensorArgument]"
    return "Argument.as_nested_tensors: List[TensorArgument] in torch's schema, List[List[TensorArgument]] here"


def changed_order(schema: dict[str, Any]) -> str:
    schema["ComplexValue"]["fields"] = dict(reversed(schema["ComplexValue"]["fields"].items()))
    return "ComplexValue: its fields stand in another order in torch's schema"


def changed_kind(schema: dict[str, Any]) -> str:
    schema["Device"]["kind"] = "union"
    return "Device: a union in torch's schema, a struct here"


def added_type(schema: dict[str, Any]) -> str:
    schema["Colour"] = {"kind": "struct", "fields": {}}
    return "Colour: not known here"


def removed_type(schema: dict[str, Any]) -> str:
    del schema["ExternKernelNodes"]
    return "ExternKernelNodes: not in torch's schema"


def newer_version(schema: dict[str, Any]) -> str:
    schema["SCHEMA_VERSION"] = [8, 21]
    return "SCHEMA_VERSION: (8, 21) in torch's schema, (8, 20) here"


CHANGES = (
    *(removed_field, added_field, changed_type, changed_default, lost_default, added_member, removed_member),
    *(renumbered_member, added_tag, changed_tag, changed_order, changed_kind, added_type, removed_type, newer_version),
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_of_torchs_schema_is_named(change: Any) -> None:
    schema = copy.deepcopy(installed())
    expected = change(schema)
    assert drift(schema) == [expected]


def test_a_renamed_member_is_named_by_both_names() -> None:
    schema = installed()
    members = schema["MemoryFormat"]["fields"]
    schema["MemoryFormat"]["fields"] = {
        ("Preserve" if each == "PreserveFormat" else each): members[each] for each in members
    }
    assert drift(schema) == [
        "MemoryFormat.PreserveFormat: not in torch's schema",
        "MemoryFormat.Preserve: not known here",
    ]


def test_a_union_gives_its_value_by_tag() -> None:
    assert Argument("as_int", 3).as_int == 3


def test_a_union_refuses_another_tags_value() -> None:
    with pytest.raises(AttributeError) as caught:
        _ = Argument("as_int", 3).as_tensor
    assert str(caught.value) == "this Argument is as_int, not as_tensor"


def test_a_union_has_no_other_attribute() -> None:
    assert not hasattr(Argument("as_int", 3), "as_colour")


def test_a_union_refuses_an_unknown_tag() -> None:
    with pytest.raises(SchemaError) as caught:
        SymInt("as_float", 1.0)
    assert str(caught.value) == "SymInt has no tag 'as_float'. Its tags: as_expr, as_int."


@pytest.mark.parametrize(
    ("tag", "value", "expected", "got"),
    [
        ("as_int", True, "int", "bool"),
        ("as_int", ScalarType.FLOAT, "int", "ScalarType"),
        ("as_scalar_type", 7, "ScalarType", "int"),
        ("as_ints", (1,), "List[int]", "tuple"),
        ("as_tensor", "x", "TensorArgument", "str"),
        ("as_sym_int", 3, "SymIntArgument", "int"),
        ("as_string_to_argument", [], "Dict[str, Argument]", "list"),
    ],
)
def test_a_union_refuses_a_value_that_its_tag_does_not_fit(tag: str, value: object, expected: str, got: str) -> None:
    with pytest.raises(SchemaError) as caught:
        Argument(tag, value)
    assert str(caught.value) == f"Argument({tag!r}, ...): expected {expected}, got {got}."


def test_unions_are_equal_by_class_tag_and_value() -> None:
    same = Argument(tag="as_sym_int", value=SymIntArgument("as_name", "s0"))
    assert same == Argument("as_sym_int", SymIntArgument("as_name", "s0"))
    assert same != Argument("as_sym_int", SymIntArgument("as_name", "s1"))
    assert SymInt("as_int", 1) != SymIntArgument("as_int", 1)


def test_a_union_is_a_key_of_a_dict() -> None:
    assert {SymInt("as_int", 1): "one"}[SymInt("as_int", 1)] == "one"


def test_a_union_is_frozen() -> None:
    argument = Argument("as_int", 3)
    with pytest.raises(AttributeError, match=r"^Argument is frozen: make a new one$"):
        argument.value = 4
    with pytest.raises(AttributeError, match=r"^Argument is frozen: make a new one$"):
        del argument.tag


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_a_union_is_copied_and_pickled(copied: Any) -> None:
    argument = Argument("as_tensors", [TensorArgument(name="x")])
    assert copied(argument) == argument


def test_a_union_shows_how_to_build_it() -> None:
    assert repr(Argument("as_tensor", TensorArgument(name="x"))) == "Argument('as_tensor', TensorArgument(name='x'))"


def test_a_union_is_matched_by_tag() -> None:
    match Argument("as_int", 3):
        case Argument("as_int", value):
            assert value == 3
        case _:
            pytest.fail("no match")


def test_a_record_is_frozen() -> None:
    with pytest.raises(AttributeError, match=r"immutable type: 'TensorArgument'"):
        TensorArgument(name="x").name = "y"  # type: ignore[misc]


def test_a_record_has_the_defaults_of_the_schema() -> None:
    named = NamedArgument(name="self", arg=Argument("as_none", True))
    graph = Graph(inputs=[], outputs=[], nodes=[], tensor_values={}, sym_int_values={}, sym_bool_values={})
    assert (named.kind, graph.is_single_tensor_return, graph.custom_obj_values) == (None, False, {})
