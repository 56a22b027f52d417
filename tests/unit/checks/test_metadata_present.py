"""What a capture must say of where its operations are from."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_exportcheck.checks import metadata
from pytest_exportcheck.records import Record
from pytest_exportcheck.reports.wording import detail_of, kind_of
from tests.unit.records_of import program, record, summary

ADD = "x\nadd = aten.add.Tensor(x, 1)\nreturn add"
STACK = (("L__self__", "", "net.Net"), ("L__self___layer", "layer", "net.Layer"))
MODULES = {"": "net.Net", "layer": "net.Layer"}
MARKED = "marked = 1"
LINE = Path(__file__).read_text().splitlines().index('MARKED = "marked = 1"') + 1


def trace(code='MARKED = "marked = 1"', line=LINE, file=__file__):
    return f'  File "{file}", line {line}, in forward\n    {code}'


SOUND = {"stack_trace": trace(), "nn_module_stack": STACK, "torch_fn": ("add", "function.add")}


@pytest.fixture
def findings(evidence):
    def make(meta, *, text=ADD, node="add", modules=MODULES):
        captured = record(program(text, meta={node: {**SOUND, **meta}}))
        eager = Record(observations=(), modules=modules)
        return metadata.check(evidence(eager, captured, stage="nonstrict", module=eager))

    return make


def test_a_sound_node_is_no_finding(findings):
    assert findings({}) == []


@pytest.mark.parametrize("key", ["stack_trace", "nn_module_stack", "torch_fn"])
def test_a_key_that_is_missing_is_a_finding(evidence, key):
    meta = {name: value for name, value in SOUND.items() if name != key}
    captured = record(program(ADD, meta={"add": meta}))
    found = metadata.check(evidence(record(), captured, stage="nonstrict"))
    assert [(each.place, kind_of(each), each.actual) for each in found] == [("add", f"{key} missing", "none")]


@pytest.mark.parametrize(
    "text",
    ["n = aten.sym_size.int(x, 0)", "n = _operator.getitem(x, 0)", "n = aten._assert_scalar.default(x, 'm')",
     "n = aten.lift_fresh_copy.default(x)", "n = cond(x)", "n = wrap_with_set_grad_enabled(x)", "n = math.floor(x)"],
)  # fmt: skip
def test_what_a_capture_adds_needs_no_provenance(evidence, text):
    captured = record(program(f"x\n{text}\nreturn x"))
    assert metadata.check(evidence(record(), captured, stage="nonstrict")) == []


def test_a_trace_whose_line_is_not_in_the_file_is_wrong(findings):
    assert summary(findings({"stack_trace": trace("MARKED = 2")})) == [
        (
            "add",
            "stack_trace wrong",
            "the lines of code that called this operation",
            f"{__file__}:{LINE} is 'MARKED = \"marked = 1\"', not 'MARKED = 2'",
        )
    ]


@pytest.mark.parametrize(
    "text", [trace("whatever", file="gone.py"), trace(line=10**6), trace() + "\n    ^^^^^^", trace() + "\n" + trace()]
)
def test_a_trace_that_cannot_be_wrong_is_right(findings, text):
    assert findings({"stack_trace": text}) == []


@pytest.mark.parametrize("text", ["", "no frame here", None, 3])
def test_a_trace_without_a_frame_is_wrong(findings, text):
    assert [(kind_of(each), each.actual) for each in findings({"stack_trace": text})] == [
        ("stack_trace wrong", "no frame")
    ]


@pytest.mark.parametrize(
    ("entry", "actual"),
    [
        (("key", "gone", "net.Layer"), "'gone', which is not a submodule"),
        (("key", "layer", "net.Other"), "net.Other at 'layer', where the module has net.Layer"),
    ],
)
def test_a_module_that_does_not_exist_is_wrong(findings, entry, actual):
    assert [each.actual for each in findings({"nn_module_stack": (STACK[0], entry)})] == [actual]


@pytest.mark.parametrize("path", ["layer@1", "layer@12", "layers.slice(0, 2, None)", "layers[0]"])
def test_a_second_call_and_a_computed_path_are_right(findings, path):
    assert findings({"nn_module_stack": (STACK[0], ("key", path, "net.Layer"))}) == []


def test_a_module_stack_that_is_no_mapping_is_wrong(findings):
    """Frozen, it is the text of what it was."""
    assert [kind_of(each) for each in findings({"nn_module_stack": "None"})] == ["nn_module_stack wrong"]


@pytest.mark.parametrize("value", [("add",), ("add", ""), ("add", 3), "add", None])
def test_a_function_that_is_not_two_strings_is_wrong(findings, value):
    assert [kind_of(each) for each in findings({"torch_fn": value})] == ["torch_fn wrong"]


def test_models_that_torch_ships_beside_its_exporter_have_no_traces(findings):
    assert findings({"stack_trace": ""}, modules={"": "torch._export.db.examples.Case"}) == []


def test_a_finding_in_a_subgraph_has_its_path(evidence):
    inner = {"c[1]": "a\ns = aten.sin.default(a)\nreturn s"}
    captured = record(program("x\nc = cond(x, graph)\nreturn c", subgraphs=inner))
    found = metadata.check(evidence(record(), captured, stage="nonstrict"))
    assert {each.place for each in found} == {"c[1].s"}


# --- operations outside a written forward ---------------------------------------------------

CHAIN = "x\nadd = aten.add.Tensor(x, 1)\nsin = aten.sin.default(add)\nreturn sin"
ROOT = (STACK[0],)


@pytest.fixture
def untraced(evidence):
    """Findings where ``add`` has no stack trace, in a module that has these reasons."""

    def make(reasons, stack=ROOT, both=False):
        bare = {**SOUND, "nn_module_stack": stack}
        del bare["stack_trace"]
        captured = record(program(CHAIN, meta={"add": bare, "sin": bare if both else SOUND}))
        eager = Record(observations=(), modules=MODULES, untraced=reasons)
        return metadata.check(evidence(eager, captured, stage="nonstrict", module=eager))

    return make


def kinds(found):
    return [(each.place, kind_of(each), each.actual, detail_of(each)) for each in found]


def test_an_operation_of_a_hook_on_the_root_has_no_line(untraced):
    expected = [("add", "stack_trace missing outside forward", "none", "a hook of the module calls it")]
    assert kinds(untraced({"": "hooks"})) == expected


def test_many_operations_outside_forward_are_one_finding(untraced):
    because = "the module's forward is a function of another name"
    assert kinds(untraced({"": "forward"}, both=True)) == [
        ("every operation", "stack_trace missing outside forward", "none, here and on 1 more", because)
    ]


def test_generated_code_has_no_lines(untraced):
    assert untraced({"": "generated"}, both=True) == []


def test_the_first_operations_of_a_class_of_the_inputs_have_no_line(untraced):
    because = "the class of an input calls it when it is constructed"
    assert kinds(untraced({"": "inputs"})) == [("add", "stack_trace missing outside forward", "none", because)]


@pytest.mark.parametrize(
    ("reasons", "stack"),
    [
        ({}, ROOT),
        ({"": "inputs"}, STACK),
        ({"layer": "hooks"}, STACK),  # the forward of the root is in progress
        ({"": "hooks"}, STACK),  # that of the layer is
        ({"": "hooks", "layer": "hooks"}, STACK),  # that of the root is
        ({"": "generated"}, STACK),
        ({"layer": "generated"}, ROOT),
    ],
)
def test_where_a_forward_is_in_progress_a_line_is_missing(untraced, reasons, stack):
    assert kinds(untraced(reasons, stack)) == [("add", "stack_trace missing", "none", "")]


def test_no_line_anywhere_in_a_plain_module_is_one_finding(untraced):
    assert kinds(untraced({}, both=True)) == [("every operation", "stack_trace missing", "none, on any operation", "")]


def test_classes_that_graph_modules_name_are_right(evidence):
    stack = (("L__self__", "", "net.Traced"), ("L__self___inner", "inner", "net.Inner"))
    captured = record(program(ADD, meta={"add": {**SOUND, "nn_module_stack": stack}}))
    claimed = {"": frozenset({"net.Traced"}), "inner": frozenset({"net.Inner"})}

    def found(claims):
        eager = Record(observations=(), modules={"": "GraphModule"}, claimed=claims)
        return metadata.check(evidence(eager, captured, stage="nonstrict", module=eager))

    assert found(claimed) == []
    assert [each.actual for each in found({})] == ["net.Traced at '', where the module has GraphModule"]
    other = {**claimed, "inner": frozenset({"net.Other"})}
    assert [each.actual for each in found(other)] == ["net.Inner at 'inner', where the module has net.Other"]
