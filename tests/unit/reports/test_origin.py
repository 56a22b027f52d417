"""The text of an origin."""

from __future__ import annotations

import pytest

from pytest_exportcheck.records import DifferenceOrigin, OriginNode, OriginRow
from pytest_exportcheck.reports.origin import origin_lines

MUL = OriginNode(
    name="mul",
    operator="aten.mul.Tensor",
    call="aten.mul.Tensor(%relu, 3)",
    module="layers.0 (Block)",
    line="net.py:12 in forward: return x * 2",
)
BEFORE = OriginNode(name="mul", operator="aten.mul.Tensor", call="aten.mul.Tensor(%relu, 2)")
ADD = OriginNode(
    name="add_with_a_very_long_name", operator="aten.add.Tensor", line="a_rather_long_name.py:13 in forward: y"
)


def text(**options):
    return [line.text for line in origin_lines(DifferenceOrigin(**options))]


def test_the_node_is_shown_before_and_after_with_its_line_and_those_that_follow():
    rows = (
        OriginRow(node=MUL, difference="0.25", inputs_agree=True),
        OriginRow(node=ADD, difference="", inputs_agree=False),
    )
    assert text(kind="changed", after=MUL, before=BEFORE, rows=rows) == [
        "    starts at: %mul computes another value from the same inputs",
        "      before: aten.mul.Tensor(%relu, 2)",
        "      after:  aten.mul.Tensor(%relu, 3)",
        "      line:   net.py:12 in forward: return x * 2",
        "      module: layers.0 (Block)",
        "      node             operator    line               difference  inputs",
        "      mul              mul.Tensor  net.py:12          0.25        agree",
        "      add_with_a_ve..  add.Tensor  a_rather_long_n..  new value   differ",
    ]


@pytest.mark.parametrize(
    ("options", "first"),
    [
        ({"kind": "inserted", "after": MUL}, "%mul: before, no such operation computed these values"),
        ({"kind": "state", "after": MUL}, "%mul holds another value"),
        (
            {"kind": "changed", "after": MUL, "nonfinite": True},
            "%mul computes another value from the same inputs, the first NaN or infinity",
        ),
        (
            {"kind": "unknown", "reason": "RuntimeError: no kernel"},
            "this is not known: the programs could not be run side by side (RuntimeError: no kernel)",
        ),
        (
            {"kind": "outside"},
            "outside the graph: every operation computes the same values",
        ),
    ],
)
def test_every_kind_has_its_sentence(options, first):
    assert text(**options)[0] == f"    starts at: {first}"


def test_no_line_of_the_table_is_wider_than_a_terminal():
    wide = OriginNode(name="n" * 60, operator="o" * 60, line="/p/" + "f" * 60 + ".py:1 in forward: x")
    rows = tuple(OriginRow(node=wide, difference="d" * 40, inputs_agree=False) for _ in range(2))
    assert max(map(len, text(kind="changed", rows=rows)[1:])) <= 80
