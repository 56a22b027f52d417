"""What one series of calls did: outputs, mutations, aliases, random numbers, exceptions; and nothing stays changed."""

from __future__ import annotations

import warnings
from contextlib import contextmanager

import pytest
import torch

from pytest_exportcheck.harness.isolation import raised_from
from pytest_exportcheck.harness.observation import observe
from pytest_exportcheck.harness.process_state import generator_digest, global_modes
from pytest_exportcheck.harness.snapshot import ModuleSnapshot
from pytest_exportcheck.records import Inputs


def call(*args, label="a call", **kwargs):
    return Inputs(label, args, kwargs)


def seen(run, *calls, seed=0, context=None):
    snapshot = ModuleSnapshot(run) if isinstance(run, torch.nn.Module) else None
    return observe(run, calls, snapshot=snapshot, seed=seed, context=context)


def seen_once(run, *args, **kwargs):
    (observation,) = seen(run, call(*args, **kwargs))
    return observation


def lists(tensors):
    return {name: tensor.tolist() for name, tensor in tensors.items()}


class Counter(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("total", torch.zeros(2))

    def forward(self, x):
        self.total.add_(x)
        return self.total + 0


def test_outputs_are_leaves_with_their_places():
    observation = seen_once(lambda x: {"y": x + 1, "n": [3]}, torch.zeros(2))
    assert [leaf.place for leaf in observation.outputs] == ["output['y']", "output['n'][0]"]
    assert observation.outputs[0].value.tolist() == [1, 1]
    assert observation.outputs[0].facts.shape == (2,)
    assert (observation.outputs[1].value, observation.outputs[1].facts) == (3, None)


def test_a_call_keeps_its_label():
    assert [each.label for each in seen(lambda x: x, call(1, label="one"), call(2, label="two"))] == ["one", "two"]


def test_keyword_arguments_arrive_by_name():
    assert seen_once(lambda *, mask: mask, mask=7).outputs[0].value == 7


def test_an_output_that_is_updated_later_was_noted_as_it_was():
    first, second = seen(Counter(), call(torch.ones(2)), call(torch.ones(2)))
    assert first.outputs[0].value.tolist() == [1, 1]
    assert second.outputs[0].value.tolist() == [2, 2]


def test_state_carries_over_from_call_to_call():
    observations = seen(Counter(), call(torch.ones(2)), call(torch.ones(2)))
    assert [lists(each.state) for each in observations] == [{"total": [1, 1]}, {"total": [2, 2]}]


def test_state_is_restored_afterwards():
    counter = Counter()
    seen(counter, call(torch.ones(2)))
    assert counter.total.tolist() == [0, 0]


def test_a_series_can_be_repeated_with_the_same_result():
    counter = Counter()
    series = [seen(counter, call(torch.ones(2)), call(torch.ones(2))) for _ in range(2)]
    assert lists(series[0][1].state) == lists(series[1][1].state) == {"total": [2, 2]}


def test_a_mutated_input_is_noted_with_its_value():
    assert lists(seen_once(lambda x: x.add_(1).sum(), torch.zeros(2)).inputs) == {"args[0]": [1, 1]}


def test_a_mutation_through_a_view_is_noted():
    def run(x):
        x.view(-1)[1:].add_(1)
        return x.sum()

    assert lists(seen_once(run, torch.zeros(1, 2)).inputs) == {"args[0]": [[0, 1]]}


def test_a_mutation_of_a_nested_keyword_input_is_noted():
    observation = seen_once(lambda *, batch: batch["x"][0].zero_().sum(), batch={"x": [torch.ones(1)]})
    assert lists(observation.inputs) == {"kwargs['batch']['x'][0]": [0]}


def test_an_input_that_aliases_a_mutated_one_is_noted_too():
    base = torch.zeros(2)
    assert lists(seen_once(lambda x, y: x.add_(1).sum(), base, base[:1]).inputs) == {"args[0]": [1, 1], "args[1]": [1]}


def test_a_mutation_to_the_same_value_is_none():
    assert seen_once(lambda x: x.mul_(1).sum(), torch.ones(2)).inputs == {}


def test_the_caller_keeps_its_inputs():
    x, box = torch.zeros(2), [1]
    seen_once(lambda x, box: (x.add_(1).sum(), box.append(2)), x, box)
    assert (x.tolist(), box) == ([0, 0], [1])


def test_each_call_gets_inputs_of_its_own():
    x = torch.zeros(1)
    observations = seen(lambda x: x.add_(1).clone(), call(x), call(x))
    assert [each.outputs[0].value.tolist() for each in observations] == [[1], [1]]


def test_an_output_that_is_an_input_aliases_it():
    assert seen_once(lambda x, y: x[:1], torch.ones(2), torch.ones(2)).aliases == {("output", "args[0]")}


def test_two_outputs_that_share_storage_alias_each_other():
    def run(x):
        y = x + 1
        return y, y[0], x + 2

    assert seen_once(run, torch.ones(2)).aliases == {("output[0]", "output[1]")}


def test_an_output_that_is_state_aliases_it():
    class Exposed(Counter):
        def forward(self, x):
            return self.total

    assert seen_once(Exposed(), torch.ones(2)).aliases == {("output", "total")}


def test_aliases_between_inputs_alone_are_the_callers_business():
    x = torch.ones(2)
    assert seen_once(lambda x, y: x + y, x, x).aliases == frozenset()


def test_each_call_begins_with_a_seed_of_its_own():
    first, second = seen(lambda: torch.rand(2), call(), call())
    assert first.outputs[0].value.tolist() != second.outputs[0].value.tolist()
    again, _ = seen(lambda: torch.rand(2), call(), call())
    assert again.outputs[0].value.tolist() == first.outputs[0].value.tolist()


def test_the_generator_shows_how_many_values_were_drawn():
    drawn = [seen_once(lambda n: torch.rand(n).sum(), number).generator for number in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_generator_is_restored():
    before = generator_digest()
    seen_once(lambda: torch.rand(3))
    assert generator_digest() == before


def test_an_exception_is_noted_and_ends_the_series():
    def run(x):
        raise ValueError(f"no {x}")

    (observation,) = seen(run, call(1), call(2))
    assert (observation.raised.type, observation.raised.message) == ("ValueError", "no 1")
    assert observation.raised.where.startswith(__file__)
    assert observation.raised.where.endswith('in run: raise ValueError(f"no {x}")')


def test_calls_before_the_exception_are_kept():
    observations = seen(lambda x: 1 // x, call(1), call(0), call(1))
    assert [bool(each.raised) for each in observations] == [False, True]


def test_state_is_restored_after_an_exception():
    class Failing(Counter):
        def forward(self, x):
            self.total.add_(x)
            raise ValueError("late")

    failing = Failing()
    seen_once(failing, torch.ones(2))
    assert failing.total.tolist() == [0, 0]


def test_global_modes_are_restored_after_an_exception():
    def run():
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        raise ValueError("late")

    before = global_modes()
    seen_once(run)
    assert global_modes() == before


def test_an_interrupt_is_passed_on_after_restoring():
    class Interrupted(Counter):
        def forward(self, x):
            self.total.add_(x)
            raise KeyboardInterrupt

    module = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        seen_once(module, torch.ones(2))
    assert module.total.tolist() == [0, 0]


def test_the_context_is_entered_for_each_call():
    entered = []

    @contextmanager
    def context():
        entered.append("in")
        with torch.no_grad():
            yield
        entered.append("out")

    observations = seen(lambda: torch.is_grad_enabled(), call(), call(), context=context)
    assert entered == ["in", "out", "in", "out"]
    assert [each.outputs[0].value for each in observations] == [False, False]


def test_warnings_as_errors_do_not_reach_the_call():
    def run():
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        return 1

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert seen_once(run).raised is None


def test_an_exception_of_a_library_is_named_in_full():
    assert raised_from(torch.OutOfMemoryError("full")).type == "torch.OutOfMemoryError"


def test_an_exception_without_a_line_of_the_user_names_none():
    try:
        torch.ones(2) + torch.ones(3)
    except RuntimeError as error:
        here = raised_from(error)
    assert here.where.startswith(__file__)
    assert raised_from(ValueError("never raised")).where == ""
