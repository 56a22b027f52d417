"""Which operators determine the strides of an output."""

from __future__ import annotations

import pytest
from records_of import program

from pytest_exportcheck.checks.layouts import operators_of_layout


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
