"""What a session works with: the items of a case, with and without fuzzing, and the names that a case may use."""

from __future__ import annotations

import pytest
from torch.export import Dim, ShapesCollection

from pytest_exportcheck.options import Fuzzing, Options
from pytest_exportcheck.records import Case, Expectation, Origin, Rejection
from pytest_exportcheck.run.hooks import Hooks
from pytest_exportcheck.run.registry import may_be_dynamic, registry_of

ORIGIN = Origin("shop", "case_shop.py", 7)
HOOKS = Hooks()
DYNAMIC = {"x": {0: Dim("batch")}}


def case(**options):
    return Case(**{"name": "net", "build": object, "origin": ORIGIN, "dynamic_shapes": DYNAMIC, **options})


def registry(*modes, fuzz=True, **options):
    fuzzing = Fuzzing() if fuzz else None
    return registry_of(Options(modes=modes or ("nonstrict", "nonstrict-serdes"), fuzz=fuzzing, **options), HOOKS)


def planned(given, *modes, **options):
    return [str(mode) for _, mode in registry(*modes, **{"engines": ("torch",), **options}).plan(given)]


def rejection(at):
    return Rejection(at=at, origin=ORIGIN)


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        (None, False),
        ({}, False),
        ((), False),
        ({"x": None}, False),
        ({"x": {0: 4, 1: None}}, False),
        (({0: 4}, [None, 5]), False),
        ({"x": {0: Dim("b")}}, True),
        (({0: 4}, [None, 2 * Dim("b")]), True),
        ({"x": {"k": [{0: Dim.AUTO}]}}, True),
        (({0: Dim.DYNAMIC},), True),
        (lambda: None, True),
        (ShapesCollection(), True),
    ],
)
def test_a_case_may_be_dynamic_where_its_shapes_say_more_than_numbers(shapes, expected):
    assert may_be_dynamic(case(dynamic_shapes=shapes)) is expected


def test_the_second_opinion_has_a_short_set_of_modes_unless_it_is_named_or_engines_are_judged():
    def of_reference(**options):
        plan = registry("nonstrict", "nonstrict-decompose", "nonstrict-retrace", fuzz=False, **options).plan(case())
        return [str(mode) for engine, mode in plan if engine.name == "reference"]

    assert of_reference() == ["nonstrict", "nonstrict-retrace"]
    for options in ({"engines": ("reference",)}, {"engines": ("*",)}, {"profile": "conformance"}):
        assert of_reference(**options) == ["nonstrict", "nonstrict-decompose", "nonstrict-retrace"]


def test_without_fuzzing_a_case_has_its_modes():
    assert planned(case(), fuzz=False) == ["nonstrict", "nonstrict-serdes"]


def test_with_fuzzing_every_mode_is_followed_by_what_is_fuzzed():
    assert planned(case()) == ["nonstrict", "nonstrict-fuzz", "nonstrict-serdes", "nonstrict-serdes-fuzz"]


def test_the_planned_modes_are_those_that_an_engine_can_run_in_the_order_of_the_plan():
    names = ("nonstrict-serdes", "nonstrict-interop", "nonstrict")
    order = ["nonstrict", "nonstrict-serdes", "nonstrict-interop"]
    assert [str(mode) for mode in registry(*names, fuzz=False).planned_modes] == order
    fuzzed = [str(mode) for mode in registry(*names).planned_modes]
    assert fuzzed == [name for mode in order for name in (mode, f"{mode}-fuzz")] == planned(case(), *names)


def test_a_case_without_dynamic_dims_is_not_fuzzed():
    assert planned(case(dynamic_shapes=None)) == ["nonstrict", "nonstrict-serdes"]


def test_only_the_modes_of_a_case_are_fuzzed():
    assert planned(case(modes=("*-serdes",))) == ["nonstrict-serdes", "nonstrict-serdes-fuzz"]


def test_what_must_be_refused_is_not_fuzzed():
    assert planned(case(rejects=(rejection("serdes"),))) == ["nonstrict", "nonstrict-fuzz", "nonstrict-serdes"]
    assert planned(case(rejects=(rejection("capture"),))) == ["nonstrict"]


def test_of_a_mode_behind_a_refusal_there_is_what_leads_to_it():
    refused = case(rejects=(rejection("capture"),), modes=("nonstrict-serdes", "nonstrict-decompose-serdes"))
    assert planned(refused, "nonstrict-serdes", "nonstrict-decompose-serdes") == ["nonstrict"]
    assert planned(case(rejects=(rejection("decompose"),)), "nonstrict-decompose-serdes", fuzz=False) == [
        "nonstrict-decompose"
    ]


def test_a_call_that_must_be_refused_is_fuzzed_beside():
    assert planned(case(rejects=(rejection("call"),)), "strict") == ["strict", "strict-fuzz"]


def test_a_case_may_name_what_is_fuzzed():
    assert registry(fuzz=False).wrong_names(case(modes=("nonstrict-fuzz", "*-serdes-fuzz"))) == ""
    assert (
        registry()
        .wrong_names(case(modes=("nonstrict-fuz",)))
        .startswith("case 'net' (case_shop.py:7): unknown mode 'nonstrict-fuz'")
    )


def test_a_case_that_names_what_is_fuzzed_has_that_item_alone():
    assert planned(case(modes=("nonstrict-fuzz",))) == ["nonstrict-fuzz"]
    assert planned(case(modes=("*-fuzz",))) == ["nonstrict-fuzz", "nonstrict-serdes-fuzz"]
    assert planned(case(modes=("*-serdes-fu*",))) == ["nonstrict-serdes-fuzz"]
    assert planned(case(modes=("nonstrict", "nonstrict-serdes-fuzz"))) == [
        "nonstrict",
        "nonstrict-fuzz",
        "nonstrict-serdes-fuzz",
    ]


def test_a_glob_that_matches_modes_is_no_name_of_what_is_fuzzed():
    assert planned(case(modes=("nonstrict-*",))) == ["nonstrict-serdes", "nonstrict-serdes-fuzz"]


def test_a_case_may_add_what_is_fuzzed_to_the_default_modes():
    deep = "nonstrict-serdes-serdes-serdes-fuzz"
    assert registry("default").wrong_names(case(modes=(deep,))) == ""
    assert planned(case(modes=(deep,)), "default") == [deep]
    assert planned(case(modes=(deep,))) == []


def test_what_is_fuzzed_has_no_item_where_nothing_is_fuzzed():
    assert planned(case(modes=("nonstrict-fuzz",)), fuzz=False) == []
    assert planned(case(modes=("nonstrict-fuzz",), dynamic_shapes=None)) == []


def test_of_a_fuzzed_mode_behind_a_refusal_there_is_what_leads_to_it():
    assert planned(case(rejects=(rejection("serdes"),), modes=("nonstrict-serdes-fuzz",))) == ["nonstrict-serdes"]


def expectation(**options):
    return Expectation(reason="why", origin=ORIGIN, **options)


def test_an_expectation_may_name_what_is_fuzzed_and_its_check():
    entry = expectation(mode="*-serdes-fuzz", check="sizes")
    assert list(registry().wrong_keys(entry)) == []
    assert registry().wrong_names(case(expect=(entry,))) == ""


def test_an_expectation_may_not_name_a_check_that_does_not_exist():
    ((key, message),) = registry().wrong_keys(expectation(check="size"))
    assert key == "check"
    assert message.startswith("unknown check 'size'. Checks: ")
    assert message.endswith(", stage, case, sizes, golden.")


def test_the_runner_is_told_how_much_to_fuzz():
    options = Options(modes=("nonstrict",), fuzz=Fuzzing(examples=7))
    runner = registry_of(options, HOOKS).runner(options)
    assert runner._settings.fuzz == Fuzzing(examples=7)
