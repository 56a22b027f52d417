"""What a finding about dynamic dims, ranges and guards says."""

from __future__ import annotations

import pytest
import sympy

from pytest_exportcheck.checks import constraints as check_of
from pytest_exportcheck.checks.constraints import interval_of
from pytest_exportcheck.records import DeclaredDim, Interval
from pytest_exportcheck.reports.wording import kind_of
from tests.unit.records_of import constraints, program, record, size, summary, tensor

ADD = "x\nadd = aten.add.Tensor(x, 1)\nreturn add"
S = size("s")
DYNAMIC = constraints({"args[0]": (S, 3)}, {"s": (2, 10)})


def dim(text="b", *, dynamic=True, interval=None, number=0, place="args[0]"):
    bounds = None if interval is None else Interval(*interval)
    return DeclaredDim(place=place, dim=number, text=text, dynamic=dynamic, interval=bounds)


@pytest.fixture
def findings(evidence):
    def make(before, after, *, stage="serdes", **options):
        pair = [record(program(ADD, constraints=each)) for each in (before, after)]
        return summary(check_of.check(evidence(*pair, stage=stage, **options)))

    return make


@pytest.fixture
def declared(findings):
    def make(*dims, found=DYNAMIC):
        return findings(found, found, stage="strict", declared=dims)

    return make


@pytest.mark.parametrize(
    "given",
    [dim(), dim(interval=(2, 10)), dim("Dim.AUTO", dynamic=False), dim("Dim.DYNAMIC"), dim("3", dynamic=False, number=1),
     dim("Dim.AUTO", dynamic=False, number=1), dim(place="args[7]"), dim(number=5)],
)  # fmt: skip
def test_a_declaration_that_holds_is_no_finding(declared, given):
    assert declared(given) == []


A, B = sympy.symbols("a b", integer=True)


def assumed(*conditions, interval=(2, 20), derive=None):
    bounds = Interval(*interval)
    return DeclaredDim(
        place="args[0]",
        dim=0,
        text="a",
        dynamic=True,
        interval=bounds,
        root="a",
        root_interval=bounds,
        derive=derive,
        expression=A,
        conditions=conditions,
    )


@pytest.mark.parametrize("conditions", [[A <= 10], [A * 2 < 21], [A <= B]])
def test_a_range_may_be_narrowed_by_assumptions(declared, conditions):
    assert declared(assumed(*conditions)) == []


@pytest.mark.parametrize("conditions", [[], [A >= 2], [sympy.Eq(sympy.Mod(A, 4), 0)], [A <= 11]])
def test_a_range_that_assumptions_do_not_narrow_is_a_finding(declared, conditions):
    assert declared(assumed(*conditions)) == [("args[0].size(0)", "narrowed", "2..20", "2..10")]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (dim(number=1), ("args[0].size(1)", "made static", "dynamic (b)", "always 3")),
        (dim("Dim.DYNAMIC", number=1), ("args[0].size(1)", "made static", "dynamic (Dim.DYNAMIC)", "always 3")),
        (dim("3", dynamic=False), ("args[0].size(0)", "made dynamic", "static (3)", "s")),
        (dim("Dim.STATIC", dynamic=False), ("args[0].size(0)", "made dynamic", "static (Dim.STATIC)", "s")),
        (dim(interval=(2, 20)), ("args[0].size(0)", "narrowed", "2..20", "2..10")),
        (dim(interval=(3, 10)), ("args[0].size(0)", "widened", "3..10", "2..10")),
        (dim(interval=(2, None)), ("args[0].size(0)", "narrowed", "2..oo", "2..10")),
    ],
)
def test_a_declaration_that_does_not_hold_is_a_finding(declared, given, expected):
    assert declared(given) == [expected]


def test_a_range_that_moved_is_narrowed_and_widened(declared):
    assert [each[1] for each in declared(dim(interval=(5, 20)))] == ["narrowed", "widened"]


def test_a_derived_dim_has_the_range_of_its_root(declared):
    found = constraints({"args[0]": (S,), "args[1]": (size("2*s + 1"),)}, {"s": (2, 10)})
    assert declared(dim("2*b + 1", place="args[1]", interval=(5, 21)), found=found) == []
    assert [each[1] for each in declared(dim("2*b + 1", place="args[1]", interval=(5, 23)), found=found)] == [
        "narrowed"
    ]


@pytest.mark.parametrize(
    ("text", "interval"),
    [("s", (2, 10)), ("2*s", (4, 20)), ("20 - s", (10, 18)), ("s + t", None), ("u", (0, None)), ("3*u + 1", (1, None)),
     ("v", None), ("5 - u", (None, 5))],
)  # fmt: skip
def test_the_range_of_an_expression_follows_from_its_symbol(text, interval):
    ranges = {"s": Interval(2, 10), "t": Interval(0, 1), "u": Interval(0, None)}
    assert interval_of(size(text), ranges) == (None if interval is None else Interval(*interval))


def test_the_program_may_say_the_range_of_an_expression_itself():
    assert interval_of(size("2*s"), {"2*s": Interval(4, 8), "s": Interval(0, 99)}) == Interval(4, 8)


@pytest.mark.parametrize("stage", ["decompose", "serdes", "retrace"])
def test_constraints_are_equal_to_themselves(findings, stage):
    given = constraints({"args[0]": (S, 3)}, {"s": (2, 10)}, ("L['x'].size()[0] > 2",), {"x = 1": True})
    assert findings(given, given, stage=stage) == []


@pytest.mark.parametrize("stage", ["serdes", "retrace"])
@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [((S, 3), (4, 3), ("made static", "dynamic (s)", "always 4")), ((4, 3), (S, 3), ("made dynamic", "always 4", "dynamic (s)"))],
)  # fmt: skip
def test_a_dim_that_became_another_kind_is_named(findings, stage, before, after, expected):
    pair = [constraints({"args[0]": shape}, {"s": (2, 10)}) for shape in (before, after)]
    assert findings(*pair, stage=stage) == [("args[0].size(0)", *expected)]


def test_dims_that_are_no_longer_equal_are_found(findings):
    shapes = [{"args[0]": (S,), "args[1]": (other,)} for other in (S, size("t"))]
    found = findings(*(constraints(each, {"s": (2, 10)}) for each in shapes))
    assert found == [("args[1].size(0)", "relation", "s", "t")]


def test_an_equal_relation_of_another_spelling_is_no_finding(findings):
    shapes = [{"args[0]": (size(text),)} for text in ("2*(s + 1)", "2*s + 2")]
    assert findings(*(constraints(each) for each in shapes)) == []


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [((2, 10), (2, 8), "narrowed"), ((2, 10), (2, 12), "widened"), ((2, 10), (3, 11), "moved"), ((2, None), (2, 9), "narrowed")],
)  # fmt: skip
def test_a_range_that_changed_says_how(findings, before, after, kind):
    pair = [constraints({}, {"s": bounds}) for bounds in (before, after)]
    assert findings(*pair) == [("s", f"range {kind}", str(Interval(*before)), str(Interval(*after)))]


@pytest.mark.parametrize(("unused", "kind"), [((), "range dropped"), (("s",), "range of an unused symbol dropped")])
def test_a_range_that_is_gone_says_whether_a_node_has_the_symbol(findings, unused, kind):
    assert findings(constraints({}, {"s": (2, 10)}, unused=unused), constraints()) == [
        ("s", kind, "2..10", "no such range"),
    ]


def test_a_range_that_is_new_is_added(findings):
    assert findings(constraints(), constraints({}, {"s": (0, None)})) == [
        ("s", "range added", "no such range", "0..oo")
    ]


def test_guards_are_compared_as_text(findings):
    one, other = "L['x'].size()[0] > 2", "L['x'].size()[0] > 3"
    assert findings(constraints(guards=(one,)), constraints(guards=(other,))) == [
        (one, "guard dropped", one, "no such guard"),
        (other, "guard added", "no such guard", other),
    ]


def test_order_repetition_and_blanks_of_guards_mean_nothing(findings):
    assert findings(constraints(guards=("a > 1", "b > 2")), constraints(guards=("b >  2", "a > 1", "a > 1"))) == []


def test_a_retrace_may_word_guards_anew(findings):
    pair = [constraints(guards=(guard,), accepts={"x = 1": False}) for guard in ("x >= 2", "x > 1")]
    assert findings(*pair, stage="retrace") == []


@pytest.mark.parametrize(("before", "after"), [(True, False), (False, True)])
def test_a_retrace_accepts_what_was_accepted(findings, before, after):
    say = {True: "accepted by the guards", False: "refused by the guards"}
    pair = [constraints(accepts={"args[0].size(0) = 1": each}) for each in (before, after)]
    assert findings(*pair, stage="retrace") == [("args[0].size(0) = 1", "guard", say[before], say[after])]


def test_a_retrace_keeps_ranges_of_dims(findings):
    pair = [constraints({"args[0]": (S,)}, {"s": (2, upper)}) for upper in (10, 8)]
    assert findings(*pair, stage="retrace") == [("args[0].size(0)", "range narrowed", "2..10", "2..8")]


def test_an_interval_holds_what_lies_in_it():
    assert Interval(None, None).holds(Interval(2, None))
    assert Interval(2, 5).holds(Interval(2, 5))
    assert not Interval(2, 5).holds(Interval(2, None))
    assert not Interval(2, 5).holds(Interval(None, 3))


# --- dims that lowering made one ------------------------------------------------------------

APART = constraints(
    shapes={"a": (size("s"),), "b": (size("t"),), "c": (size("t"), size("u"))},
    ranges={"s": (2, 9), "t": (3, 12), "u": (2, 9)},
    accepts={"a.size(0) = 7": True, "a.size(0) and b.size(0) and c.size(0) = 7": True, "c.size(1) = 7": True},
)


def lowered(findings, **changes):
    as_one = {
        "shapes": {"a": (size("s"),), "b": (size("s"),), "c": (size("s"), size("u"))},
        "ranges": {"s": (3, 9), "u": (2, 9)},
        "accepts": {"a.size(0) = 7": False, "a.size(0) and b.size(0) and c.size(0) = 7": True, "c.size(1) = 7": True},
    }
    return findings(APART, constraints(**{**as_one, **changes}), stage="decompose")


RELATION = ("b.size(0)", "relation", "t", "s")


def test_two_dims_that_became_one_are_one_finding(findings):
    assert lowered(findings) == [RELATION]


@pytest.mark.parametrize(
    ("changes", "further"),
    [
        ({"ranges": {"s": (3, 9)}}, ("u", "range dropped", "2..9", "no such range")),
        ({"ranges": {"s": (3, 8), "u": (2, 9)}}, ("s", "range moved", "2..9", "3..8")),
        (
            {"accepts": {"c.size(1) = 7": False}},
            ("c.size(1) = 7", "guard", "accepted by the guards", "refused by the guards"),
        ),
        (
            {"accepts": {"a.size(0) and b.size(0) and c.size(0) = 7": False}},
            (
                "a.size(0) and b.size(0) and c.size(0) = 7",
                "guard",
                "accepted by the guards",
                "refused by the guards",
            ),
        ),
    ],
)
def test_what_does_not_follow_from_that_is_a_finding(findings, changes, further):
    found = lowered(findings, **changes)
    assert found[0] == RELATION
    assert [each[0] for each in found[1:]] == [further[0]]
    assert found[1][1] in (further[1], "range narrowed")


def test_the_lengths_of_keys_and_values_are_told_apart(evidence):
    text = "q\nk\nv\na = aten.scaled_dot_product_attention.default(q, k, v)\nreturn a"
    vals = {"k": tensor(size("s"), 4, stride=(4, 1)), "v": tensor(size("t"), 4, stride=(4, 1))}
    before = program(text, vals=vals, constraints=constraints(shapes={"k": (size("s"),), "v": (size("t"),)}))
    after = program(text, vals=vals, constraints=constraints(shapes={"k": (size("s"),), "v": (size("s"),)}))
    found = check_of.check(evidence(record(before), record(after), stage="decompose"))
    assert [(each.place, kind_of(each)) for each in found] == [("v.size(0)", "relation of keys and values")]
