"""The reduction of a program: what is left of it, for findings of several kinds, by predicates that cost nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.export import Dim, ExportedProgram

from pytest_exportcheck.bundles.reduction.draft import Candidate
from pytest_exportcheck.bundles.reduction.search import Budget, shed, unchanged
from pytest_exportcheck.bundles.reduction.steps import Reduction, reduce_candidate, starts_failing
from pytest_exportcheck.describe.freeze import target_text
from pytest_exportcheck.records import Inputs

StillFails = Callable[[ExportedProgram, tuple[Inputs, ...]], bool]


class Model(torch.nn.Module):
    """A module whose forward is a function of it and of its inputs."""

    def __init__(self, function: Callable[..., Any], **state: torch.Tensor) -> None:
        super().__init__()
        self._function = function
        for name, value in state.items():
            if isinstance(value, torch.nn.Parameter):
                self.register_parameter(name, value)
            else:
                self.register_buffer(name, value)

    def forward(self, *args: Any) -> Any:
        return self._function(self, *args)


def candidate_of(module: torch.nn.Module, *args: Any, shapes: Any = None) -> Candidate:
    program = torch.export.export(module, args, dynamic_shapes=shapes)
    return Candidate(program, (Inputs("on the example inputs", args, {}),))


def reduced(candidate: Candidate, still_fails: StillFails, origin: str = "", **options: Any) -> Reduction:
    with unchanged(candidate):
        assert still_fails(candidate.program, candidate.calls)
    made = reduce_candidate(candidate, still_fails, origin=origin, **options)
    assert still_fails(made.candidate.program, made.candidate.calls)
    return made


def operators(made: Reduction) -> list[str]:
    nodes = [node for node in made.candidate.program.graph.nodes if node.op == "call_function"]
    return [target_text(node.target) for node in nodes]


def computes(*names: str) -> StillFails:
    """Return a predicate: the program has all of these operators, and can be called."""

    def still_fails(program: ExportedProgram, calls: tuple[Inputs, ...]) -> bool:
        found = {target_text(node.target) for node in program.graph.nodes if node.op == "call_function"}
        for call in calls:
            program.module()(*call.args, **call.kwargs)
        return found >= set(names)

    return still_fails


def _chain(_: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    y = (x * 2).cos()
    z = y.sin()
    return (z + 1).tanh(), y - 3


def test_one_node_is_left_of_a_chain():
    made = reduced(candidate_of(Model(_chain), torch.randn(4, 6)), computes("aten.sin.default"))
    assert operators(made) == ["aten.sin.default"]
    assert [tuple(each.shape) for each in made.candidate.calls[0].args] == [(1, 1)]
    assert made.nodes_before == 6
    assert made.complete


def test_the_node_at_the_origin_is_cut_out_at_the_first_try():
    budget = Budget(tries=2)
    made = reduced(candidate_of(Model(_chain), torch.randn(4, 6)), computes("aten.sin.default"), "sin", budget=budget)
    assert operators(made) == ["aten.sin.default"]


def test_a_cut_gets_the_recorded_values():
    x = torch.tensor([3.0])

    def still_fails(program: ExportedProgram, calls: tuple[Inputs, ...]) -> bool:
        value = program.module()(*calls[0].args)
        value = value[0] if isinstance(value, tuple) else value
        expected = torch.tensor([3.0]).mul(2).cos().sin().add(1).tanh()
        return "aten.tanh.default" in _targets(program) and bool((value == expected).all())

    made = reduced(candidate_of(Model(_chain), x), still_fails, "tanh")
    assert operators(made) == ["aten.tanh.default"]
    (value,) = made.candidate.calls[0].args
    assert torch.equal(value, x.mul(2).cos().sin().add(1))


def test_two_nodes_that_the_finding_needs_are_left():
    made = reduced(candidate_of(Model(_chain), torch.randn(4)), computes("aten.sin.default", "aten.mul.Tensor"))
    assert operators(made) == ["aten.mul.Tensor", "aten.sin.default"]


def test_one_of_several_results_is_cut_too():
    def forward(_: Any, x: torch.Tensor) -> torch.Tensor:
        one, other = x.split(2)
        return one.exp() * other.sin()

    made = reduced(candidate_of(Model(forward), torch.randn(4)), computes("aten.sin.default"))
    assert operators(made) == ["aten.sin.default"]


def test_parameters_become_arguments_and_those_that_are_not_needed_are_dropped():
    module = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(8, 8))
    made = reduced(candidate_of(module, torch.randn(2, 8)), computes("aten.linear.default"))
    program = made.candidate.program
    assert (dict(program.state_dict), dict(program.constants)) == ({}, {})
    assert [tuple(each.shape) for each in made.candidate.calls[0].args] == [(1, 1), (1, 1), (1,)]


def test_sizes_in_the_arguments_of_operators_are_halved_too():
    def forward(_: Any, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(4, 12).sin()

    names = ("aten.sin.default", "aten.reshape.default")
    made = reduced(candidate_of(Model(forward), torch.randn(4, 3, 4)), computes(*names))
    assert operators(made) == ["aten.reshape.default", "aten.sin.default"]
    assert [tuple(each.shape) for each in made.candidate.calls[0].args] == [(1, 1, 1)]


def _needs_mutation(program: ExportedProgram, calls: tuple[Inputs, ...]) -> bool:
    module = program.module()
    before = [each.clone() for each in module.buffers()]
    module(*calls[0].args)
    return any(not torch.equal(one, other) for one, other in zip(before, module.buffers(), strict=True))


def _counting(self: Any, x: torch.Tensor) -> torch.Tensor:
    self.count.add_(1)
    self.total.copy_(self.total + x.sum())
    return (x + self.count).sin()


def test_a_finding_of_an_effect_keeps_the_mutation():
    module = Model(_counting, count=torch.zeros(()), total=torch.zeros(()))
    for candidate in (candidate_of(module, torch.ones(3)), _lowered(candidate_of(module, torch.ones(3)))):
        made = reduced(candidate, _needs_mutation)
        assert made.nodes <= 2, operators(made)
        assert len(made.candidate.program.graph_signature.buffers) == 1


def _lowered(candidate: Candidate) -> Candidate:
    return Candidate(candidate.program.run_decompositions(), candidate.calls)


def test_a_finding_of_a_gradient_keeps_requires_grad():
    def still_fails(program: ExportedProgram, calls: tuple[Inputs, ...]) -> bool:
        value = program.module()(*calls[0].args)
        value = value[0] if isinstance(value, tuple) else value
        return value.requires_grad and "aten.sin.default" in _targets(program)

    made = reduced(candidate_of(Model(_chain), torch.randn(3, requires_grad=True)), still_fails, "sin")
    assert operators(made) == ["aten.sin.default"]
    assert [each.requires_grad for each in made.candidate.calls[0].args] == [True]


def _targets(program: ExportedProgram) -> set[str]:
    return {target_text(node.target) for node in program.graph.nodes if node.op == "call_function"}


def _resizing(_: Any, x: torch.Tensor) -> torch.Tensor:
    return x.new_ones(x.shape[0] * 2).sin().reshape(2, -1) + x


def test_symbols_are_dropped_where_the_finding_does_not_need_them():
    candidate = candidate_of(Model(_resizing), torch.randn(4), shapes=(({0: Dim("n", min=3, max=9)},),))
    made = reduced(candidate, computes("aten.new_ones.default", "aten.sin.default"))
    assert operators(made) == ["aten.new_ones.default", "aten.sin.default"]
    assert dict(made.candidate.program.range_constraints) == {}


def test_symbols_are_kept_where_the_finding_needs_them():
    candidate = candidate_of(Model(_resizing), torch.randn(4), shapes=(({0: Dim("n", min=3, max=9)},),))

    def still_fails(program: ExportedProgram, calls: tuple[Inputs, ...]) -> bool:
        return bool(program.range_constraints) and "aten.sin.default" in _targets(program)

    made = reduced(candidate, still_fails)
    assert operators(made)[-1] == "aten.sin.default"
    assert [str(each) for each in made.candidate.program.range_constraints.values()] == ["VR[3, 9]"]


def _branching(_: Any, x: torch.Tensor) -> torch.Tensor:
    return torch.cond(x.sum() > 0, lambda x: x.sin() * 2, lambda x: x.cos() + 1, (x,)) - 1


def test_the_branch_that_is_at_fault_takes_the_place_of_the_condition():
    def still_fails(program: ExportedProgram, calls: tuple[Inputs, ...]) -> bool:
        program.module()(*calls[0].args)
        graphs = [each for each in program.graph_module.modules() if isinstance(each, torch.fx.GraphModule)]
        return any(target_text(node.target) == "aten.sin.default" for each in graphs for node in each.graph.nodes)

    made = reduced(candidate_of(Model(_branching), torch.ones(3)), still_fails, "cond.true[1].sin")
    assert operators(made) == ["aten.sin.default"]


def test_a_condition_that_the_finding_needs_is_kept_and_its_branches_are_reduced():
    def still_fails(program: ExportedProgram, calls: tuple[Inputs, ...]) -> bool:
        program.module()(*calls[0].args)
        return any(name.endswith("cond") for name in _targets(program))

    made = reduced(candidate_of(Model(_branching), torch.ones(3)), still_fails)
    assert made.nodes <= 4, made.candidate.program


def test_a_structure_that_the_finding_needs_is_kept():
    class Named(torch.nn.Module):
        def forward(self, given: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            return {"one": given["x"].sin().cos(), "two": given["x"] + 1}

    def still_fails(program: ExportedProgram, calls: tuple[Inputs, ...]) -> bool:
        return set(program.module()(*calls[0].args)) == {"one", "two"}

    made = reduced(candidate_of(Named(), {"x": torch.ones(2)}), still_fails)
    assert made.nodes == 0


def test_the_call_that_shows_the_finding_is_kept_with_the_state_before_it():
    module = Model(_counting, count=torch.zeros(()), total=torch.zeros(()))
    program = torch.export.export(module, (torch.ones(3),))
    calls = (Inputs("first", (torch.ones(3),), {}), Inputs("second", (torch.full((3,), 5.0),), {}))

    def still_fails(program: ExportedProgram, calls: tuple[Inputs, ...]) -> bool:
        module = program.module()
        value = [module(*call.args) for call in calls][-1]
        return bool((value == torch.tensor(7.0).sin()).all())

    made = reduced(Candidate(program, calls), still_fails)
    assert [call.label for call in made.candidate.calls] == ["second"]


def test_a_candidate_that_raises_is_not_the_finding():
    def still_fails(program: ExportedProgram, calls: tuple[Inputs, ...]) -> bool:
        if "aten.tanh.default" not in _targets(program):
            raise RuntimeError("another failure")
        return "aten.sin.default" in _targets(program)

    made = reduced(candidate_of(Model(_chain), torch.randn(4)), still_fails)
    assert {"aten.sin.default", "aten.tanh.default"} <= set(operators(made))


def test_the_budget_of_tries_ends_the_search_and_the_result_says_so():
    asked: list[int] = []

    def still_fails(program: ExportedProgram, calls: tuple[Inputs, ...]) -> bool:
        asked.append(1)
        return "aten.sin.default" in _targets(program)

    candidate = candidate_of(Model(_chain), torch.randn(4))
    made = reduce_candidate(candidate, still_fails, budget=Budget(tries=3))
    assert (made.tries, len(asked), made.complete) == (3, 3, False)


def test_the_search_is_deterministic_and_leaves_the_program_as_it_was():
    candidate = candidate_of(Model(_chain), torch.randn(4))
    text = str(candidate.program)
    texts = [str(reduced(candidate, computes("aten.sin.default")).candidate.program) for _ in range(2)]
    assert texts[0] == texts[1]
    assert str(candidate.program) == text


def test_progress_is_reported_in_plain_lines():
    lines: list[str] = []
    reduced(candidate_of(Model(_chain), torch.randn(4)), computes("aten.sin.default"), "sin", report=lines.append)
    assert lines == ["nodes: 6 -> 1 after 2 tries, 0 s (cut at the origin)"]


def test_a_finding_that_does_not_show_each_time_is_counted():
    answers = iter([True, False, True])
    candidate = candidate_of(Model(_chain), torch.randn(4))
    assert starts_failing(candidate, lambda *_: next(answers)) == 2


def test_shed_leaves_what_is_needed():
    def drop(chunk: Any) -> bool:
        tried.append(list(chunk))
        return not set(chunk) & {3, 6}

    tried: list[list[int]] = []
    assert shed(range(8), drop) == [3, 6]
    assert len(tried) <= 13
