"""Operators that a runtime computes wrongly are found by truncating the program; packages are called in this process."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.fx import GraphModule, Node

from pytest_exportcheck.checks.closeness import Rule
from pytest_exportcheck.describe import graph_inputs
from pytest_exportcheck.errors import RuntimeHung, RuntimeRaised, Unsupported
from pytest_exportcheck.harness.isolation import raised_from
from pytest_exportcheck.policy import CLOSE
from pytest_exportcheck.records import DifferenceOrigin, Finding, Inputs
from pytest_exportcheck.run.origins import asks_for_origin
from pytest_exportcheck.run.package_search import PackageSearch, limit_of
from pytest_exportcheck.runtimes.compilation import Compiler
from pytest_exportcheck.runtimes.package import compiled
from pytest_exportcheck.runtimes.package_cache import PackageCache

NEAR = Rule("close", None, CLOSE)
aten = torch.ops.aten
X = torch.linspace(-1, 1, 8).reshape(2, 4)

#: Edits the graph that a package runs.
Fault = Callable[[GraphModule], None]


@dataclass(eq=False)
class Faulty:
    """A runtime whose package is the program with a fault. ``refuses`` raises where a program cannot be compiled,
    ``reads`` changes the inputs, ``compiled`` counts the programs.
    """

    fault: Fault = lambda module: None
    refuses: Callable[[Any], None] = lambda program: None
    reads: Callable[[Any], Any] = lambda leaf: leaf
    returns: Callable[[Any], Any] = lambda outputs: outputs
    programs: dict[Path, Any] = field(default_factory=dict)
    name: str = "faulty"
    needs: tuple[str, ...] = ("torch",)
    extra: str = ""

    def compile(self, program: Any, folder: Path) -> Mapping[str, Any]:
        self.refuses(program)
        self.programs[folder] = program
        return {}

    def load(self, folder: Path) -> Callable[[Sequence[Any]], Any]:
        program = self.programs[folder]
        module = copy.deepcopy(program.graph_module)
        self.fault(module)

        def call(inputs: Sequence[Any]) -> Any:
            given = graph_inputs(program, Inputs("", tuple(map(self.reads, inputs)), {}))
            return self.returns(list(torch.fx.Interpreter(module).run(*given)))

        return call


@dataclass(eq=False)
class Here:
    """The child process, in this process."""

    loaded: dict[str, Any] = field(default_factory=dict)

    def load(self, runtime: Any, folder: Path, package: str) -> float:
        self.loaded[package] = runtime.load(folder)
        return 0.0

    def call(self, runtime: str, package: str, inputs: Sequence[Any], seed: int) -> tuple[list[Any], list[Any], float]:
        with torch.no_grad():
            return list(self.loaded[package](inputs)), list(inputs), 0.0

    def has(self, package: str) -> bool:
        return package in self.loaded

    def drop(self, package: str) -> None:
        self.loaded.pop(package, None)


class Net(torch.nn.Module):
    """A model of a few kinds of operators."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = torch.nn.Linear(4, 6), torch.nn.LayerNorm(6)
        self.register_buffer("calls", torch.zeros(6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls.add_(1)
        y = torch.relu(self.first(x * 2))
        low, high = torch.split(self.norm(y) + self.calls, 3, dim=1)
        y = torch.softmax(low * torch.sigmoid(high), dim=1)
        y = torch.cond(y.sum() > 1, lambda a: a.sin() + 1, lambda a: a.cos() - 1, (y,))
        return torch.sqrt(y.abs().reshape(-1, 3) + 1)


@pytest.fixture(scope="module")
def net() -> Any:
    torch.manual_seed(0)
    shapes = {"x": {0: torch.export.Dim("batch", max=16)}}
    return torch.export.export(Net(), (X,), dynamic_shapes=shapes)


@pytest.fixture
def origin(tmp_path: Path) -> Callable[..., DifferenceOrigin | None]:
    def found(
        program: Any,
        runtime: Faulty,
        *args: Any,
        state: Mapping[str, Any] | None = None,
        raised: bool = False,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> DifferenceOrigin | None:
        here, folder = Here(), tmp_path / "package"
        folder.mkdir()
        process: Any = lambda: here  # noqa: E731
        package = compiled(runtime, program, folder, process, Compiler(cache=PackageCache(), timeout=60))
        search = PackageSearch(package, program, tmp_path, 0, clock)
        origin = search.origin(Inputs("the example inputs", args or (X,), {}), state or {}, NEAR, raised=raised)
        package.callable().drop()
        assert not here.loaded
        return origin

    return found


def wrong(target: Any, change: Callable[[Any], Any]) -> Fault:
    """Change the values of an operator."""

    def fault(module: GraphModule) -> None:
        for owner in module.modules():
            if isinstance(owner, GraphModule):
                for node in owner.graph.find_nodes(op="call_function", target=target):
                    _changed(owner, node, change)
                owner.recompile()

    return fault


def _changed(module: GraphModule, node: Node, change: Callable[[Any], Any]) -> None:
    users = [each for each in node.users if each.target is not operator.getitem]
    for result in [each for each in node.users if each.target is operator.getitem] or [node]:
        with module.graph.inserting_after(result):
            made = module.graph.call_function(change, (result,))
        made.meta = dict(result.meta)
        keep = users if result is node else list(result.users)
        for user in [each for each in keep if each is not made]:
            user.replace_input_with(result, made)


def scaled(value: Any) -> Any:
    return value * 1.01


def as_nan(value: Any) -> Any:
    return torch.where(value > value.min(), value, float("nan"))


def reversed_rows(value: Any) -> Any:
    return value.flip(0)


OPERATORS = {
    "mul": (wrong(aten.mul.Tensor, scaled), "mul"),
    "linear": (wrong(aten.linear.default, scaled), "linear"),
    "relu": (wrong(aten.relu.default, scaled), "relu"),
    "norm": (wrong(aten.layer_norm.default, scaled), "layer_norm"),
    "one of several results": (wrong(aten.split.Tensor, scaled), "split"),
    "softmax": (wrong(aten.softmax.int, reversed_rows), "softmax"),
    "sigmoid": (wrong(aten.sigmoid.default, scaled), "sigmoid"),
    "the branch of an operator of higher order": (wrong(aten.sin.default, scaled), "cond"),
    "an operator that writes": (wrong(aten.add_.Tensor, scaled), "add_"),
    "the first NaN": (wrong(aten.sqrt.default, as_nan), "sqrt"),
    "reshape": (wrong(aten.reshape.default, reversed_rows), "reshape"),
}


@pytest.mark.parametrize("fault", OPERATORS)
def test_an_operator_that_is_computed_wrongly_is_named(net: Any, origin: Any, fault: str) -> None:
    edit, name = OPERATORS[fault]
    found = origin(net, Faulty(edit))
    assert (found.kind, found.after.name, found.rows[0].inputs_agree) == ("changed", name, True)
    assert (found.nonfinite, found.remarks) == (fault == "the first NaN", ("alone",))


class Chain(torch.nn.Module):
    """A chain of operators."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return ((x.sin() * 2).cos() + 3).sqrt().sinh()


@pytest.fixture(scope="module")
def chain() -> Any:
    return torch.export.export(Chain(), (X,), dynamic_shapes={"x": {0: torch.export.Dim("batch", max=16)}})


def fused(module: GraphModule) -> None:
    """Compute cos wrongly where its result is added to and nothing else uses it, as a compiler that fuses both."""
    for node in module.graph.find_nodes(op="call_function", target=aten.cos.default):
        if [each.target for each in node.users] == [aten.add.Tensor] and node.args[0].target is aten.mul.Tensor:
            _changed(module, node, scaled)


def at_most(number: int) -> Callable[[Any], None]:
    def refuses(program: Any) -> None:
        if len(program.graph_signature.user_outputs) > number:
            raise Unsupported(f"at most {number} outputs")

    return refuses


def not_ending_at(*targets: Any) -> Callable[[Any], None]:
    """Refuse programs that return one of these operators."""

    def refuses(program: Any) -> None:
        for node in program.graph.output_node().all_input_nodes:
            if node.target in targets:
                raise Unsupported(f"{node.target} cannot be an output")

    return refuses


def test_a_fault_of_two_fused_operators_shows_only_where_nothing_between_them_is_returned(
    chain: Any, origin: Any
) -> None:
    found = origin(chain, Faulty(fused))
    assert (found.kind, found.after.name, found.remarks) == ("changed", "add", ("fused", "together"))


def test_the_program_is_truncated_step_by_step_where_it_cannot_return_every_value(chain: Any, origin: Any) -> None:
    runtime = Faulty(wrong(aten.cos.default, scaled), at_most(2))
    found = origin(chain, runtime)
    assert (found.kind, found.after.name, found.remarks) == ("changed", "cos", ("alone",))
    assert [(row.node.name, row.inputs_agree) for row in found.rows] == [("cos", True)]


def test_an_operator_that_hides_a_fault_of_one_before_it_does_not_hide_the_origin(origin: Any) -> None:
    class Hides(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            wrong = x.sin()
            return (wrong > 2).float() + x.exp().log().tanh() + wrong

    program = torch.export.export(Hides(), (X,))
    assert origin(program, Faulty(wrong(aten.sin.default, scaled), at_most(3))).after.name == "sin"


def test_nodes_at_which_the_program_cannot_be_compiled_are_passed_over(chain: Any, origin: Any) -> None:
    refuses = not_ending_at(aten.mul.Tensor, aten.cos.default)
    found = origin(chain, Faulty(wrong(aten.sqrt.default, scaled), refuses))
    assert (found.kind, found.after.name, found.remarks) == ("changed", "sqrt", ("alone",))


def test_a_range_is_left_where_the_program_cannot_be_compiled_if_it_is_truncated_in_it(chain: Any, origin: Any) -> None:
    refuses = not_ending_at(aten.mul.Tensor, aten.cos.default)
    found = origin(chain, Faulty(wrong(aten.cos.default, scaled), refuses))
    assert (found.kind, found.before.name, found.after.name) == ("uncompiled_between", "mul", "add")
    assert found.reason == "Unsupported: aten.mul.Tensor cannot be an output"


def test_a_program_that_cannot_be_compiled_if_it_is_truncated_has_no_known_origin(origin: Any) -> None:
    class Short(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sin().cos()

    program = torch.export.export(Short(), (X,))

    def refuses(given: Any) -> None:
        if given is not program:
            raise Unsupported("only whole programs\nin many words")

    found = origin(program, Faulty(wrong(aten.sin.default, scaled), refuses))
    assert (found.kind, found.reason) == ("uncompiled", "Unsupported: only whole programs")


def test_time_that_is_over_leaves_a_range(chain: Any, origin: Any) -> None:
    times = iter([0.0, 15.0, 16.0, 17.0])
    runtime = Faulty(wrong(aten.sqrt.default, scaled), at_most(1))
    found = origin(chain, runtime, clock=lambda: next(times))
    assert (found.kind, found.before.name, found.after.name) == ("between", "add", "sinh")


def test_the_time_of_a_search_is_that_of_a_bisection() -> None:
    assert [limit_of(0.1, 1000), limit_of(10.0, 1000), limit_of(10.0, 1)] == [15.0, 140.0, 50.0]


def test_an_operator_that_raises_in_the_package_is_named(chain: Any, origin: Any) -> None:
    def raises(value: Any) -> Any:
        raise RuntimeError("no kernel")

    found = origin(chain, Faulty(wrong(aten.sqrt.default, raises)), raised=True)
    assert (found.kind, found.after.name, found.remarks) == ("call", "sqrt", ("alone",))


def test_outputs_in_another_order_are_returned_wrongly_by_no_operator(origin: Any) -> None:
    class Two(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x.sin(), x.cos()

    calls = iter([True])
    runtime = Faulty(returns=lambda outputs: outputs[::-1] if next(calls, False) else outputs)
    found = origin(torch.export.export(Two(), (X,)), runtime)
    assert (found.kind, found.after.name) == ("returned", "sin")


def test_a_fault_of_the_whole_package_alone_is_said_to_be_one(chain: Any, origin: Any) -> None:
    calls = iter([True])
    found = origin(chain, Faulty(returns=lambda outputs: [each + next(calls, False) for each in outputs]))
    assert (found.kind, found.after.name) == ("whole", "sinh")


def test_an_input_that_is_read_as_contiguous_is_the_origin(chain: Any, origin: Any) -> None:
    def as_contiguous(leaf: torch.Tensor) -> torch.Tensor:
        return leaf.as_strided(leaf.shape, torch.empty(leaf.shape).stride())

    found = origin(chain, Faulty(reads=as_contiguous), X.t().contiguous().t())
    assert (found.kind, found.after.name) == ("contiguous", "x")


def test_an_input_of_which_the_package_reads_another_value_is_the_origin(chain: Any, origin: Any) -> None:
    found = origin(chain, Faulty(reads=lambda leaf: leaf + 1 if torch.equal(leaf, X) else leaf))
    assert (found.kind, found.after.name) == ("input", "x")
    assert [(row.node.name, row.inputs_agree) for row in found.rows] == [("x", True), ("sin", True)]


def test_a_size_that_is_fixed_in_one_operator_shows_at_that_size(net: Any, origin: Any) -> None:
    def fixed(module: GraphModule) -> None:
        for node in module.graph.find_nodes(op="call_function", target=aten.sum.default):
            _changed(module, node, lambda value: value / 4 * 2)

    assert origin(net, Faulty(fixed), torch.rand(4, 4)).after.name == "sum_1"


def test_the_state_of_a_later_call_is_part_of_the_truncated_programs(net: Any, origin: Any) -> None:
    state = {"calls": torch.full((6,), 5.0)}
    found = origin(net, Faulty(wrong(aten.sigmoid.default, scaled)), state=state)
    assert (found.kind, found.after.name) == ("changed", "sigmoid")


def test_a_state_that_is_not_carried_from_call_to_call_is_the_origin_if_every_operator_agrees(
    net: Any, origin: Any
) -> None:
    assert origin(net, Faulty(), state={"calls": torch.full((6,), 5.0)}).kind == "stale"


def test_values_that_are_all_within_their_rounding_have_the_one_that_differs_most(chain: Any, origin: Any) -> None:
    found = origin(chain, Faulty(wrong(aten.cos.default, lambda value: value * (1 + 4e-7))))
    assert (found.kind, found.remarks) == ("rounding", ())


def test_a_package_that_agrees_has_its_difference_outside(chain: Any, origin: Any) -> None:
    assert origin(chain, Faulty()).kind == "outside"


def test_a_package_that_hangs_is_not_searched() -> None:
    def asks(error: Exception) -> bool:
        finding = Finding.of("outputs").at("the call", "raised", "", "a value", "", error=raised_from(error))
        return asks_for_origin(replace(finding, verdict="broken"))

    assert [asks(RuntimeHung("onnx", "call", 9.0, "")), asks(RuntimeRaised("onnx", "call", "Error", ""))] == [
        False,
        True,
    ]
