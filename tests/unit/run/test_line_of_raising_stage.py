"""A stage that raises: its finding has the line of user code, in the text and in the report."""

from __future__ import annotations

import inspect

import torch

from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.harness.isolation import line_of_node, node_that_raised
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.records import Case, Finding, Origin
from pytest_exportcheck.reports.failure import failure_text
from pytest_exportcheck.run.runner import Runner


class Branching(torch.nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            return x * 2
        return x


class Plain(torch.nn.Module):
    def forward(self, x):
        return torch.sin(x) @ x.T


class Interpreting(TorchExport):
    """``torch.export``, whose decompositions run the nodes on an input of a wrong shape."""

    def decompose(self, program, decomp_table=None):
        torch.fx.Interpreter(program.graph_module).run(torch.ones(2, 3, 4))
        raise AssertionError("the program ran")


def _line(module: type, text: str) -> str:
    lines, first = inspect.getsourcelines(module)
    number = next(place for place, line in enumerate(lines) if text in line)
    return f"{__file__}:{first + number} in forward: {lines[number].strip()}"


def _found(module, engine, where) -> tuple[Finding, str]:
    case = Case(name="net", build=module, origin=Origin(__name__, __file__, 1), args=(torch.ones(2, 3),))
    made, mode = as_engine(engine), Mode.parse(where)
    runner = Runner({made.name: made}, threads=1)
    runner.select([(case, made.name, mode)])
    outcome = runner.run(case, made.name, mode)
    finding = next(each for each in outcome.findings if each.change == "raised")
    return finding, failure_text(outcome, reproduce="pytest")


def test_a_capture_that_raises_has_the_line_of_the_model_once_in_the_text():
    finding, text = _found(Branching, TorchExport(), "nonstrict")
    line = _line(Branching, "if x.sum() > 0:")
    assert finding.line == line
    assert text.count(line) == 1


def test_an_edge_that_raises_has_the_line_of_the_node_that_it_was_running():
    finding, text = _found(Plain, Interpreting(), "nonstrict-decompose")
    line = _line(Plain, "torch.sin(x)")
    assert finding.line == line
    assert f"    at {line}" in text.splitlines()


def test_an_error_outside_of_a_node_has_no_line():
    try:
        raise ValueError("x")
    except ValueError as error:
        assert node_that_raised(error) is None
        assert line_of_node(error) == ""


def test_the_cause_of_an_error_may_have_the_node():
    graph = torch.fx.Graph()
    graph.output(graph.call_function(torch.reshape, (graph.placeholder("x"), (5,))))
    module = torch.fx.GraphModule(torch.nn.Module(), graph)
    try:
        try:
            torch.fx.Interpreter(module).run(torch.ones(4))
        except RuntimeError as inner:
            raise ValueError("wrapped") from inner
    except ValueError as error:
        node = node_that_raised(error)
        assert node is not None
        assert node.name == "reshape"
        assert line_of_node(error) == ""  # the node has no stack trace
