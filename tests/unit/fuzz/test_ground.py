"""What fuzzing a case stands on, and what is wrong with it in words."""

from __future__ import annotations

import pytest
import torch
from hypothesis import strategies as st
from torch.export import Dim

from pytest_exportcheck.describe import declared_dims
from pytest_exportcheck.errors import CaseError
from pytest_exportcheck.fuzz.setup import Ground, described, ground_of
from pytest_exportcheck.fuzz.size_facts import Facts, declared_facts
from pytest_exportcheck.records import Case, Inputs, Interval, Origin

ORIGIN = Origin("shop", "case_shop.py", 7)
BATCH, LENGTH = Dim("batch", min=2, max=16), Dim("length", min=2)


class Net(torch.nn.Module):
    def forward(self, x, y=None): ...


def grounded(*specs, sizes=(), inputs=None, made=None, args=None, redraw=None, seed=0):
    """The ground of a case whose first argument is 4 by 6, the second 8."""
    args = (torch.arange(24.0).reshape(4, 6), torch.arange(8))[: len(specs)] if args is None else args
    example = Inputs("the example inputs", args, {})
    case = Case(name="net", build=Net, origin=ORIGIN, sizes=sizes, inputs=inputs)
    declared = declared_dims(Net(), example, specs)
    redraw = redraw or (lambda seed: example)
    return ground_of(case, declared, example, redraw=redraw, made=made, constants=[3], seed=seed)


def message_of(*specs, **options):
    with pytest.raises(CaseError) as raised:
        grounded(*specs, **options)
    return str(raised.value)


def drawn(strategy):
    return f"drawn {strategy}"


BOTH = ({0: BATCH, 1: LENGTH},)


def test_the_ground_is_what_the_case_says():
    ground = grounded(*BOTH, sizes=({"batch": 7},))
    assert ground.facts.roots == {"batch": Interval(2, 16), "length": Interval(2, None)}
    assert (ground.pins, ground.constants, ground.made) == (({"batch": 7},), [3], None)


def test_usual_are_the_sizes_of_the_example():
    ground = grounded({0: BATCH}, {0: 2 * BATCH})
    assert ground.usual(ground.facts) == {"batch": 4}


@pytest.mark.parametrize(("derived", "size"), [(2 * BATCH, 4), (BATCH + 1, 7), (BATCH - 1, 9)])
def test_a_root_is_told_by_a_derived_dim(derived, size):
    ground = grounded(None, {0: derived})
    assert ground.usual(ground.facts) == {"batch": size}


def test_where_the_example_tells_nothing_the_smallest_size_is_usual():
    ground = grounded(*BOTH)
    assert ground.usual(Facts({"other": Interval(5, None), "free": Interval(None, None)})) == {"other": 5, "free": 0}


def test_hints_have_the_sizes_of_the_example_too():
    ground = grounded({0: Dim.AUTO, 1: Dim.DYNAMIC})
    assert ground.usual(ground.facts) == {"args[0].size(0)": 4, "args[0].size(1)": 6}


def test_inputs_are_resized_and_labelled_with_their_sizes():
    ground = grounded({0: BATCH, 1: LENGTH}, {0: 2 * BATCH})
    call = ground.inputs(ground.facts, {"batch": 3, "length": 5}, drawn)
    assert call.label == "batch=3, length=5"
    assert [tuple(each.shape) for each in call.args] == [(3, 5), (6,)]


def test_the_same_sizes_have_the_same_values():
    ground = grounded(*BOTH)
    one, other = (ground.inputs(ground.facts, {"batch": 3, "length": 9}, drawn).args[0] for _ in range(2))
    assert one.equal(other)


def test_another_seed_gives_other_values():
    sizes = {"batch": 3, "length": 9}
    one, other = (grounded(*BOTH, seed=seed) for seed in (0, 1))
    assert not one.inputs(one.facts, sizes, drawn).args[0].equal(other.inputs(other.facts, sizes, drawn).args[0])


def test_the_example_is_drawn_anew_for_every_sizes():
    def redraw(seed):
        seeds.append(seed)
        return Inputs("fresh", (torch.full((4, 6), 5.0),), {})

    seeds: list[int] = []
    ground = grounded(*BOTH, redraw=redraw)
    calls = [ground.inputs(ground.facts, {"batch": size, "length": 6}, drawn) for size in (3, 5, 3)]
    assert all((call.args[0] == 5).all() for call in calls)
    assert seeds[0] == seeds[2] != seeds[1]


def test_inputs_may_be_made_by_the_case_with_strategies_that_are_drawn():
    def made(sizes):
        return Inputs("", (sizes["batch"], st.just(3)), {"k": [st.none()]})

    ground = grounded(*BOTH, made=made)
    call = ground.inputs(ground.facts, {"batch": 3, "length": 5}, drawn)
    assert call == Inputs(
        "batch=3, length=5", (3, "drawn just(3)"), {"k": ["drawn none()"]}, (("batch", 3), ("length", 5))
    )


def test_inputs_of_other_dims_are_the_examples_resized():
    call = grounded({0: BATCH}, None).inputs_of({("args[0]", 1): 2, ("args[1]", 0): 3})
    assert call.label == "args[0].size(1)=2, args[1].size(0)=3"
    assert [tuple(each.shape) for each in call.args] == [(4, 2), (3,)]


@pytest.mark.parametrize("pinned", [{"batch": 2}, {"batch": 16}, {"length": 999}, {"batch": 7, "length": 3}, {}])
def test_pinned_sizes_may_be_any_that_are_declared(pinned):
    assert grounded(*BOTH, sizes=(pinned,)).pins == (pinned,)


def test_a_pinned_size_that_is_not_declared_is_refused():
    assert message_of(*BOTH, sizes=({"batch": 3}, {"batch": 17})) == (
        "case 'net' (case_shop.py:7): sizes=[{'batch': 17}] is not among the declared sizes: "
        "batch 2..16, length 2..oo. Pin declared sizes, or declare these."
    )


def test_a_pinned_size_must_meet_the_relations_too():
    small = Dim("batch", min=0, max=16)
    assert message_of(None, {0: small - 3}, sizes=({"batch": 2},)) == (
        "case 'net' (case_shop.py:7): sizes=[{'batch': 2}] is not among the declared sizes: batch 0..16. "
        "Pin declared sizes, or declare these."
    )


def test_a_pinned_dim_that_does_not_exist_is_refused():
    assert message_of(*BOTH, sizes=({"batch": 3, "width": 1, "depth": 2},)) == (
        "case 'net' (case_shop.py:7): sizes=[{'batch': 3, 'width': 1, 'depth': 2}] names 'width', 'depth', which "
        "dynamic_shapes does not. Its dims: batch, length."
    )


def test_where_no_dim_is_declared_none_can_be_pinned():
    assert message_of(None, sizes=({"batch": 3},)) == (
        "case 'net' (case_shop.py:7): sizes=[{'batch': 3}] names 'batch', which dynamic_shapes does not. Its dims: none."
    )


def test_shapes_that_admit_no_size_are_refused():
    assert message_of({0: Dim("batch", min=0, max=2) - 3}, args=(torch.ones(0, 6),)) == (
        "case 'net' (case_shop.py:7): dynamic_shapes allows no size: batch would have to be at least 3 and at "
        "most 2. Correct its bounds."
    )


@pytest.mark.parametrize(
    "inputs",
    [lambda batch, length: (), lambda **sizes: (), lambda length, *, batch: (), lambda batch, length, more=1: (), dict],
)
def test_an_inputs_callable_takes_the_dims_by_name(inputs):
    assert grounded(*BOTH, inputs=inputs).facts.roots


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        (lambda batch: (), "(batch): got an unexpected keyword argument 'length'."),
        (lambda batch, length, width: (), "(batch, length, width): missing a required argument: 'width'."),
        (lambda: (), "(): got an unexpected keyword argument 'batch'."),
        (lambda batch, length, /: (), "(batch, length, /): "),
    ],
)
def test_an_inputs_callable_that_takes_others_is_refused(inputs, told):
    assert message_of(*BOTH, inputs=inputs).startswith(
        "case 'net' (case_shop.py:7): its inputs callable is called with the sizes of batch, length by name, but takes "
        + told
    )


def test_without_dims_an_inputs_callable_takes_nothing():
    assert message_of(None, inputs=lambda batch: ()) == (
        "case 'net' (case_shop.py:7): its inputs callable is called with the sizes of no dim by name, but takes "
        "(batch): missing a required argument: 'batch'."
    )


def test_hints_are_not_passed_to_an_inputs_callable():
    assert grounded({0: BATCH, 1: Dim.AUTO}, inputs=lambda batch: ()).facts.promised == {"batch"}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({0: BATCH, 1: LENGTH}, "batch 2..16, length 2..oo"),
        ({0: BATCH, 1: Dim.AUTO}, "batch 2..16"),
        ({0: Dim.AUTO, 1: Dim.DYNAMIC(max=8)}, "args[0].size(0) 0..oo, args[0].size(1) 0..8"),
        (None, ""),
    ],
)
def test_declared_sizes_in_words_are_the_promised_ones_where_there_are_any(spec, words):
    example = Inputs("", (torch.ones(4, 6),), {})
    assert described(declared_facts(declared_dims(Net(), example, (spec,)))) == words


def test_a_ground_needs_no_more_than_facts_and_an_example():
    example = Inputs("", (torch.ones(4),), {})
    ground = Ground(Facts({}), example, lambda seed: example)
    assert ground.inputs(ground.facts, {}, drawn).args[0].tolist() == [1, 1, 1, 1]
