"""Which operators determine the strides of an output."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_exportcheck.checks.layout_operators import operators_of_layout
from pytest_exportcheck.records import Plain
from tests.unit.records_of import program


def test_the_walk_ends_at_results_that_have_strides_of_their_own():
    given = program(
        """
        x
        conv = aten.conv2d.default(x, x)
        linear = aten.linear.default(conv, x)
        turned = aten.permute.default(linear, [1, 0])
        norm = aten.layer_norm.default(x)
        return turned, norm
        """
    )
    assert operators_of_layout(given, 0) == ("aten.linear.default", "aten.permute.default")
    assert operators_of_layout(given, 1) == ("aten.layer_norm.default",)


@pytest.mark.parametrize("number", [1, 7])
def test_of_an_output_that_the_program_does_not_have_nothing_is_known(number):
    assert operators_of_layout(program("x\nadd = aten.add.Tensor(x, 1)\nreturn add"), number) is None


FORMAT = Plain("memory_format", "torch.contiguous_format")
KEEPS = Plain("memory_format", "torch.preserve_format")
ATTENDED = "attended = aten.scaled_dot_product_attention.default(x, x, x)"


def behind_attention(node):
    """The operators of a layout behind attention."""
    found = program(f"x\n{ATTENDED}\ncopied = aten.{node}\nreturn copied")
    return "aten.scaled_dot_product_attention.default" in operators_of_layout(found, 0)


@pytest.mark.parametrize(
    ("node", "goes_on"),
    [
        ("contiguous.default(attended)", False),
        ("layer_norm.default(attended, [4])", False),
        ("clone.default(attended)", True),
        ("mul.Tensor(attended, 2)", True),
    ],
)
def test_what_settles_a_layout_hides_what_comes_before(node, goes_on):
    assert behind_attention(node) is goes_on


@pytest.mark.parametrize(("named", "goes_on"), [(FORMAT, False), (KEEPS, True)])
@pytest.mark.parametrize("target", ["aten.clone.default", "aten._to_copy.default"])
def test_a_copy_settles_a_layout_where_it_names_one(target, named, goes_on):
    given = program(f"x\n{ATTENDED}\ncopied = {target}(attended)\nreturn copied")
    nodes = given.graphs[""].nodes
    copied = replace(nodes[2], kwargs={"memory_format": named})
    given = replace(given, graphs={"": replace(given.graphs[""], nodes=(*nodes[:2], copied, nodes[3]))})
    assert ("aten.scaled_dot_product_attention.default" in operators_of_layout(given, 0)) is goes_on
