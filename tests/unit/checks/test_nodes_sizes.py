"""Sizes after a retrace: computed otherwise, more often or not at all they are no finding; other sizes and other assertions are."""

from __future__ import annotations

import pytest

from pytest_exportcheck.checks import nodes
from tests.unit.records_of import constraints, program, record, size, summary, tensor

SHAPES = constraints(shapes={"args[0]": (size("s"), 6)}, ranges={"s": (0, 32)})
X = tensor(size("s"), 6, stride=(6, 1))


@pytest.fixture
def findings(evidence):
    def make(before, after):
        return summary(nodes.check(evidence(record(before), record(after), stage="retrace")))

    return make


def sized(lines, last="aten.arange.default(n)", **vals):
    return program(f"x\n{lines}\na = {last}\nreturn a", vals={"x": X, **vals}, constraints=SHAPES)


NUMEL = sized("n = aten.sym_numel.default(x)", n=size("6*s"))
PRODUCT = sized("r = aten.sym_size.int(x, 0)\nn = _operator.mul(r, 6)", r=size("s"), n=size("6*s"))


def test_a_size_that_is_computed_otherwise_is_no_finding(findings):
    assert findings(NUMEL, PRODUCT) == []
    assert findings(PRODUCT, NUMEL) == []


def test_a_size_that_nobody_uses_is_no_finding(findings):
    more = sized(
        "r = aten.sym_size.int(x, 0)\nspare = _operator.add(r, r)\nn = _operator.mul(r, 6)",
        r=size("s"), spare=size("2*s"), n=size("6*s"),
    )  # fmt: skip
    assert findings(PRODUCT, more) == []
    assert findings(more, PRODUCT) == []


@pytest.mark.parametrize("wrong", ["_operator.mul(r, 5)", "_operator.add(r, 6)", "aten.sym_size.int(x, 1)"])
def test_another_size_is_a_finding_whatever_its_val_says(findings, wrong):
    after = sized(f"r = aten.sym_size.int(x, 0)\nn = {wrong}", r=size("s"), n=size("6*s"))
    assert findings(NUMEL, after) == [("a", "args", "argument 1: %n", "argument 1: %n")]


def test_a_number_where_a_size_was_is_a_finding(findings):
    assert findings(NUMEL, sized("", last="aten.arange.default(18)")) == [
        ("a", "args", "argument 1: %n", "argument 1: 18")
    ]


@pytest.mark.parametrize("open_size", ["-1", str(2**63 - 1)])
def test_a_size_that_is_left_open_is_none(findings, open_size):
    before = sized("n = aten.sym_numel.default(x)", last="aten.reshape.default(x, [n])", n=size("6*s"))
    assert findings(before, sized("", last=f"aten.reshape.default(x, [{open_size}])")) == []


def test_a_symbol_that_became_that_of_another_input_is_the_same_size(findings):
    def two(second):
        shapes = {"args[0]": (size("s"),), "args[1]": (size(second),)}
        return program(
            "x\ny\nn = aten.sym_size.int(y, 0)\na = aten.arange.default(n)\nreturn a",
            vals={"x": tensor(size("s")), "y": tensor(size(second)), "n": size(second)},
            constraints=constraints(shapes=shapes, ranges={"s": (2, 9), "t": (2, 9)}),
        )

    assert findings(two("t"), two("s")) == []
    assert findings(two("s"), two("t")) == []


# --- numbers that are read from tensors -----------------------------------------------------

BOUND = {"unbacked_bindings": ("x",)}
READ = "i = aten.item.default(p)\nj = aten.item.default(q)"
SWAPPED = "j = aten.item.default(q)\ni = aten.item.default(p)"
FIRST_TWICE = "i = aten.item.default(p)\nj = aten.item.default(p)"


def read(lines=READ, last="aten.split_with_sizes.default(x, [i, j])", more=""):
    """The names of unbacked symbols are by order, here as everywhere."""
    names = ("u", "v") if lines.startswith("i") else ("v", "u")
    return program(
        f"x\nt\np = _operator.getitem(t, 0)\nq = _operator.getitem(t, 1)\n{lines}\n{more}\na = {last}\nreturn a",
        vals={"i": size(names[0]), "j": size(names[1])},
        meta={"i": BOUND, "j": BOUND},
        constraints=constraints(ranges={"u": (0, 5), "v": (0, 5)}),
    )


def test_numbers_that_are_read_in_another_order_are_no_finding(findings):
    assert findings(read(), read(SWAPPED)) == []


def test_numbers_that_trade_places_are_a_finding(findings):
    after = read(last="aten.split_with_sizes.default(x, [j, i])")
    assert findings(read(), after) == [("a", "args", "argument 2: [%i, %j]", "argument 2: [%j, %i]")]


def test_a_number_of_another_tensor_is_a_finding(findings):
    assert [kind for _, kind, *_ in findings(read(), read(FIRST_TWICE))] == ["dropped", "added"]


def test_a_number_that_is_not_read_any_more_is_a_finding(findings):
    after = read("i = aten.item.default(p)", last="aten.split_with_sizes.default(x, [i, i])")
    assert ("j", "dropped", "aten.item.default(%q)", "no such node") in findings(read(), after)


# --- assertions -----------------------------------------------------------------------------


def asserting(*conditions, ranges=(0, 5), names=("c", "d", "e")):
    """A program that reads ``i`` and asserts each condition of it."""
    lines = [
        f"{name} = _operator.{condition}\nassert_{name} = aten._assert_scalar.default({name}, 'no')"
        if "(" in condition
        else f"assert_{name} = aten.sym_constrain_range.default(i, min={condition.split()[0]}, max={condition.split()[1]})"
        for name, condition in zip(names, conditions, strict=False)
    ]
    return program(
        "\n".join(["t", "i = aten.item.default(t)", *lines, "a = aten.arange.default(i)", "return a"]),
        vals={"i": size("u"), **dict.fromkeys(names, True)},
        meta={"i": BOUND},
        constraints=constraints(ranges={"u": ranges}),
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["ge(i, 0)", "le(i, 5)"], ["le(i, 5)", "ge(i, 0)"]),
        (["ge(i, 0)", "ge(i, 0)"], ["ge(i, 0)"]),
        (["ge(i, 0)"], ["le(0, i)"]),
        (["ge(i, 0)", "ge(i, 2)"], ["ge(i, 2)"]),
        (["gt(i, 1)"], ["ge(i, 2)"]),
        (["0 5"], ["ge(i, 0)", "le(i, 5)"]),
        (["le(i, 5)"], ["le(i, 5)", "ge(i, 0)"]),  # as the range says
    ],
)
def test_assertions_that_say_the_same_are_no_finding(findings, before, after):
    assert findings(asserting(*before), asserting(*after)) == []


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (["ge(i, 0)", "le(i, 5)"], ["ge(i, 0)"], [("assert_d", "dropped")]),
        (["ge(i, 0)"], ["ge(i, -1)"], [("assert_c", "dropped")]),
        (["eq(i, 3)"], ["ge(i, 3)"], [("assert_c", "dropped")]),
        (["ge(i, 0)"], ["ge(i, 2)"], [("assert_c", "added")]),
        (["0 5"], ["0 4"], [("assert_c", "added")]),
        (["0 5"], ["0 6"], [("assert_c", "dropped")]),
        ([], ["ne(i, 3)"], [("assert_c", "added")]),
    ],
)
def test_an_assertion_that_excludes_less_or_more_is_a_finding(findings, before, after, found):
    assert [(place, kind) for place, kind, *_ in findings(asserting(*before), asserting(*after))] == found
