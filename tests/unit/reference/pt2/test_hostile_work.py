"""Reading takes time and memory in proportion to the file, and ends in a program or a typed error."""

from __future__ import annotations

import copy
import io
import json
import time
import zipfile
from typing import Any

import msgspec
import pytest
import torch

from pytest_exportcheck import reference
from pytest_exportcheck.errors import ArchiveError, ExpressionError, PayloadError, SchemaError, UnsupportedError
from pytest_exportcheck.reference.pt2.archive import MODEL, ArchiveReader, names_of, write_archive
from pytest_exportcheck.reference.pt2.payloads.pickles import loaded
from pytest_exportcheck.reference.pt2.program.from_plain import build_program
from pytest_exportcheck.reference.pt2.program.to_plain import plain_program
from tests.unit.serde_programs import saved, tree, written

PROGRAM = torch.export.export(torch.nn.ReLU(), (torch.ones(2),))
SYMBOLS = [f"Symbol('s{n}', positive=True, integer=True)" for n in range(60)]


def read(program):
    return reference.deserialize(reference.SerializedArtifact(written(program)))


def built(**meta):
    """A program with metadata of a node replaced."""
    given = copy.deepcopy(plain_program(PROGRAM))
    given["graph"]["nodes"]["relu"]["meta"].update(meta)
    return build_program(given, state={}, constants={}, example_inputs=None)


def with_records(**records):
    file = io.BytesIO()
    reference.save(PROGRAM, file, extra_files={"notes": b"\xff"})
    file.seek(0)
    archive = ArchiveReader(file)
    before = {name: archive.read(name) for name in archive.names}
    file = io.BytesIO()
    write_archive(file, {**before, **records})
    file.seek(0)
    return file


@pytest.mark.parametrize(
    ("key", "text"),
    [("nn_module_stack", "a" * 400_000), ("source_fn_stack", "a," + "a." * 200_000)],
)
def test_long_metadata_is_read_in_one_pass(key, text):
    program = tree("cond")
    program["graph_module"]["graph"]["nodes"][0]["metadata"][key] = text
    began = time.perf_counter()
    try:
        read(program)
    except SchemaError:
        pass
    assert time.perf_counter() - began < 2


def test_symbols_are_searched_for_in_one_pass():
    program = tree("cond")
    values = program["graph_module"]["graph"]["tensor_values"]
    next(iter(values.values()))["sizes"][0] = {"as_expr": {"expr_str": "Symbol('a'" * 30_000, "hint": None}}
    began = time.perf_counter()
    with pytest.raises(ExpressionError):
        read(program)
    assert time.perf_counter() - began < 2


def test_nodes_without_names_are_named_in_one_pass():
    program = tree("cond")
    graph = program["graph_module"]["graph"]
    node = {"target": "torch.ops.aten._assert_async.default", "inputs": [], "outputs": [], "metadata": {}}
    arg = {"name": "self", "arg": {"as_tensor": {"name": graph["inputs"][0]["as_tensor"]["name"]}}, "kind": 1}
    graph["nodes"][:0] = [{**node, "inputs": [arg]} for _ in range(3000)]
    began = time.perf_counter()
    read(program)
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize("name", ["Mul", "Max"])
def test_sizes_that_torch_would_multiply_out_are_refused(name):
    size = {"sym_int": [f"{name}({', '.join(SYMBOLS)})", None]}
    tensor = {"dtype": "float32", "shape": [size], "stride": [1], "device": "cpu"}
    with pytest.raises(ExpressionError, match=r"^node 'relu': an expression would have about \d+ terms"):
        built(val={"tensor": tensor})


def test_the_sizes_of_a_tensor_are_looked_at_together():
    size = {"sym_int": [f"Mul({', '.join(SYMBOLS[:6])})", None]}
    tensor = {"dtype": "float32", "shape": [size] * 5, "stride": [1] * 5, "device": "cpu"}
    given = copy.deepcopy(plain_program(PROGRAM))
    given["ranges"] = [[symbol, "Integer(2)", "Integer(9)"] for symbol in SYMBOLS]
    given["graph"]["nodes"]["relu"]["meta"]["val"] = {"tensor": tensor}
    with pytest.raises(ExpressionError, match="the product of a tensor's sizes would have about"):
        build_program(given, state={}, constants={}, example_inputs=None)


def test_a_range_is_no_shape():
    tensor = {"dtype": "float32", "shape": {"range": [0, 10**12, 1]}, "stride": [1], "device": "cpu"}
    with pytest.raises(SchemaError, match="the sizes of a tensor must be a list, got"):
        built(val={"tensor": tensor})


def test_a_range_is_no_val():
    with pytest.raises(SchemaError, match="a value tagged 'range' is not allowed as the val of a node"):
        built(val={"tuple": [{"range": [0, 10**12, 1]}]})


@pytest.mark.parametrize("key", [{"int": str(2**61 - 1)}, {"record": ["torch.export.dynamic_shapes:_DimHint", []]}])
@pytest.mark.parametrize("holder", ["set", "dict"])
def test_keys_are_hashed_quickly(holder, key):
    with pytest.raises(SchemaError, match="cannot be a key of a mapping or an element of a set"):
        built(note={holder: [key] if holder == "set" else [[key, 1]]})


def test_example_inputs_that_hold_themselves_are_walked_once():
    inner: list[Any] = []
    layers: list[Any] = []
    inner.append(inner)
    for _ in range(60):
        layers = [layers, layers]
    file = io.BytesIO()
    torch.save(((inner, layers), {}), file)
    artifact = reference.SerializedArtifact(saved("cond"), example_inputs=file.getvalue())
    assert reference.deserialize(artifact).example_inputs[0][0][0][0] is not None


def test_compressed_example_inputs_are_refused():
    before, after = io.BytesIO(), io.BytesIO()
    torch.save(torch.zeros(1 << 16), before)
    with zipfile.ZipFile(before) as old, zipfile.ZipFile(after, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(PayloadError, match=r"^the inputs is refused"):
        loaded(after.getvalue(), "the inputs", trust=False)


@pytest.mark.parametrize("part", ["graph", "inputs", "outputs", "calls", "verifiers", "guards", "ranges"])
@pytest.mark.parametrize("value", [None, 5, [5], {"x": [5]}])
def test_a_supplement_may_say_anything_of_a_part(part, value):
    with pytest.raises((SchemaError, UnsupportedError)):
        build_program({**plain_program(PROGRAM), part: value}, state={}, constants={}, example_inputs=None)


def test_a_program_that_the_verifier_refuses_contradicts_itself():
    given = plain_program(PROGRAM)
    with pytest.raises(
        SchemaError, match=r"the program contradicts itself .SpecViolationError: Number of output nodes"
    ):
        build_program({**given, "outputs": []}, state={}, constants={}, example_inputs=None)


@pytest.mark.parametrize(
    ("structure", "message"),
    [
        (b"{", "is not JSON"),
        (b"null", "has 1 leaves"),
        (msgspec.json.encode({"node": ["tuple", None], "children": []}), "has 0 leaves"),
    ],
)
def test_a_structure_of_example_inputs_goes_with_its_leaves(structure, message):
    leaves = io.BytesIO()
    torch.save([1, 2], leaves)
    with pytest.raises(ArchiveError, match=message):
        reference.load(
            with_records(**{names_of(MODEL).leaves: leaves.getvalue(), names_of(MODEL).structure: structure})
        )


def test_metadata_of_the_program_is_json():
    program = tree("cond")
    program["graph_module"]["metadata"]["custom"] = "{"
    with pytest.raises(SchemaError, match="metadata 'custom' has an unexpected form"):
        read(program)


def test_an_extra_file_that_is_no_text_is_refused():
    with pytest.raises(ArchiveError, match="the extra file 'notes' is not text"):
        reference.load(with_records(), extra_files={"notes": ""})


def test_the_programs_that_are_spoiled_here_are_good_ones():
    assert json.loads(saved("cond")) and built() and read(tree("cond"))
