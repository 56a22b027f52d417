"""What a case declares of sizes, what a capture made of it, and both over one set of roots."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch.export import Dim

from pytest_exportcheck.describe import declared_dims
from pytest_exportcheck.fuzz.captured import Captured, captured_facts
from pytest_exportcheck.fuzz.facts import declared_facts, joined
from pytest_exportcheck.records import Inputs


class Calls(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x, y=None):
        return self.function(x) if y is None else self.function(x, y)


@dataclass
class Pair:
    first: torch.Tensor
    rest: list


torch.export.register_dataclass(Pair, serialized_type_name="test_fuzz_facts.Pair")


def declared(args, shapes, kwargs=None, function=torch.add):
    return declared_facts(declared_dims(Calls(function), Inputs("", args, kwargs or {}), shapes))


def captured(function, args, shapes, lower=False):
    program = torch.export.export(Calls(function), args, dynamic_shapes=shapes)
    return captured_facts(program.run_decompositions() if lower else program)


def shown(facts):
    roots = {name: str(interval) for name, interval in facts.roots.items()}
    dims = {f"{place}.{number}": str(expr) for (place, number), expr in facts.dims.items()}
    return roots, dims, sorted(map(str, facts.conditions))


N = Dim("n", min=2, max=9)
X, Y = torch.ones(4), torch.ones(8)


def test_roots_bear_the_names_of_dims():
    facts = declared((X, Y), ({0: N}, {0: 2 * N}))
    assert shown(facts)[:2] == ({"n": "2..9"}, {"args[0].0": "n", "args[1].0": "2*n"})
    assert facts.promised == {"n"}
    assert facts.at({"n": 3}) == {("args[0]", 0): 3, ("args[1]", 0): 6}


def test_a_root_that_stands_nowhere_alone_has_its_own_bounds():
    facts = declared((torch.ones(7),), ({0: 2 * N - 1},))
    assert shown(facts) == ({"n": "2..9"}, {"args[0].0": "2*n - 1"}, ["2*n - 1 >= 0"])


def test_a_hint_is_a_root_that_nobody_promised():
    facts = declared((torch.ones(4, 3), Y), ({0: Dim.AUTO}, {0: Dim.DYNAMIC(min=3, max=12)}))
    assert shown(facts)[0] == {"args[0].size(0)": "0..oo", "args[1].size(0)": "3..12"}
    assert facts.promised == frozenset()


def test_no_size_is_negative():
    assert shown(declared((X,), ({0: Dim("n", max=9)},)))[0] == {"n": "0..9"}


def test_nested_inputs_have_their_places():
    tree = {"a": X, "b": [Y, Pair(X, [Y])]}
    facts = declared((tree,), ({"a": {0: N}, "b": [None, [None, [{0: Dim.AUTO}]]]},))
    assert [place for place, _ in facts.dims] == ["args[0]['a']", "args[0]['b'][1].rest[0]"]


def test_whether_sizes_are_declared():
    facts = declared((torch.ones(7),), ({0: 2 * N - 1},))
    assert [size for size in range(12) if facts.holds({"n": size})] == list(range(2, 10))


def test_ranges_and_symbols_of_a_program():
    facts = captured(lambda x, y: x + y.sum(), (torch.ones(4, 3), Y), ({0: N}, {0: Dim.AUTO}))
    roots, dims, _ = shown(facts)
    assert roots == {"args[0].size(0)": "2..9", "args[1].size(0)": "2..oo"}
    assert dims == {"args[0].0": "args[0].size(0)", "args[0].1": "3", "args[1].0": "args[1].size(0)"}


def test_guards_of_a_program_are_conditions():
    facts = captured(lambda x: x.view(3, -1), (torch.ones(6),), ({0: Dim.AUTO},))
    sizes = [size for size in range(2, 20) if facts.holds({"args[0].size(0)": size})]
    assert sizes and all(size % 3 == 0 for size in sizes)


@pytest.mark.parametrize("lower", [False, True], ids=["captured", "lowered"])
def test_dims_that_capture_ties_together(lower):
    facts = captured(lambda x, y: x + y, (X, X), ({0: Dim.AUTO}, {0: Dim.AUTO}), lower)
    assert shown(facts)[1] == {"args[0].0": "args[0].size(0)", "args[1].0": "args[0].size(0)"}


def test_a_program_of_keyword_arguments():
    program = torch.export.export(Calls(torch.add), (X,), {"y": X}, dynamic_shapes={"x": {0: N}, "y": {0: N}})
    assert shown(captured_facts(program))[1] == {"args[0].0": "args[0].size(0)", "kwargs['y'].0": "args[0].size(0)"}


def test_what_capture_made_of_a_promise_is_not_taken_over():
    promise = declared((X,), ({0: N},))
    made = captured(lambda x: x.view(2, -1) if x.shape[0] > 3 else x, (X,), ({0: Dim.AUTO},))
    both = joined(promise, made)
    assert shown(both) == shown(promise) and both.promised == {"n"}


def test_what_capture_made_of_hints_is_taken_over():
    made = captured(lambda x, y: (x + y).view(2, -1), (X, X), ({0: Dim.AUTO}, {0: Dim.AUTO}))
    both = joined(declared((X, X), ({0: Dim.AUTO}, {0: Dim.AUTO})), made)
    sizes = [(a, b) for a in range(12) for b in range(12) if both.holds({"args[0].size(0)": a, "args[1].size(0)": b})]
    assert sizes == [(size, size) for size in (4, 6, 8, 10)]


def test_a_hint_that_became_static_has_one_size():
    made = captured(lambda x: x + torch.ones(4), (X,), ({0: Dim.AUTO},))
    both = joined(declared((X,), ({0: Dim.AUTO},)), made)
    assert [size for size in range(9) if both.holds({"args[0].size(0)": size})] == [4]


def test_a_hint_beside_a_promise():
    made = captured(lambda x, y: x.sum() + y.view(2, -1), (X, Y), ({0: N}, {0: Dim.AUTO}))
    both = joined(declared((X, Y), ({0: N}, {0: Dim.AUTO})), made)
    assert both.promised == {"n"} and not both.holds({"n": 3, "args[1].size(0)": 7})
    assert both.holds({"n": 3, "args[1].size(0)": 8})


def test_without_named_dims_what_is_symbolic_in_the_program_counts():
    """Further inputs instead of dynamic shapes: nothing is said dim by dim."""
    made = captured(lambda x: x * 2, (X,), ({0: Dim.AUTO},))
    assert list(joined(declared((X,), None), made).roots) == ["args[0].size(0)"]


def test_numbers_of_a_program():
    program = torch.export.export(
        Calls(lambda x: x[:37] + 1234567890), (torch.ones(50),), dynamic_shapes=({0: Dim.AUTO},)
    )
    assert 37 in Captured.of(program).constants and 1234567890 not in Captured.of(program).constants
