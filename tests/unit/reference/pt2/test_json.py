"""The JSON of programs: read and written as torch does, other versions, unknown fields."""

from __future__ import annotations

import json
import math
import warnings
from typing import Any

import msgspec
import pytest
import torch._export.serde.schema as torch_schema
import torch._export.serde.serialize as torch_json
from hypothesis import given
from hypothesis import strategies as st

from pytest_exportcheck.errors import SchemaError, SchemaWarning
from pytest_exportcheck.reference.pt2 import schema
from pytest_exportcheck.reference.pt2.json.codec import MINOR, Unknown, decode, decode_program, encode, encode_program
from pytest_exportcheck.reference.pt2.schema import Argument, NamedArgument, PayloadConfig
from tests.unit.serde_programs import PROGRAMS, saved, tree, written


def read(value: object) -> schema.ExportedProgram:
    program, _ = decode_program(written(value), where="m.pt2")
    return program


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_torch_wrote_is_written_again_byte_for_byte(name: str) -> None:
    program, unknown = decode_program(saved(name), where="m.pt2")
    assert not unknown
    assert encode_program(program, unknown) == saved(name)


@pytest.mark.parametrize("name", PROGRAMS)
def test_torch_reads_the_same_from_what_is_written(name: str) -> None:
    again = encode_program(read(tree(name)))
    theirs = torch_json._bytes_to_dataclass(torch_schema.ExportedProgram, again)
    assert theirs == torch_json._bytes_to_dataclass(torch_schema.ExportedProgram, saved(name))


def test_fields_that_an_old_file_lacks_have_defaults() -> None:
    old = tree()
    for field in ("verifiers", "torch_version", "guards_code"):
        del old[field]
    del old["graph_module"]["metadata"]
    for node in old["graph_module"]["graph"]["nodes"]:
        del node["name"], node["is_hop_single_tensor_return"]
    program = read(old)
    assert (program.verifiers, program.torch_version, program.guards_code) == ([], "<=2.4", [])
    assert program.graph_module.metadata == {}
    assert {(node.name, node.is_hop_single_tensor_return) for node in program.graph_module.graph.nodes} == {
        (None, None)
    }


ARGUMENTS = st.one_of(
    st.builds(Argument, st.just("as_int"), st.integers(-(2**63), 2**64 - 1)),
    st.builds(Argument, st.just("as_float"), st.floats(allow_nan=False)),
    st.builds(Argument, st.just("as_floats"), st.lists(st.floats(allow_nan=False))),
    st.builds(Argument, st.just("as_float_lists"), st.lists(st.lists(st.floats(allow_nan=False)))),
    st.builds(Argument, st.just("as_int_lists"), st.lists(st.lists(st.integers(-9, 9)))),
    st.builds(Argument, st.just("as_string"), st.text(st.characters(codec=None))),
    st.builds(Argument, st.just("as_strings"), st.lists(st.text())),
    st.builds(Argument, st.just("as_bools"), st.lists(st.booleans())),
    st.builds(Argument, st.just("as_scalar_type"), st.sampled_from(schema.ScalarType)),
    st.builds(Argument, st.just("as_device"), st.builds(schema.Device, type=st.text(), index=st.none() | st.just(1))),
    st.builds(
        Argument,
        st.just("as_complex"),
        st.builds(schema.ComplexValue, real=st.floats(allow_nan=False), imag=st.floats(allow_nan=False)),
    ),
    st.builds(
        Argument,
        st.just("as_sym_ints"),
        st.lists(
            st.builds(schema.SymIntArgument, st.just("as_name"), st.text())
            | st.builds(schema.SymIntArgument, st.just("as_int"), st.integers(-9, 9))
        ),
    ),
)
NESTED = st.recursive(
    ARGUMENTS,
    lambda inner: st.builds(Argument, st.just("as_string_to_argument"), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=5,
)


@given(NESTED)
def test_any_argument_comes_back_and_is_written_as_torch_writes_it(argument: Argument) -> None:
    named = NamedArgument(name="x", arg=argument)
    data = encode(named)
    assert decode(data, NamedArgument, where="m.pt2") == (named, Unknown())
    theirs = torch_json._bytes_to_dataclass(torch_schema.NamedArgument, data)
    assert torch_json._to_json_bytes(theirs) == data


@given(NESTED)
def test_the_way_with_unknown_fields_writes_what_the_way_without_writes(argument: Argument) -> None:
    named = NamedArgument(name="\x7f", arg=argument)
    assert encode(named, Unknown(((("arg", "nowhere", "x"), 1),))) == encode(named)


def test_half_a_character_is_written_as_it_was_read() -> None:
    data = b'{"field_names": ["\\ud800"]}'
    assert encode(decode(data, schema.NamedTupleDef, where="m.pt2")[0]) == data


@pytest.mark.parametrize(
    ("value", "text"), [(math.inf, '"Infinity"'), (-math.inf, '"-Infinity"'), (1e-05, "1e-05"), (1e16, "1e+16")]
)
def test_floats_are_spelled_as_torch_spells_them(value: float, text: str) -> None:
    data = b'{"name": "x", "arg": {"as_float": %b}, "kind": null}' % text.encode()
    named = NamedArgument(name="x", arg=Argument("as_float", value))
    assert encode(named) == data
    assert decode(data, NamedArgument, where="m.pt2") == (named, Unknown())


def test_no_number_is_written_as_a_text_and_comes_back() -> None:
    named = NamedArgument(name="x", arg=Argument("as_floats", [math.nan]))
    data = encode(named)
    assert data == b'{"name": "x", "arg": {"as_floats": ["NaN"]}, "kind": null}'
    again, _ = decode(data, NamedArgument, where="m.pt2")
    assert math.isnan(again.arg.as_floats[0])


def test_an_integer_where_a_float_stands_is_a_float() -> None:
    named, _ = decode(b'{"name": "x", "arg": {"as_float": 3}}', NamedArgument, where="m.pt2")
    assert type(named.arg.value) is float


def test_other_records_are_read_and_written() -> None:
    data = b'{"config": {"l.w": {"path_name": "weight_0", "is_param": true, "use_pickle": false, "tensor_meta": null}}}'
    config, _ = decode(data, PayloadConfig, where="weights")
    assert config.config["l.w"].path_name == "weight_0"
    assert encode(config) == data


def test_a_foreign_object_is_not_written() -> None:
    with pytest.raises(SchemaError) as caught:
        encode(NamedArgument(name="x", arg=object()))  # type: ignore[arg-type]
    assert str(caught.value) == "object cannot be written: it is not a type of the schema."


@pytest.mark.parametrize(
    ("major", "remedy"),
    [(9, "update pytest-exportcheck"), (7, "save the program again with torch 2.5 or later")],
)
def test_another_major_version_is_refused(major: int, remedy: str) -> None:
    value = tree()
    value["schema_version"] = {"major": major, "minor": 0}
    with pytest.raises(SchemaError) as caught:
        read(value)
    assert str(caught.value) == (
        f"m.pt2: $.schema_version.major: expected schema 8.x, got schema {major}.0. "
        f"Serialized schema version {major}.0 does not match our current schema version 8.{MINOR}. "
        f"To read it, {remedy}."
    )


def test_another_major_version_is_refused_before_what_else_it_has() -> None:
    with pytest.raises(SchemaError, match=r"expected schema 8\.x, got schema 9\.1"):
        read({"schema_version": {"major": 9, "minor": 1}, "graph": []})


def newer() -> Any:
    value = tree()
    value["schema_version"] = {"major": 8, "minor": 21}
    value["graph_module"]["graph"]["nodes"][1]["colour"] = {"red": [1, 1e-05]}
    value["graph_module"]["graph"]["nodes"][0]["inputs"][0]["arg"]["as_tensor"]["shade"] = None
    return value


def test_a_newer_minor_version_is_read_with_a_warning_that_names_its_fields() -> None:
    with pytest.warns(SchemaWarning) as caught:
        read(newer())
    assert [str(each.message) for each in caught] == [
        "m.pt2: the file has schema 8.21, this reader knows 8.20; not understood, and kept as they are: "
        "$.graph_module.graph.nodes[0].inputs[0].arg.as_tensor.shade, $.graph_module.graph.nodes[1].colour. "
        "Update pytest-exportcheck."
    ]


def test_a_newer_minor_version_without_new_fields_says_so() -> None:
    value = tree()
    value["schema_version"] = {"major": 8, "minor": 21}
    with pytest.warns(SchemaWarning) as caught:
        read(value)
    assert [str(each.message) for each in caught] == [
        "m.pt2: the file has schema 8.21, this reader knows 8.20; all fields are known. Update pytest-exportcheck."
    ]


@pytest.mark.filterwarnings("ignore::pytest_exportcheck.errors.SchemaWarning")
def test_unknown_fields_are_written_back_to_their_places() -> None:
    program, unknown = decode_program(written(newer()), where="m.pt2")
    assert json.loads(encode_program(program, unknown)) == newer()


@pytest.mark.filterwarnings("ignore::pytest_exportcheck.errors.SchemaWarning")
def test_unknown_fields_whose_place_is_gone_are_left_out() -> None:
    program, unknown = decode_program(written(newer()), where="m.pt2")
    graph = msgspec.structs.replace(program.graph_module.graph, nodes=[])
    emptied = msgspec.structs.replace(program, graph_module=msgspec.structs.replace(program.graph_module, graph=graph))
    assert encode_program(emptied, unknown) == encode_program(emptied)


def test_unknown_fields_of_a_known_version_are_kept_silently() -> None:
    value = tree() | {"vendor": [1]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, unknown = decode_program(written(value), where="m.pt2")
    assert unknown == Unknown(((("vendor",), [1]),))
    assert unknown.places == ("$.vendor",)


def test_an_unknown_tag_of_a_newer_version_is_an_error() -> None:
    value = newer()
    value["range_constraints"] = {}
    value["graph_module"]["graph"]["sym_int_values"]["k"] = {"as_rational": 3}
    with pytest.raises(SchemaError) as caught:
        read(value)
    assert str(caught.value) == (
        "m.pt2: $.graph_module.graph.sym_int_values.k: expected an object (SymInt) with one key of as_expr, as_int, got "
        "an object with the keys 'as_rational'. The file has schema 8.21, this reader knows 8.20: update "
        "pytest-exportcheck."
    )


def test_the_supplement_is_written_last_and_read_as_it_stands() -> None:
    program = msgspec.structs.replace(read(tree()), exportcheck=msgspec.Raw(b'{"a":  1e5}'))
    data = encode_program(program)
    assert data == saved("mlp")[:-1] + b', "exportcheck": {"a":  1e5}}'
    again, unknown = decode_program(data, where="m.pt2")
    assert again.exportcheck is not None
    assert (bytes(again.exportcheck), unknown) == (b'{"a":  1e5}', Unknown())


def test_torch_reads_past_the_supplement() -> None:
    program = msgspec.structs.replace(read(tree()), exportcheck=msgspec.Raw(b"{}"))
    theirs = torch_json._bytes_to_dataclass(torch_schema.ExportedProgram, encode_program(program))
    assert theirs == torch_json._bytes_to_dataclass(torch_schema.ExportedProgram, saved("mlp"))


def test_the_supplement_is_no_unknown_field_beside_one() -> None:
    value = tree() | {"exportcheck": {"a": 1}, "vendor": 2}
    program, unknown = decode_program(written(value), where="m.pt2")
    assert program.exportcheck is not None
    assert (json.loads(bytes(program.exportcheck)), unknown.places) == ({"a": 1}, ("$.vendor",))


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_careful_way_reads_what_the_quick_way_reads(name: str) -> None:
    careful, unknown = decode_program(written(tree(name) | {"vendor": 1}), where="m.pt2")
    assert (careful, unknown.places) == (read(tree(name)), ("$.vendor",))
