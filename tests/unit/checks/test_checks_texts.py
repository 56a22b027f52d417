"""How values, nodes and lines of user code are shown."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pytest_exportcheck.checks.compare.rendering import argument_text, node_text, side_by_side, user_line, value_text
from pytest_exportcheck.records import NodeRecord, NodeRef
from tests.unit.records_of import graph, size, tensor

TORCH = Path(torch.__file__).parent / "nn" / "modules" / "linear.py"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (tensor(2, 3), "float32[2, 3] stride [3, 1]"),
        (tensor(2, device="cuda:0"), "float32[2] stride [1] on cuda:0"),
        (tensor(2, stride=None), "float32[2] stride [1]"),
        (tensor(size("s"), stride=(1,)), "float32[s] stride [1]"),
        (size("2*s"), "2*s"),
        ((1,), "(1,)"),
        ((1, tensor(2)), "(1, float32[2] stride [1])"),
        ({"a": (1, 2)}, "{'a': (1, 2)}"),
        (None, "None"),
        ((), "()"),
    ],
)
def test_a_value_is_one_line(value, text):
    assert value_text(value) == text


def test_a_node_is_shown_as_a_call():
    nodes = graph("x\nadd = aten.add.Tensor(x, [1, x], alpha=2)\nreturn add").nodes
    assert [node_text(node) for node in nodes] == [
        "placeholder x",
        "aten.add.Tensor(%x, [1, %x], alpha=2)",
        "output([%add])",
    ]


def test_an_argument_of_nested_lists_is_shown():
    assert argument_text((NodeRef("x"), (1, None))) == "[%x, [1, None]]"


def test_short_values_are_shown_whole():
    assert side_by_side("one", "other") == ("one", "other")


def test_of_long_values_only_what_differs_is_shown():
    left, right = "a" * 200 + "X" + "b" * 200, "a" * 200 + "Y" + "b" * 200
    around = ("..." + "a" * 24, "b" * 24 + "...")
    assert side_by_side(left, right) == ("X".join(around), "Y".join(around))


def test_a_long_value_that_goes_on_is_shown_to_its_end():
    left, right = "a" * 200, "a" * 200 + "tail"
    assert side_by_side(left, right) == ("..." + "a" * 24, "..." + "a" * 24 + "tail")


def test_of_several_lines_only_those_that_differ_are_shown():
    assert side_by_side("one\ntwo\nthree", "one\n2\nthree") == ("...\ntwo\n...", "...\n2\n...")


def test_a_line_that_is_gone_is_nothing():
    assert side_by_side("one\ntwo\nthree", "one\nthree") == ("...\ntwo\n...", "...\n(nothing)\n...")


def test_a_line_that_is_there_twice_is_shown_once():
    assert side_by_side("one\none", "one") == ("...\none", "...\n(nothing)")


def traced(*frames):
    lines = [f'  File "{file}", line {line}, in {function}\n    {code}' for file, line, function, code in frames]
    return NodeRecord(
        name="n", op="call_function", target="f", args=(), kwargs={}, meta={"stack_trace": "\n".join(lines)}
    )


def test_the_innermost_frame_is_the_users_line():
    node = traced(("net.py", 9, "forward", "return self.block(x)"), ("block.py", 4, "forward", "return x + 1"))
    assert user_line(node) == "block.py:4 in forward: return x + 1"


@pytest.mark.parametrize("file", [str(TORCH), "torch/nn/modules/linear.py", "<eval_with_key>.3"])
def test_frames_of_torch_are_not_the_users(file):
    node = traced(("net.py", 9, "forward", "return self.layer(x)"), (file, 134, "forward", "return F.linear(x)"))
    assert user_line(node) == "net.py:9 in forward: return self.layer(x)"


@pytest.mark.parametrize("package", ["torchvision", "torch_geometric"])
def test_packages_beside_torch_are_the_users(package):
    file = str(Path(torch.__file__).parent.parent / package / "ops.py")
    assert user_line(traced((file, 3, "forward", "x + 1"))) == f"{file}:3 in forward: x + 1"


def test_a_function_whose_name_has_blanks_is_shown():
    node = traced(("net.py", 2, "<lambda>", "lambda x: x"), ("net.py", 3, "forward.<locals>.inner", "x + 1"))
    assert user_line(node) == "net.py:3 in forward.<locals>.inner: x + 1"


def test_marks_under_a_line_are_not_its_code():
    node = traced(("net.py", 3, "forward", "return x + 1\n           ^^^^^"))
    assert user_line(node) == "net.py:3 in forward: return x + 1"


def test_a_frame_without_code_is_shown_by_its_place():
    trace = '  File "a.py", line 1, in forward\n  File "b.py", line 2, in inner'
    node = NodeRecord(name="n", op="call_function", target="f", args=(), kwargs={}, meta={"stack_trace": trace})
    assert user_line(node) == "b.py:2 in inner"


def test_a_frame_without_code_does_not_borrow_the_next_frame():
    trace = '  File "a.py", line 1, in forward\n  File "torch/nn.py", line 2, in inner\n    return 1'
    node = NodeRecord(name="n", op="call_function", target="f", args=(), kwargs={}, meta={"stack_trace": trace})
    assert user_line(node) == "a.py:1 in forward"


@pytest.mark.parametrize("trace", [None, "", 3, "no frame at all"])
def test_without_a_frame_there_is_no_line(trace):
    node = NodeRecord(name="n", op="call_function", target="f", args=(), kwargs={}, meta={"stack_trace": trace})
    assert user_line(node) == ""
