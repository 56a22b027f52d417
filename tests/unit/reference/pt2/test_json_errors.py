"""JSON that is no program: each fault is a SchemaError that says where, what was expected and what was there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_exportcheck.errors import SchemaError
from pytest_exportcheck.reference.pt2.json.codec import decode, decode_program
from pytest_exportcheck.reference.pt2.json.strict import path_text
from pytest_exportcheck.reference.pt2.schema import NamedArgument, NamedTupleDef
from tests.unit.serde_programs import saved, tree, written

DAMAGED = "The file is damaged or its writer is at fault: save the program again."


def refused(data: bytes) -> str:
    with pytest.raises(SchemaError) as caught:
        decode_program(data, where="m.pt2")
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "expected", "got"),
    [
        (b"", "JSON", "Expecting value at line 1, column 1"),
        (b"{", "JSON", "Expecting property name enclosed in double quotes at line 1, column 2"),
        (b'{"a":\n]}', "JSON", "Expecting value at line 2, column 1"),
        (b'[{"a": 1, "a": 2}, }]', "JSON", "Expecting value at line 1, column 20"),
        (b'{"a": "\xff"}', "UTF-8", "the byte 0xff at 7"),
        (b"[" * 200_000, "JSON nested as a program is", "JSON nested too deeply to read"),
        (b'{"a": ' * 200_000, "JSON nested as a program is", "JSON nested too deeply to read"),
        (b"[1, 2]", "an object (ExportedProgram)", "a list of 2"),
        (b"null", "an object (ExportedProgram)", "null"),
        (b"NaN", "an object (ExportedProgram)", "NaN"),
        (b"{}", "an object (ExportedProgram) with the key 'graph_module'", "an object with no key"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_program_is_refused(data: bytes, expected: str, got: str) -> None:
    assert refused(data) == f"m.pt2: $: expected {expected}, got {got}. {DAMAGED}"


def test_a_byte_order_mark_is_refused() -> None:
    assert "UTF-8 BOM" in refused(b"\xef\xbb\xbf" + saved("mlp"))


def test_a_file_that_was_cut_off_is_refused() -> None:
    assert refused(saved("mlp")[:100]).startswith("m.pt2: $: expected JSON, got ")


def test_arguments_nested_too_deeply_are_refused() -> None:
    depth = 100_000
    data = b'{"name": "x", "arg": ' + b'{"as_string_to_argument": {"a": ' * depth + b"1" + b"}}" * depth + b"}"
    with pytest.raises(SchemaError) as caught:
        decode(data, NamedArgument, where="m.pt2")
    assert str(caught.value) == (
        f"m.pt2: $: expected JSON nested as a program is, got JSON nested too deeply to read. {DAMAGED}"
    )


@pytest.mark.parametrize("depth", range(50, 1000, 25))
def test_arguments_of_any_depth_are_read_or_refused(depth: int) -> None:
    inner = b'{"as_string_to_argument": {"a": ' * depth + b'{"as_int": 1}' + b"}}" * depth
    try:
        decode(b'{"name": "x", "arg": %b}' % inner, NamedArgument, where="m.pt2")
    except SchemaError as error:
        assert str(error).endswith(f"got JSON nested too deeply to read. {DAMAGED}")


def test_a_key_that_stands_twice_is_refused_with_its_place() -> None:
    data = saved("mlp").replace(b'{"major": 8', b'{"minor": 3, "major": 8')
    assert refused(data) == f"m.pt2: $.schema_version: expected every key once, got the key 'minor' twice. {DAMAGED}"


def test_a_name_that_stands_twice_in_a_mapping_is_refused_with_its_place() -> None:
    data = saved("mlp").replace(b'"opset_version": {', b'"opset_version": {"aten": 1, "aten": 2, ')
    assert refused(data).startswith("m.pt2: $.opset_version: expected every key once, got the key 'aten' twice.")


@pytest.mark.parametrize(
    ("number", "got"),
    [
        (2**64, "18446744073709551616"),
        (-(2**63) - 1, "-9223372036854775809"),
        (10**39, "1" + 39 * "0"),
        (10**4000, "one with 4001 digits"),
    ],
    ids=["2**64", "-2**63-1", "10**39", "10**4000"],
)
def test_an_integer_beyond_64_bits_is_refused_with_its_place(number: int, got: str) -> None:
    value = tree()
    value["opset_version"] = {"a.b": [number]}
    assert refused(written(value)) == (
        f'm.pt2: $.opset_version["a.b"][0]: expected an integer of 64 bits, got {got}. {DAMAGED}'
    )


def test_an_integer_too_long_for_python_is_refused() -> None:
    data = saved("mlp").replace(b'"minor": 20', b'"minor": ' + b"9" * 100_000)
    assert refused(data) == (
        f"m.pt2: $.schema_version.minor: expected an integer of 64 bits, got one with 100000 digits. {DAMAGED}"
    )


def edited(path: tuple[str | int, ...], value: object) -> bytes:
    whole = at = tree()
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return written(whole)


GRAPH = ("graph_module", "graph")
ARG = (*GRAPH, "nodes", 1, "inputs", 0, "arg")
META = (*GRAPH, "tensor_values", "x")


@pytest.mark.parametrize(
    ("path", "value", "expected", "got"),
    [
        (ARG, {}, "an object (Argument) with one key", "an object with no key"),
        (
            ARG,
            {"as_int": 1, "as_bool": True},
            "an object (Argument) with one key",
            "an object with the keys 'as_int', 'as_bool'",
        ),
        (
            (*GRAPH, "sym_bool_values"),
            {"b": {"as_int": 1}},
            "an object (SymBool) with one key of as_expr, as_bool",
            "an object with the keys 'as_int'",
        ),
        (ARG, 3, "an object (Argument) with one key", "3"),
        ((*ARG, "as_tensor"), "x", "an object (TensorArgument)", '"x"'),
        ((*ARG, "as_tensor", "name"), None, "a string", "null"),
        (
            (*META, "dtype"),
            99,
            f"the number of a ScalarType ({', '.join(map(str, (*range(14), *range(28, 36))))})",
            "99",
        ),
        (
            (*META, "dtype"),
            True,
            f"the number of a ScalarType ({', '.join(map(str, (*range(14), *range(28, 36))))})",
            "true",
        ),
        ((*META, "sizes"), {"0": 1}, "a list", "an object with the keys '0'"),
        ((*META, "requires_grad"), 1, "true or false", "1"),
        ((*META, "device", "index"), "0", "an integer", '"0"'),
        ((*META, "storage_offset"), {"as_int": 1.5}, "an integer", "1.5"),
        ((*META, "storage_offset"), {"as_int": True}, "an integer", "true"),
        ((*GRAPH, "tensor_values"), [], "an object", "a list of 0"),
        (
            ("range_constraints",),
            {"s0": {"min_val": 0}},
            "an object (RangeConstraint) with the key 'max_val'",
            "an object with the keys 'min_val'",
        ),
        (("guards_code",), ["x" * 100, 2 * [0]], "a string", "a list of 2"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_place(path: Any, value: Any, expected: str, got: str) -> None:
    message = refused(edited(path, value))
    place, _, told = message.partition(": expected ")
    assert place.startswith(f"m.pt2: {path_text(path)}")
    assert told == f"{expected}, got {got}. {DAMAGED}"


def test_a_long_text_is_shown_shortened() -> None:
    assert f'got "{59 * "x"} (shortened). ' in refused(edited(("verifiers",), "x" * 100))


def test_a_float_is_a_number_or_one_of_three_texts() -> None:
    with pytest.raises(SchemaError) as caught:
        decode(b'{"name": "x", "arg": {"as_float": "1.5"}}', NamedArgument, where="m.pt2")
    assert str(caught.value) == f'm.pt2: $.arg.as_float: expected a number, got "1.5". {DAMAGED}'


def test_a_text_with_half_a_character_is_read() -> None:
    value, _ = decode(b'{"field_names": ["\\ud800"]}', NamedTupleDef, where="m.pt2")
    assert value == NamedTupleDef(field_names=["\ud800"])


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


@given(st.sampled_from(places(tree("cond"))[1:]), JSON)
def test_any_value_anywhere_is_read_or_refused(path: tuple[str | int, ...], value: Any) -> None:
    whole = at = tree("cond")
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    try:
        decode_program(json.dumps(whole).encode(), where="m.pt2")
    except SchemaError as error:
        assert str(error).startswith("m.pt2: $")


@given(st.data())
def test_any_byte_anywhere_is_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(saved("cond"))
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode_program(bytes(content), where="m.pt2")
    except SchemaError as error:
        assert str(error).startswith("m.pt2: $")
