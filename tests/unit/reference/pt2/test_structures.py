"""Programs as structures of the schema with a supplement: what torch's own reader and writer lose included."""

from __future__ import annotations

import collections
import json
import warnings

import pytest
import torch
from torch.export import Dim

from pytest_exportcheck.errors import SchemaError, SerializationWarning, UnsupportedError
from pytest_exportcheck.reference.pt2.convert.program import from_structures, to_structures
from pytest_exportcheck.reference.pt2.json.codec import decode_program, encode_program
from pytest_exportcheck.reference.pt2.plain.difference import difference
from pytest_exportcheck.reference.pt2.program.from_plain import build_program
from pytest_exportcheck.reference.pt2.program.to_plain import plain_program

OPSET = {"aten": 10}
Pair = collections.namedtuple("Pair", ["first", "second"])


def module(forward, **attributes):
    made = type("Net", (torch.nn.Module,), {"forward": forward})()
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def again(program):
    """Through structures and JSON."""
    text = encode_program(to_structures(plain_program(program), OPSET))
    structures, _ = decode_program(text, where="here")
    return build_program(
        from_structures(structures),
        state=program.state_dict,
        constants=program.constants,
        example_inputs=program.example_inputs,
    )


def assert_lossless(program):
    after = again(program)
    assert difference(plain_program(program), plain_program(after)) == {}
    return after


def branches(self, x):
    return torch.cond(x.sum() > 0, lambda x: x.sin() + 1, lambda x: x.cos(), (x,))


def scanned(self, x):
    from torch._higher_order_ops.scan import scan

    return scan(lambda carry, row: (carry + row, carry * row), torch.zeros(3), x)


def looped(self, x):
    from torch._higher_order_ops.while_loop import while_loop

    return while_loop(lambda n, x: n < 3, lambda n, x: (n + 1, x * 2), (torch.tensor(0), x))


def data_dependent(self, x):
    number = (x > 0).sum().item()
    torch._check(number >= 0)
    torch._check(number <= 20)
    return torch.ones(number), number


def quiet_region(self, x):
    with torch.no_grad():
        y = x * 2
    return x + y


def mixed(self, x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return x @ x.T


BATCH = ({0: Dim("batch", min=2, max=64)},)
ONE = (torch.arange(12.0).reshape(4, 3),)
PROGRAMS = {
    "symbols": (
        lambda self, x: (x.view(-1), x.shape[0] * 3 + 1, x.shape[0] // 2, x.shape[0] % 3, x.shape[0] > 5),
        BATCH,
    ),
    "float of a symbol": (lambda self, x: (x * (x.shape[0] / 2), x.shape[0] ** 0.5), BATCH),
    "rounded symbol": (lambda self, x: (x + 1, round(x.shape[0] * 0.3)), BATCH),
    "data dependent": (data_dependent, None),
    "branches": (branches, BATCH),
    "scan": (scanned, None),
    "while_loop": (looped, None),
    "no grad": (quiet_region, BATCH),
    "autocast": (mixed, None),
    "several results, one used": (lambda self, x: torch.split(x, 1, 1)[1] + torch.max(x, 1).values.sum(), BATCH),
    "results of classes": (lambda self, x: (Pair(x, [x + 1]), torch.aminmax(x)), None),
    "result taken twice": (lambda self, x: [torch.sort(x)[0] + torch.sort(x)[0], torch.aminmax(x)], None),
    "constant outputs": (lambda self, x: {"a": (x, None, 3, 2.5, "text", True), "b": [float("inf"), -0.0]}, None),
    "tensor with an offset": (lambda self, x: (x[1:, 1:], x.T, x.expand(2, 4, 3)), None),
    "types as arguments": (
        lambda self, x: x.to(torch.bfloat16).contiguous(memory_format=torch.contiguous_format),
        None,
    ),
    "empty lists": (lambda self, x: x.sum(dim=[]).new_zeros([]), None),
    "complex": (lambda self, x: torch.view_as_real(x * (1 + 2j)), None),
    "input changed": (lambda self, x: x.add_(1), None),
    "optional tensors": (lambda self, x: x[:, torch.tensor([0, 2])], None),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_is_lost(name):
    forward, shapes = PROGRAMS[name]
    program = torch.export.export(module(forward), ONE, dynamic_shapes=shapes)
    after = assert_lossless(program)
    before, now = (torch.utils._pytree.tree_leaves(each.module()(ONE[0].clone())) for each in (program, after))
    assert [str(each) for each in now] == [str(each) for each in before]


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_lowered_is_not_lost(name):
    forward, shapes = PROGRAMS[name]
    program = torch.export.export(module(forward), ONE, dynamic_shapes=shapes)
    assert_lossless(program.run_decompositions())


def meta_of(program, **meta):
    """The program, in which the first call has this metadata."""
    node = next(node for node in program.graph.nodes if node.op == "call_function")
    node.meta.update(meta)
    return program


def simple():
    return torch.export.export(module(lambda self, x: x + 1), ONE)


@pytest.mark.parametrize(
    "meta",
    [
        {"custom": {"pair": (1, 2), 3: "three", "nested": {"deep": [(None,)]}}},
        {"nn_module_stack": {"a,b;c": ("path,with;signs", "Type[int, (str)]")}},
        {"nn_module_stack": collections.OrderedDict([("k", ("", "m.T"))])},
        {"torch_fn": ("name;1", "a.b")},
        {
            "source_fn_stack": [
                ("relu", torch.nn.functional.relu),
                ("l", torch.nn.Linear),
                ("o", torch.ops.aten.add.Tensor),
            ]
        },
        {"source_fn_stack": [("a,b", "no,such;function")]},
        {"stack_trace": "File 'ü'\n\x00"},
        {"partitioner_tag": "x", "seq_nr": 5, "desc": {1: {2, 3}}},
    ],
    ids=lambda meta: next(iter(meta)),
)
def test_metadata_is_not_lost(meta):
    assert_lossless(meta_of(simple(), **meta))


def test_metadata_of_placeholders_and_outputs_is_not_lost():
    program = simple()
    for node in program.graph.nodes:
        node.meta["custom"] = {"op": node.op}
    assert_lossless(program)


def test_metadata_that_no_file_can_hold_is_left_out_with_a_warning():
    program = meta_of(simple(), engine=object())
    with pytest.warns(
        UserWarning, match=r"metadata 'engine' of node add is left out: a value of type builtins\.object"
    ):
        plain_program(program)


def test_names_and_order_are_not_lost():
    program = simple()
    nodes = list(program.graph.nodes)
    nodes[1].name = program.graph_signature.output_specs[0].arg.name = "input"  # which FX would rename
    assert_lossless(program)


def test_ranges_of_symbols_that_no_node_mentions_are_not_lost():
    program = torch.export.export(module(lambda self, x: x + 1), ONE, dynamic_shapes=BATCH)
    import sympy
    from torch.utils._sympy.value_ranges import ValueRanges

    program.range_constraints[sympy.Symbol("s9", positive=True, integer=True)] = ValueRanges(3, 9)
    assert {str(key) for key in again(program).range_constraints} == {str(key) for key in program.range_constraints}
    assert_lossless(program)


def test_parameters_buffers_and_constants_keep_their_places():
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 3)
            self.register_buffer("kept", torch.zeros(3))
            self.register_buffer("hidden", torch.zeros(3), persistent=False)
            self.constant = torch.ones(3)

        def forward(self, x, *, scale=1.0):
            self.kept.add_(1)
            return self.layer(x) + self.kept + self.hidden + self.constant * scale

    program = torch.export.export(Net(), ONE, {"scale": 2.0})
    after = assert_lossless(program)
    assert [spec.kind for spec in after.graph_signature.input_specs] == [
        spec.kind for spec in program.graph_signature.input_specs
    ]


def test_the_structures_without_the_supplement_are_a_program_too():
    """As a file by torch is read."""
    program = torch.export.export(module(branches), ONE, dynamic_shapes=BATCH)
    data = json.loads(encode_program(to_structures(plain_program(program), OPSET)))
    del data["exportcheck"]
    structures, _ = decode_program(json.dumps(data).encode(), where="here")
    after = build_program(from_structures(structures), state={}, constants={}, example_inputs=program.example_inputs)
    assert torch.equal(after.module()(ONE[0]), program.module()(ONE[0]))
    assert [node.name for node in after.graph.nodes] == [node.name for node in program.graph.nodes]


def test_a_node_without_a_form_in_the_schema_is_one_that_torch_refuses():
    program = simple()
    node = next(node for node in program.graph.nodes if node.op == "call_function")
    node.args = (node.args[0], {1: 2})
    data = json.loads(encode_program(to_structures(plain_program(program), OPSET)))
    assert data["graph_module"]["graph"]["nodes"][0]["target"] == "exportcheck.unrepresentable"
    assert again(program) is not None


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("os.system", "is not a function that a program may call"),
        ("torch.ops.nowhere.nothing.default", "the operator 'torch.ops.nowhere.nothing.default' is not registered"),
        ("torch.load", "is not a function that a program may call"),
    ],
)
def test_a_file_calls_operators_only(target, error):
    data = json.loads(encode_program(to_structures(plain_program(simple()), OPSET)))
    del data["exportcheck"]
    data["graph_module"]["graph"]["nodes"][0]["target"] = target
    structures, _ = decode_program(json.dumps(data).encode(), where="here")
    with pytest.raises(UnsupportedError, match=error):
        build_program(from_structures(structures), state={}, constants={}, example_inputs=None)


def test_a_supplement_cannot_pass_functions_to_operators():
    data = json.loads(encode_program(to_structures(plain_program(simple()), OPSET)))
    changes = data["exportcheck"]["difference"]["in"]["graph"]["in"]["nodes"]["in"]
    changes["add"]["in"]["args"] = {"is": [{"node": "x"}, {"global": "os:system"}]}
    structures, _ = decode_program(json.dumps(data).encode(), where="here")
    with pytest.raises(SchemaError, match="expected an operator, a number or a tensor, got 'os:system'"):
        build_program(from_structures(structures), state={}, constants={}, example_inputs=None)


def test_a_supplement_of_another_program_is_left_out_with_a_warning():
    data = json.loads(encode_program(to_structures(plain_program(simple()), OPSET)))
    data["graph_module"]["graph"]["nodes"][0]["metadata"]["stack_trace"] = "edited"
    structures, _ = decode_program(json.dumps(data).encode(), where="here")
    with pytest.warns(SerializationWarning, match="the program was changed after the supplement was saved"):
        plain = from_structures(structures)
    assert plain["graph"]["nodes"]["add"]["meta"]["stack_trace"] == "edited"


def test_writing_warns_of_nothing():
    program = torch.export.export(module(branches), ONE, dynamic_shapes=BATCH)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again(program)
