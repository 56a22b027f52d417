"""The calls of a program that depend on the default dtype, as plain torch shows it."""

from __future__ import annotations

import pytest
import torch

from pytest_exportcheck.describe.defaults import taken_from_defaults

DEPENDING = [
    lambda x, i: torch.zeros(3),
    lambda x, i: torch.arange(0.0, 3.0),
    lambda x, i: torch.full((3,), 2.0),
    lambda x, i: torch.full((3,), 1j),
    lambda x, i: torch.linspace(0, 1, 3),
    lambda x, i: torch.hann_window(3),
    lambda x, i: i / 2,
    lambda x, i: i * 1.5,
    lambda x, i: i.sqrt(),
    lambda x, i: torch.where(i > 0, 1.0, 0.0),
]
INDEPENDENT = [
    lambda x, i: torch.zeros(3, dtype=torch.float32),
    lambda x, i: torch.arange(3),
    lambda x, i: torch.full((3,), 2),
    lambda x, i: x / 2 + i,
    lambda x, i: i.float(),
    lambda x, i: i.type_as(x),
    lambda x, i: i.sum(dtype=torch.float64),
    lambda x, i: x.new_zeros(3),
    lambda x, i: torch.zeros_like(x),
    lambda x, i: i // 2,
]


class Net(torch.nn.Module):
    def __init__(self, run):
        super().__init__()
        self.run = run

    def forward(self, x, i):
        return self.run(x, i)


def program(run):
    x, i = torch.rand(3, dtype=torch.float64), torch.arange(3)
    return torch.export.export(Net(run), (x, i))


def taken(graph):
    return [what for node in graph.nodes for what in taken_from_defaults(node)]


def dtype_under(program, default):
    before = torch.get_default_dtype()
    torch.set_default_dtype(default)
    try:
        return program.module()(torch.rand(3, dtype=torch.float64), torch.arange(3)).dtype
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("run", DEPENDING)
def test_a_call_that_depends_on_the_default_dtype_is_found(run):
    made = program(run)
    assert dtype_under(made, torch.float32) != dtype_under(made, torch.float64)
    assert taken(made.graph) == ["dtype"]


@pytest.mark.parametrize("run", INDEPENDENT)
def test_any_other_call_is_not(run):
    made = program(run)
    assert dtype_under(made, torch.float32) == dtype_under(made, torch.float64)
    assert taken(made.graph) == []


def test_a_call_that_gives_no_device_is_found():
    graph = program(lambda x, i: torch.zeros(3, dtype=torch.float32)).graph
    (node,) = (each for each in graph.nodes if each.op == "call_function")
    node.kwargs = {"dtype": torch.float32}
    assert taken(graph) == ["device"]


def test_neither_the_default_dtype_nor_the_generator_is_changed():
    made = program(lambda x, i: torch.rand(3))
    before = torch.random.get_rng_state()
    assert taken(made.graph) == ["dtype"]
    assert torch.get_default_dtype() is torch.float32
    assert torch.equal(torch.random.get_rng_state(), before)
