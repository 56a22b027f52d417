"""One program under fuzzing: declared sizes must give what eager gives, others must be refused."""

from __future__ import annotations

from dataclasses import replace

import hypothesis
import pytest
import torch
from hypothesis.database import InMemoryExampleDatabase
from torch.export import Dim

from pytest_exportcheck.describe import declared_dims
from pytest_exportcheck.fuzz.facts import declared_facts
from pytest_exportcheck.fuzz.ground import Ground
from pytest_exportcheck.fuzz.trial import Subject, fuzz
from pytest_exportcheck.options import Fuzzing
from pytest_exportcheck.records import Finding, Inputs, Observation, Raised

BATCH, LENGTH = Dim("batch", min=2, max=60), Dim("length", min=1, max=30)
REFUSED = Raised("ValueError", "not like this")


@pytest.fixture(autouse=True)
def profile():
    before = hypothesis.settings.get_current_profile_name()

    def load(**options):
        hypothesis.settings.register_profile(
            "test_fuzz_trial", **{"database": None, "deadline": None, "derandomize": True, **options}
        )
        hypothesis.settings.load_profile("test_fuzz_trial")

    load()
    yield load
    hypothesis.settings.load_profile(before)


class Net(torch.nn.Module):
    def forward(self, x, y=None): ...


class Calls:
    """A function of the shapes of the inputs, as an observation, and what it was called with."""

    def __init__(self, function):
        self.function, self.calls = function, []

    def __call__(self, call):
        self.calls.append(call)
        value = self.function(*(tuple(each.shape) for each in call.args))
        if isinstance(value, Raised):
            return Observation(label=call.label, raised=value)
        return Observation(label=call.label, structure=value)

    @property
    def sizes(self):
        """The first dim of the first input in every call."""
        return [call.args[0].shape[0] for call in self.calls]

    @property
    def labels(self):
        return [call.label for call in self.calls]


def compare(expected, got):
    if expected.structure == got.structure:
        return []
    return [
        Finding(
            check="outputs",
            place="output",
            kind="value",
            expected=str(expected.structure),
            actual=str(got.structure),
            on=(got.label,),
        )
    ]


def ground_of(*specs, args=None, **options):
    args = tuple(torch.ones(4, 6) for _ in specs) if args is None else args
    example = Inputs("the example inputs", args, {})
    facts = declared_facts(declared_dims(Net(), example, specs))
    return Ground(facts, example, lambda seed: example, **options)


def volume(*shapes):
    return sum(torch.Size(shape).numel() for shape in shapes)


def within(lower, upper, run=volume):
    """A program that refuses other first dims than these, and computes the same."""
    return lambda *shapes: run(*shapes) if lower <= shapes[0][0] <= upper else REFUSED


def static(program, *dims):
    """A program that also refuses when one of these (input, dim) is not as in the example."""
    return lambda *shapes: program(*shapes) if all(shapes[each][dim] == 6 for each, dim in dims) else REFUSED


def fuzzed(ground, program, eager=volume, *, judge=list, examples=30, also=(), exported=None, compare=compare):
    run, oracle = Calls(program), Calls(eager)
    subject = Subject(oracle, run, compare, judge, exported)
    return fuzz(ground, subject, key="net", options=Fuzzing(examples=examples, also=frozenset(also))), run, oracle


ONE = ({0: BATCH},)
PLAIN = static(within(2, 60), (0, 1))


def test_a_program_that_does_as_eager_does_has_no_findings():
    result, run, _ = fuzzed(ground_of(*ONE), PLAIN)
    assert (result.findings, result.notes) == ((), ())
    assert {2, 4, 60} <= set(run.sizes)


def test_so_many_examples_are_run_of_declared_sizes_and_as_many_at_most_of_others():
    _, run, oracle = fuzzed(ground_of(*ONE), PLAIN, examples=20)
    assert len([size for size in run.sizes if 2 <= size <= 60 and size]) <= 40
    assert len(oracle.calls) == 20
    assert all(2 <= size <= 60 for size in oracle.sizes)
    assert all(call.args[0].shape[1] == 6 for call in oracle.calls)


def test_hypothesis_tells_of_both_kinds():
    result, *_ = fuzzed(ground_of(*ONE), PLAIN)
    assert "net:\n" in result.statistics
    assert "net undeclared:\n" in result.statistics


def test_what_differs_is_found_at_its_smallest_size():
    result, *_ = fuzzed(ground_of(*ONE), static(within(2, 60, lambda x: 0 if x[0] >= 37 else volume(x)), (0, 1)))
    (finding,) = result.findings
    assert (finding.check, finding.kind, finding.expected, finding.actual) == ("outputs", "value", "222", "0")
    assert finding.on == ("batch=37",)
    assert finding.detail == "to run it always, write in the case: sizes=[{'batch': 37}]"
    assert finding.verdict == "broken"


def test_what_is_refused_is_found_at_its_smallest_size():
    result, *_ = fuzzed(
        ground_of({0: BATCH, 1: LENGTH}),
        lambda x: REFUSED if x[0] * x[1] > 100 or not 2 <= x[0] <= 60 or not 1 <= x[1] <= 30 else volume(x),
    )
    (finding,) = result.findings
    assert finding == Finding(
        check="sizes",
        place="batch, length",
        kind="narrowed",
        expected="accepted, as eager does: batch 2..60, length 1..30",
        actual="ValueError: not like this",
        on=finding.on,
        detail=finding.detail,
    )
    (label,) = finding.on
    sizes = dict(word.split("=") for word in label.split(", "))
    batch, length = int(sizes["batch"]), int(sizes["length"])
    assert batch * length > 100 >= max((batch - 1) * length, batch * (length - 1))


def test_differing_and_refusing_are_two_findings():
    def program(x):
        return REFUSED if x[0] > 50 else 0 if 10 <= x[0] < 20 else volume(x)

    result, *_ = fuzzed(ground_of(*ONE), static(within(2, 60, program), (0, 1)), examples=100)
    assert {(each.kind, each.on) for each in result.findings} == {
        ("value", ("batch=10",)),
        ("narrowed", ("batch=51",)),
    }


def test_what_eager_refuses_is_counted_and_not_run():
    def eager(x):
        return REFUSED if x[0] % 2 else volume(x)

    result, run, _ = fuzzed(ground_of(*ONE), PLAIN, eager)
    assert result.findings == ()
    assert all(size % 2 == 0 for size in run.sizes if 2 <= size <= 60 and size != 61)
    (note,) = result.notes
    assert note.startswith("fuzz: eager itself refused ")
    assert note.endswith(" inputs (ValueError)")


def test_what_eager_does_not_repeat_is_not_held_against_the_program():
    def eager(*shapes):
        count.append(1)
        return len(count)

    count = []
    result, *_ = fuzzed(ground_of(*ONE), PLAIN, eager)
    assert result.findings == ()


def test_a_program_that_does_not_repeat_is_flaky():
    def program(x):
        if x[0] == 60 and not seen:
            seen.append(1)
            return 0
        return volume(x)

    seen = []
    result, *_ = fuzzed(ground_of(*ONE), static(within(2, 60, program), (0, 1)))
    assert result.notes == (
        "fuzz: an example failed and did not fail again: the model or the program is not repeatable",
    )
    assert [each.on for each in result.findings] == [("batch=60",)]


def test_what_is_known_is_told_once_and_does_not_stop():
    def judge(findings):
        return [replaced(each, "known") for each in findings]

    result, run, _ = fuzzed(ground_of(*ONE), static(within(2, 20), (0, 1)), judge=judge)
    assert [(each.kind, each.verdict) for each in result.findings] == [("narrowed", "known")]
    assert len([size for size in run.sizes if 20 < size <= 60]) > 1


def replaced(finding, verdict):
    return replace(finding, verdict=verdict)


def test_differences_that_are_lost_are_told_once_beside_what_is_broken():
    def lost(expected, got):
        return [replaced(each, "lost") for each in compare(expected, got)]

    result, *_ = fuzzed(ground_of(*ONE), static(within(2, 40, lambda x: 0), (0, 1)), compare=lost)
    assert [(each.kind, each.verdict) for each in result.findings] == [("narrowed", "broken"), ("value", "lost")]


# --- other sizes ----------------------------------------------------------------------------


def accepted(program, eager=volume, ground=None, **options):
    """The findings about sizes that nobody declared."""
    result, *_ = fuzzed(ground or ground_of(*ONE), program, eager, **options)
    return [(each.place, each.kind, each.on, each.detail) for each in result.findings]


def test_sizes_beyond_a_bound_that_are_computed_otherwise():
    program = static(lambda x: volume(x) if x[0] <= 60 else 0, (0, 1))
    assert accepted(static(within(2, 99, program), (0, 1))) == [
        (
            "batch",
            "accepted and computed otherwise",
            ("args[0].size(0)=61",),
            "outputs: output: value: expected 366, got 0",
        )
    ]


def test_the_finding_says_what_is_declared():
    result, *_ = fuzzed(ground_of(*ONE), static(within(2, 99), (0, 1)))
    (finding,) = result.findings
    assert (finding.check, finding.expected, finding.actual) == (
        "sizes",
        "refused: declared is batch 2..60",
        "accepted",
    )


def test_sizes_beyond_a_bound_that_eager_computes_too():
    assert accepted(static(within(0, 60), (0, 1))) == [
        ("batch", "widened", ("args[0].size(0)=1",), "it computes there what eager computes")
    ]


def test_sizes_beyond_a_bound_that_eager_refuses():
    eager = within(2, 60)
    assert accepted(static(within(0, 60), (0, 1)), eager) == [
        (
            "batch",
            "accepted what eager refuses",
            ("args[0].size(0)=1",),
            "eager raises ValueError: not like this",
        )
    ]


def test_a_static_dim_at_another_size():
    assert accepted(within(2, 60))[0][:3] == ("args[0].size(1) alone", "widened", ("args[0].size(1)=7",))


def test_dims_of_one_root_apart():
    def program(x, y):
        return volume(x, y) if x[1] == y[1] == 6 and 2 <= x[0] <= 60 and y[0] >= x[0] else REFUSED

    (found,) = accepted(program, ground=ground_of({0: BATCH}, {0: BATCH}))
    assert found[0] in ("args[0].size(0) alone", "args[1].size(0) alone")
    assert found[1] == "widened"


def test_what_is_widened_may_be_excused_and_all_ways_are_tried():
    def judge(findings):
        return [replaced(each, "lost") for each in findings]

    result, run, _ = fuzzed(ground_of(*ONE), volume, judge=judge)
    assert {(each.place, each.kind, each.verdict) for each in result.findings} == {
        ("batch", "widened", "lost"),
        ("args[0].size(1) alone", "widened", "lost"),
    }
    assert {0, 1, 61} <= set(run.sizes)


def test_every_other_size_of_a_lone_derived_dim_is_declared():
    def program(x):
        return volume(x) if x[0] % 2 == 0 and 4 <= x[0] <= 120 and x[1] == 6 else REFUSED

    assert accepted(program, ground=ground_of({0: 2 * BATCH}, args=(torch.ones(8, 6),))) == []


def test_hints_alone_have_no_outside():
    result, *_ = fuzzed(ground_of({0: Dim.AUTO, 1: Dim.AUTO}), volume)
    assert result.findings == ()
    assert "undeclared" not in result.statistics


# --- pins, inputs, variations ---------------------------------------------------------------


def test_pinned_sizes_are_run_first_and_whatever_the_number_of_examples():
    ground = ground_of({0: BATCH, 1: LENGTH}, pins=[{"batch": 47, "length": 13}, {"length": 29}])
    _, run, _ = fuzzed(ground, static(volume), examples=1)
    assert run.labels[:2] == ["batch=47, length=13", "batch=4, length=29"]


def test_a_pinned_size_that_fails_is_found_as_it_is():
    ground = ground_of(*ONE, pins=[{"batch": 47}])
    result, *_ = fuzzed(ground, static(within(2, 60, lambda x: 0 if x[0] == 47 else volume(x)), (0, 1)), examples=1)
    assert [(each.kind, each.on) for each in result.findings] == [("value", ("batch=47",))]


def test_inputs_are_made_by_the_case_where_it_says_how():
    def made(sizes):
        return Inputs("", (torch.ones(sizes["batch"], 6), torch.ones(2 * sizes["batch"])), {})

    ground = ground_of(*ONE, made=made)
    _, _, oracle = fuzzed(ground, lambda *shapes: volume(*shapes) if len(shapes) == 2 else REFUSED)
    assert all(call.args[1].shape[0] == 2 * call.args[0].shape[0] for call in oracle.calls)


def test_variations_are_drawn_on_request_and_each_at_once():
    ground = ground_of(*ONE)
    plain, *_ = fuzzed(ground, PLAIN)[1:]
    assert not any("args[0] " in label for label in plain.labels)
    _, run, _ = fuzzed(ground, PLAIN, also=["layout", "special"])
    told = {label.partition(", args[0] ")[2] for label in run.labels}
    assert {"with nan", "with -0.0", "at a storage offset of 3", "with its last dim outermost", ""} <= told


def test_a_variation_that_differs_names_itself_and_is_not_pinned():
    def program(call):
        plain = Calls(PLAIN)(call)
        return replace(plain, structure=0) if "with nan" in call.label else plain

    options = Fuzzing(examples=40, also=frozenset(["special"]))
    result = fuzz(ground_of(*ONE), Subject(Calls(volume), program, compare, list), key="net", options=options)
    assert [(each.on, each.detail) for each in result.findings] == [(("batch=2, args[0] with nan",), "")]


@pytest.mark.parametrize(("also", "kinds"), [(["layout"], ["narrowed"]), (["dtype"], []), (["rank"], [])])
def test_a_program_may_refuse_only_what_nobody_declared(also, kinds):
    def program(call):
        varied = ", args[0] " in call.label
        return Observation(label=call.label, raised=REFUSED) if varied else Calls(PLAIN)(call)

    subject = Subject(Calls(volume), program, compare, list)
    result = fuzz(ground_of(*ONE), subject, key="net", options=Fuzzing(examples=40, also=frozenset(also)))
    assert [each.kind for each in result.findings] == kinds


# --- what the program says ------------------------------------------------------------------


class Module(torch.nn.Module):
    def forward(self, x):
        return x.reshape(-1) if x.shape[0] != 9 else x


def exported(spec, *, forward=None):
    module = Module() if forward is None else type("Own", (torch.nn.Module,), {"forward": forward})()
    return torch.export.export(module, (torch.ones(4, 6),), dynamic_shapes=(spec,))


def test_hints_are_fuzzed_where_the_program_admits_it():
    spec = {0: Dim.AUTO(max=30)}
    result, run, _ = fuzzed(ground_of(spec), static(volume, (0, 1)), exported=exported(spec))
    assert result.findings == ()
    assert 9 not in run.sizes
    assert {8, 10, 30} <= set(run.sizes)


def test_promises_are_fuzzed_whatever_the_program_admits():
    spec = {0: Dim.DYNAMIC}
    result, *_ = fuzzed(
        ground_of({0: Dim("batch", min=2, max=30)}),
        static(lambda x: REFUSED if x[0] == 9 or not 2 <= x[0] <= 30 else volume(x), (0, 1)),
        exported=exported(spec),
    )
    assert [(each.kind, each.on) for each in result.findings] == [("narrowed", ("batch=9",))]


def test_a_program_without_dynamic_dims_is_not_fuzzed():
    result, run, _ = fuzzed(ground_of(None), volume, exported=exported(None))
    assert (result.findings, result.notes, run.calls) == ((), ("fuzz: no dim is dynamic in this program",), [])


def test_facts_that_admit_no_size_are_noted():
    result, run, _ = fuzzed(
        ground_of({0: Dim.DYNAMIC(min=40, max=50)}), volume, exported=exported({0: Dim.AUTO(max=30)})
    )
    assert result.findings == ()
    assert result.notes == ("fuzz: no size is left: args[0].size(0) would have to be at least 40 and at most 30",)
    assert run.calls == []


def test_numbers_in_the_program_are_tried_early():
    def forward(self, x):
        return torch.nn.functional.pad(x, (0, 43))

    spec = {0: Dim("batch", min=2, max=1000)}
    _, run, _ = fuzzed(ground_of(spec), static(within(2, 1000), (0, 1)), exported=exported(spec, forward=forward))
    assert 43 in run.sizes


def test_numbers_in_the_code_are_tried_early():
    spec = {0: Dim("batch", min=2, max=1000)}
    _, run, _ = fuzzed(ground_of(spec, constants=[777]), static(within(2, 1000), (0, 1)))
    assert {776, 777, 778} <= set(run.sizes)


def test_what_is_too_large_is_noted_and_not_tried():
    spec = {0: Dim("batch", min=2, max=10**7)}
    result, run, _ = fuzzed(ground_of(spec), static(within(2, 10**7), (0, 1)))
    assert result.notes == (
        "fuzz: sizes of batch above 43690 were not tried: inputs would have more than 262144 elements",
    )
    assert max(run.sizes) == 43690


def test_large_sizes_are_not_tried_together():
    spec = {0: Dim("batch", min=2, max=10**3), 1: Dim("length", min=2, max=10**3)}
    result, _, oracle = fuzzed(ground_of(spec), lambda x: volume(x) if max(x) <= 10**3 and min(x) > 1 else REFUSED)
    assert result.findings == ()
    assert max(map(volume, ([*each.args[0].shape] for each in oracle.calls))) <= 2**18


def test_conditions_that_few_drawn_sizes_meet_are_noted():
    def forward(self, x):
        return x if x.shape[0] * x.shape[1] == 24 else x + 1

    spec = {0: Dim.AUTO, 1: Dim.AUTO}
    result, *_ = fuzzed(ground_of(spec), volume, exported=exported(spec, forward=forward))
    (note,) = result.notes
    assert note.startswith("fuzz: only ")
    assert note.endswith(". Pin more with sizes=.")


# --- hypothesis -----------------------------------------------------------------------------


def test_a_failure_is_found_again_in_the_database(profile):
    profile(database=InMemoryExampleDatabase(), derandomize=False)
    ground = ground_of(*ONE, constants=[47])
    program = static(within(2, 60, lambda x: 0 if x[0] == 47 else volume(x)), (0, 1))
    first, *_ = fuzzed(ground, program)
    again, *_ = fuzzed(ground_of(*ONE), program, examples=1)
    assert [each.on for each in (*first.findings, *again.findings)] == [("batch=47",), ("batch=47",)]


def test_a_derandomized_profile_repeats():
    one, other = (fuzzed(ground_of(*ONE), PLAIN)[1].labels for _ in range(2))
    assert one == other


def test_what_the_subject_raises_comes_through():
    def program(x):
        raise LookupError("stop")

    with pytest.raises(LookupError, match=r"^'?stop'?$"):
        fuzzed(ground_of(*ONE), program)


def test_nothing_is_printed(capsys):
    fuzzed(ground_of(*ONE), static(within(2, 20), (0, 1)))
    assert capsys.readouterr() == ("", "")
