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
        ({"kind": "call", "after": MUL}, "%mul: a package of the program up to there raises too"),
        ({"kind": "input", "after": MUL}, "%mul: the package reads another value from this input"),
        ({"kind": "contiguous", "after": MUL}, "%mul: the package reads this input as if it were contiguous"),
        (
            {"kind": "between", "before": BEFORE, "after": ADD},
            "one of the operations from %mul to %add_with_a_very_long_name: the time for the search was over",
        ),
        (
            {"kind": "uncompiled_between", "before": BEFORE, "after": MUL, "reason": "Unsupported: no kernel"},
            "one of the operations from %mul to %mul: the program cannot be compiled up to one of them "
            "(Unsupported: no kernel)",
        ),
        (
            {"kind": "uncompiled", "reason": "Unsupported: no kernel"},
            "this is not known: no part of the program could be compiled (Unsupported: no kernel)",
        ),
        (
            {"kind": "whole", "after": MUL},
            "the whole program: up to %mul every operation computes the same values, if they are outputs of the package",
        ),
        (
            {"kind": "stale"},
            "the state: every operation computes the same values in a package that begins with the state of this call",
        ),
        (
            {"kind": "changed", "after": MUL, "remarks": ("fused", "together"), "nonfinite": True},
            "%mul computes another value from the same inputs, the first NaN or infinity; a package that returns every "
            "value does not show it, so it depends on what is fused; a package of this operation by itself does not show it, "
            "so it depends on the operations around it",
        ),
        (
            {"kind": "changed", "after": MUL, "remarks": ("alone",)},
            "%mul computes another value from the same inputs; a package of this operation by itself shows it too",
        ),
        (
            {"kind": "changed", "after": MUL, "remarks": ("unchecked",)},
            "%mul computes another value from the same inputs; a package of this operation by itself was not made",
        ),
    ],
)
def test_every_kind_has_its_sentence(options, first):
    assert text(**options)[0] == f"    starts at: {first}"


def test_a_package_has_one_call_of_its_node_and_a_range_has_two():
    ends = {"before": BEFORE, "after": MUL}
    assert text(kind="between", **ends)[1:3] == [
        "      from:   aten.mul.Tensor(%relu, 2)",
        "      to:     aten.mul.Tensor(%relu, 3)",
    ]
    assert text(kind="changed", after=MUL, remarks=("alone",))[1] == "      node:   aten.mul.Tensor(%relu, 3)"


def test_no_line_of_the_table_is_wider_than_a_terminal():
    wide = OriginNode(name="n" * 60, operator="o" * 60, line="/p/" + "f" * 60 + ".py:1 in forward: x")
    rows = tuple(OriginRow(node=wide, difference="d" * 40, inputs_agree=False) for _ in range(2))
    assert max(map(len, text(kind="changed", rows=rows)[1:])) <= 80
