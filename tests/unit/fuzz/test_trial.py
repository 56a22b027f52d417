"""Fuzzing one program: what agrees, differs, refuses and accepts, and what is said of it. Eager and program are functions."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sympy
import torch
from torch.export import Dim

from pytest_exportcheck.checks import run_checks
from pytest_exportcheck.describe import declared_dims
from pytest_exportcheck.fuzz.captured import Captured
from pytest_exportcheck.fuzz.fuzzer import FuzzTarget, fuzz
from pytest_exportcheck.fuzz.setup import ground_of
from pytest_exportcheck.fuzz.size_facts import Facts, root_symbol
from pytest_exportcheck.harness.observation import observe
from pytest_exportcheck.options import Fuzzing
from pytest_exportcheck.policy import tolerated
from pytest_exportcheck.records import Case, Evidence, Inputs, Interval, Origin, Record
from pytest_exportcheck.reports.wording import calls_of, kind_of

N = Dim("n", min=2, max=9)
EIGHT = (torch.arange(8.0),)


class Module(torch.nn.Module):
    def forward(self, x, y=None):
        raise NotImplementedError


def compared(_, before, after):
    evidence = Evidence(
        case="",
        engine="",
        mode="",
        stage="fuzz",
        before=Record(observations=(before,)),
        after=Record(observations=(after,)),
        contract={"outputs": "bits"},
    )
    return run_checks(evidence)


def caller(function):
    return lambda call: observe(function, (call,), snapshot=None, seed=0, gradients=False)[0]


def fuzzed(eager, program, *, args=EIGHT, shapes=({0: N},), captured=None, examples=60, also=(), **options):
    case = Case(name="c", build=Module, origin=Origin("m", "f.py", 1), args=args, dynamic_shapes=shapes, **options)
    example = Inputs("", args, {})
    ground = ground_of(
        case,
        declared_dims(Module(), example, shapes),
        example,
        redraw=lambda seed: example,
        made=None,
        constants=(),
        seed=0,
    )
    subject = FuzzTarget(
        eager=caller(eager),
        run=caller(program),
        compare=compared,
        judge=lambda findings: tolerated(findings, "fuzz"),
        captured=captured,
    )
    return fuzz(ground, subject, key="a test", options=Fuzzing(examples=examples, also=frozenset(also)))


def guarded(function, *sizes):
    """Refuses all but these sizes."""

    def program(x, *rest):
        if x.shape[0] not in sizes:
            raise AssertionError("Guard failed")
        return function(x, *rest)

    return program


def double(x, *_):
    return x * 2


def told(result):
    return [(each.check, kind_of(each), each.verdict, calls_of(each)) for each in result.findings]


DECLARED = range(2, 10)


def test_a_program_that_keeps_every_promise():
    result = fuzzed(double, guarded(double, *DECLARED))
    assert (result.findings, result.notes) == ((), ())
    assert [(line.field, line.kept, line.dropped) for line in result.ledger] == [("sizes.undeclared_refused", 1, 0)]


def test_another_result_at_a_declared_size():
    result = fuzzed(double, guarded(lambda x: x * 2 + (len(x) > 4), *DECLARED))
    assert told(result) == [("outputs", "value", "broken", ("n=5",))]
    assert [site.sizes for site in result.findings[0].on] == [(("n", 5),)]
    assert (
        result.findings[0].detail.splitlines()[-1]
        == "to test these sizes in every run, write in the case: sizes=[{'n': 5}]"
    )


def test_a_declared_size_is_refused():
    result = fuzzed(double, guarded(double, *range(4, 10)))
    assert told(result) == [("sizes", "narrowed", "broken", ("n=2",))]
    (finding,) = result.findings
    assert (finding.place, finding.expected) == ("n", "accepted, as by eager: n 2..9")
    assert finding.actual.startswith("AssertionError: Guard failed\n")


def test_a_size_beyond_is_taken_and_computed_rightly():
    assert told(fuzzed(double, guarded(double, *range(1, 10)))) == [
        ("sizes", "widened", "tolerated", ("args[0].size(0)=1",))
    ]


def test_a_size_beyond_is_taken_and_computed_wrongly():
    result = fuzzed(double, guarded(lambda x: x * 2 + (len(x) > 9), *range(2, 12)))
    assert told(result) == [("sizes", "accepted and computed otherwise", "broken", ("args[0].size(0)=10",))]


def test_a_size_beyond_is_taken_where_eager_refuses():
    result = fuzzed(guarded(double, *range(2, 10)), guarded(double, *range(2, 12)))
    assert told(result) == [("sizes", "accepted where eager refuses", "broken", ("args[0].size(0)=10",))]
    assert result.findings[0].detail.startswith("eager raises AssertionError: Guard failed\n")


def test_each_kind_is_told_once_with_its_smallest_sizes():
    def program(x):
        if len(x) == 7:
            raise AssertionError("Guard failed")
        return x * 2 + (len(x) in (5, 11))

    result = fuzzed(double, program)
    assert [each[:2] for each in told(result) if each[2] == "broken"] == [
        ("outputs", "value"),
        ("sizes", "narrowed"),
        ("sizes", "accepted and computed otherwise"),
    ]


def test_dims_that_belong_together_apart():
    both = (torch.arange(8.0), torch.arange(16.0))
    shapes = ({0: N}, {0: 2 * N})
    sound = fuzzed(lambda x, y: x + y[::2], lambda x, y: x + y[::2], args=both, shapes=shapes)
    assert all(each[2] == "tolerated" for each in told(sound))
    result = fuzzed(lambda x, y: x + y[::2], lambda x, y: x + y[: 2 * len(x) : 2], args=both, shapes=shapes)
    broken = [each for each in told(result) if each[2] == "broken"]
    assert broken == [("sizes", "unguarded where eager refuses", "broken", ("args[0].size(0)=7",))]


def test_inputs_that_eager_refuses_are_counted_and_dropped():
    result = fuzzed(guarded(double, 4, 5, 8), guarded(double, *DECLARED))
    assert result.findings == () and result.notes == ("fuzz: eager itself refused 5 of 8 inputs (AssertionError)",)


def test_what_eager_itself_does_not_repeat_is_no_finding():
    calls = iter(range(10**6))

    def unsteady(x):
        return x + next(calls)

    assert [each for each in told(fuzzed(unsteady, unsteady)) if each[2] == "broken"] == []


def test_a_program_that_is_wrong_now_and_then_is_told():
    calls = iter(range(10**6))

    def program(x):
        return x * 2 + (next(calls) == 5)

    result = fuzzed(double, guarded(program, *DECLARED))
    assert (
        "fuzz: an example failed but passed when repeated: the model or the program is not deterministic"
        in result.notes
    )


def facts_of_hints(*conditions):
    names = ("args[0].size(0)", "args[1].size(0)")
    roots = dict.fromkeys(names, Interval(2, None))
    dims = {("args[0]", 0): root_symbol(names[0]), ("args[1]", 0): root_symbol(names[1])}
    return Captured(Facts(roots, dims, conditions))


HINTS = {"args": (torch.ones(8), torch.ones(9)), "shapes": ({0: Dim.AUTO}, {0: Dim.AUTO})}
FIRST, SECOND = (root_symbol(f"args[{number}].size(0)") for number in (0, 1))


def test_sizes_of_hints_meet_what_capture_made_of_them():
    seen = []

    def program(x, y):
        seen.append((len(x), len(y)))
        return x.sum() + y.sum()

    captured = facts_of_hints(sympy.Eq(sympy.Mod(FIRST, 4), 0), sympy.Eq(SECOND, FIRST + 1))
    result = fuzzed(lambda x, y: x.sum() + y.sum(), program, captured=captured, **HINTS)
    assert result == replace(result, findings=(), notes=())
    assert len(seen) > 20 and all(one % 4 == 0 and other == one + 1 for one, other in seen)


def test_hints_keep_the_sizes_of_the_example_where_nobody_says_what_became_of_them():
    seen = []

    def program(x, y):
        seen.append((len(x), len(y)))
        return x.sum() + y.sum()

    shapes = ({0: N}, {0: Dim.AUTO})
    args = (torch.ones(8), torch.ones(9))
    assert fuzzed(lambda x, y: x.sum() + y.sum(), program, args=args, shapes=shapes).notes == ()
    assert {other for _, other in seen} == {9} and {one for one, _ in seen} >= set(DECLARED)


def test_what_capture_made_of_a_promise_is_shown_with_what_it_refuses():
    captured = Captured(Facts({"args[0].size(0)": Interval(4, 9)}, {("args[0]", 0): root_symbol("args[0].size(0)")}))
    (finding,) = fuzzed(double, guarded(double, *range(4, 10)), captured=captured).findings
    assert finding.detail.splitlines() == [
        "the capture inferred: args[0].size(0) 4..9",
        "to test these sizes in every run, write in the case: sizes=[{'n': 2}]",
    ]


def test_too_few_sizes_that_meet_the_facts_are_told():
    captured = facts_of_hints(sympy.Eq(sympy.Mod(FIRST * SECOND, 71), 0), sympy.Eq(sympy.Mod(FIRST + SECOND, 53), 0))
    (note,) = fuzzed(lambda x, y: x.sum() + y.sum(), lambda x, y: x.sum() + y.sum(), captured=captured, **HINTS).notes
    assert note.startswith("fuzz: only ") and note.endswith("Pin more with sizes=.")
    assert "args[0].size(0)*args[1].size(0)" in note


def test_facts_of_hints_that_no_size_meets():
    captured = facts_of_hints(sympy.Lt(FIRST, 2))
    result = fuzzed(double, double, captured=captured, **HINTS)
    assert result.findings == ()
    assert result.notes == ("fuzz: no size is left: args[0].size(0) would have to be at least 2 and at most 1",)


def test_a_pinned_size_is_run_besides_the_examples():
    program = guarded(lambda x: x * 2 + (len(x) == 7), *DECLARED)
    assert told(fuzzed(double, program, examples=1)) == []
    assert told(fuzzed(double, program, examples=1, sizes=({"n": 7},))) == [("outputs", "value", "broken", ("n=7",))]


def test_a_pinned_size_that_capture_made_impossible_for_a_hint_is_told():
    captured = facts_of_hints(sympy.Eq(SECOND, FIRST + 1))
    pins = ({"args[0].size(0)": 5},)
    result = fuzzed(
        lambda x, y: x.sum() + y.sum(),
        lambda x, y: x.sum() + y.sum() if len(y) == len(x) + 1 else 1 / 0,
        captured=captured,
        sizes=pins,
        **HINTS,
    )
    assert result.findings == ()
    assert result.notes == (
        "fuzz: pinned sizes do not fit what the capture inferred from hints: {'args[0].size(0)': 5}",
    )


@pytest.mark.parametrize(
    ("also", "program", "kind"),
    [
        ("layout", lambda x: x.view(-1) * 2 if x.is_contiguous() else 1 / 0, "narrowed"),
        ("special", lambda x: x.nan_to_num() * 2, "value"),
        ("dtype", lambda x: x.float() * 2, "dtype"),
        ("rank", lambda x: x.flatten() * 2, "shape"),
    ],
)
def test_more_is_drawn_on_request(also, program, kind):
    assert fuzzed(double, guarded(program, *DECLARED)).findings == ()
    found = told(fuzzed(double, lambda x: program(x), also=(also,)))
    assert [each[1] for each in found if each[2] == "broken"] == [kind]


def test_what_nobody_declared_may_be_refused():
    def program(x):
        assert x.dtype == torch.float32 and x.dim() == 1
        return guarded(double, *DECLARED)(x)

    assert fuzzed(double, program, also=("dtype", "rank")).findings == ()
