"""No text of a file becomes code: not in the functions that FX compiles on loading, not in those that module() makes."""

from __future__ import annotations

import copy
import io
import json

import pytest
import torch

from pytest_exportcheck import reference
from pytest_exportcheck.errors import SchemaError, UnsupportedError
from pytest_exportcheck.reference.pt2.archive import ArchiveReader, write_archive
from pytest_exportcheck.reference.pt2.program.from_plain import build_program
from pytest_exportcheck.reference.pt2.program.to_plain import plain_program

CALL = "called()"


class Net(torch.nn.Module):
    def forward(self, x, mode="up"):
        return x + len(mode)


PROGRAM = torch.export.export(Net(), (torch.ones(2), "up"))
PLAIN = plain_program(PROGRAM)


def built(**node):
    """The program, with a part of its node ``add`` replaced."""
    given = copy.deepcopy(PLAIN)
    given["graph"]["nodes"]["add"].update(node)
    return build_program(given, state={}, constants={}, example_inputs=None)


def loaded(edit):
    """The program's file with its JSON edited."""
    file = io.BytesIO()
    reference.save(PROGRAM, file)
    file.seek(0)
    archive = ArchiveReader(file)
    records = {name: archive.read(name) for name in archive.names}
    tree = json.loads(records["models/model.json"])
    tree.pop("exportcheck", None)
    edit(tree)
    file = io.BytesIO()
    write_archive(file, {**records, "models/model.json": json.dumps(tree).encode()})
    file.seek(0)
    return reference.load(file)


@pytest.mark.parametrize("name", [f"x, y={CALL}", f"x\r{CALL}\r", "*x", "from", "é", "", "a.b", "a\n"])
def test_names_of_nodes_are_names(name):
    text = json.dumps(PLAIN).replace('"x"', json.dumps(name))
    with pytest.raises(SchemaError, match="is the name of a node, expected letters, digits and underscores"):
        build_program(json.loads(text), state={}, constants={}, example_inputs=None)


@pytest.mark.parametrize("key", [f"a={CALL}, b", f"a)\r{CALL}\r(b", "from", ""])
def test_names_of_arguments_are_names(key):
    with pytest.raises(SchemaError, match=r"^node 'add': .* is not the name of an argument"):
        built(kwargs={key: 1})


@pytest.mark.parametrize(
    "value",
    [
        {"node_source": {"name": CALL}},
        {"record": ["torch.fx.graph:PythonCode", [CALL, None, None, 0]]},
        {"namedtuple": ["torch.fx.passes.shape_prop:TensorMetadata", []]},
        {"range": [0, 10**12, 1]},
        {"dict": [["a", {"tuple": [{"path_key": ["MappingKey", CALL]}]}]]},
    ],
)
def test_arguments_print_themselves_in_known_ways(value):
    with pytest.raises(
        SchemaError, match=r"^node 'add': a value tagged '.*' is not allowed among the arguments of a node"
    ):
        built(args=[{"node": "x"}, value])


@pytest.mark.parametrize("op", ["call_method", "call_module", "x"])
def test_nodes_are_of_the_kinds_that_programs_have(op):
    with pytest.raises(SchemaError, match=r"^node 'add': its kind is '.*', expected one of placeholder, get_attr"):
        built(op=op, target="x")


@pytest.mark.parametrize("target", ["__class__.__init__", "forward", f'a"); {CALL}; ("'])
def test_attributes_are_the_graphs_of_the_file(target):
    with pytest.raises(SchemaError, match=r"^node 'add': it reads .* but the graph holds no graphs"):
        built(op="get_attr", target=target, args=[], kwargs={})


@pytest.mark.parametrize("name", ["forward", "_modules", "training", "recompile"])
def test_a_graph_hides_no_part_of_its_module(name):
    given = copy.deepcopy(PLAIN)
    given["graph"]["graphs"][name] = copy.deepcopy(PLAIN["graph"])
    with pytest.raises(SchemaError, match="which is an attribute of every module"):
        build_program(given, state={}, constants={}, example_inputs=None)


@pytest.mark.parametrize("key", ["is_wrapped", "boxed_arg_indices"])
def test_metadata_that_changes_the_code_is_refused(key):
    with pytest.raises(SchemaError, match=f"its metadata has '{key}'"):
        built(meta={**PLAIN["graph"]["nodes"]["add"]["meta"], key: {"range": [0, 10**12, 1]}})


@pytest.mark.parametrize(
    "guard",
    [
        CALL,
        "L['x'].size()[0] == 2 or " + CALL,
        "L['x'].__class__ == 1",
        "L['x'].data_ptr() == 1",
        "torch.load(L['x'])",
        "math.floor(*[1])",
        "(lambda: 1)()",
        "L['x'] == 1\n",
        'L["a\'"] == 1',
        "(" * 500,
    ],
)
def test_guards_are_conditions_on_sizes(guard):
    with pytest.raises(SchemaError, match=r"^guard "):
        loaded(lambda tree: tree.update(guards_code=[guard]))


@pytest.mark.parametrize(
    "guard",
    [
        "2*L['x'].size()[0] > 3 + L['x'].size()[0]",
        "(L['x'].size()[0] % 2) == 0 and L['x']['k'].storage_offset() != 1",
        "max(1, math.ceil(L['x'].size()[0] / 2.5)) <= 7",
    ],
)
def test_guards_that_torch_writes_are_read(guard):
    assert loaded(lambda tree: tree.update(guards_code=[guard]))._guards_code == [guard]


def test_names_of_a_call_are_names():
    def edit(tree):
        tree["graph_module"]["module_call_graph"][0]["signature"]["forward_arg_names"] = ["x", f"mode={CALL}"]

    with pytest.raises(SchemaError, match="is not the name of an argument of a call"):
        loaded(edit)


@pytest.mark.parametrize("text", [f"' or {CALL} or '", f'x", {CALL}) #', f"\\x22, {CALL}) #", f"\\\n' or {CALL} #"])
def test_a_constant_text_stays_in_quotes(text):
    def edit(tree):
        spec = tree["graph_module"]["signature"]["input_specs"][1]
        spec["constant_input"]["value"] = {"as_string": text}
        tree["graph_module"]["graph"]["inputs"][1] = {"as_string": text}

    with pytest.raises(
        UnsupportedError, match=r"a constant input is .*, which breaks out of its quotes in the Python code"
    ):
        loaded(edit)


@pytest.mark.parametrize("text", ["plain", "it's", "C:\\dir", "é😀", "two\nlines"])
def test_other_texts_are_read(text):
    def edit(tree):
        spec = tree["graph_module"]["signature"]["input_specs"][1]
        spec["constant_input"]["value"] = {"as_string": text}
        tree["graph_module"]["graph"]["inputs"][1] = {"as_string": text}

    assert list(loaded(edit).graph.nodes)[1].meta["val"] == text
