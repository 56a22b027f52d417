"""The symbolic expressions of real programs: what export puts into metadata is written as torch does, and comes back."""

from __future__ import annotations

import math

import pytest
import sympy
import torch
from torch._export.serde.serialize import _print_sympy
from torch.export import Dim
from torch.utils import _pytree as pytree

from pytest_exportcheck.reference.pt2.expressions import SymbolTable, parse, write


class Module(torch.nn.Module):
    """A module that does what the function does."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def floor_division(x):
    return x.reshape(-1)[: x.shape[0] // 2], (x.shape[0] + 1) // 3


def modulo(x):
    return x.shape[0] % 3, -(x.shape[0]) % 4


def extremes(x):
    return torch.sym_max(x.shape[0], 5), torch.sym_min(x.shape[0] * 2, x.shape[0] + 9)


def conditions(x):
    n = x.shape[0]
    return torch.sym_not(n == 9), n > 5, torch.sym_ite(n > 6, n, n + 2)


def floats(x):
    return x.shape[0] * 0.5, x.shape[0] / 3, torch.sym_sqrt(x.shape[0]), x.shape[0] ** 0.5, torch.sym_float(x.shape[0])


def rounding(x):
    return round(x.shape[0] * 0.3), round(x.shape[0] * 0.3, 1), math.trunc(x.shape[0] * 0.7), math.ceil(x.shape[0] / 3)


def powers(x):
    return x.shape[0] ** 2, x.new_zeros(x.shape[0] ** 2 + 2 * x.shape[0]), 2 ** x.shape[0]


def convolutions(x):
    x = x.unsqueeze(1)
    for _ in range(3):
        x = torch.nn.functional.conv1d(x, x.new_ones(1, 1, 3), stride=2, padding=1)
    return x.transpose(0, 2).contiguous()


def unbacked(x):
    number = x.sum().to(torch.int64).item()
    torch._check(number >= 2)
    return x.new_zeros(number * 2 + x.shape[0]), x.nonzero(), number // 2, number % 3


def unbacked_float(x):
    number = x.sum().item()
    return number * 2.0, x + number


MODELS = {
    floor_division: {"FloorDiv", "Symbol"},
    modulo: {"Mod", "PythonMod"},
    extremes: {"Max", "Min"},
    conditions: {"Unequality", "StrictGreaterThan"},
    floats: {"Mul", "IntTrueDiv", "OpaqueUnaryFn_sqrt", "ToFloat"},
    rounding: {"RoundToInt", "RoundDecimal", "TruncToInt", "CeilToInt"},
    powers: {"Pow", "Add", "PowByNatural"},
    convolutions: {"FloorDiv", "Add"},
    unbacked: {"Add", "FloorDiv", "Mod", "Symbol"},
    unbacked_float: {"Symbol"},
}


def expressions_of(program):
    """Every symbolic expression of the values in the program's metadata."""
    found = []
    for node in program.graph.nodes:
        for value in pytree.tree_leaves(node.meta.get("val")):
            tensor = isinstance(value, torch.Tensor)
            found += [*value.shape, *value.stride(), value.storage_offset()] if tensor else [value]
    return [each.node.expr for each in found if isinstance(each, (torch.SymInt, torch.SymFloat, torch.SymBool))]


@pytest.fixture(params=MODELS, ids=lambda function: function.__name__)
def exported(request):
    dims = {"x": {0: Dim("rows", min=4, max=64), 1: Dim("columns", min=9, max=640)}}
    module = Module(request.param)
    return torch.export.export(module, (torch.ones(8, 50),), dynamic_shapes=dims), MODELS[request.param]


def test_every_expression_of_a_program_comes_back(exported):
    program, kinds = exported
    reading, writing, expressions = SymbolTable(), SymbolTable(), expressions_of(program)
    for expression in expressions:
        text = write(expression, writing)
        assert text == _print_sympy(expression)
        assert parse(text, reading) == expression
        assert write(parse(text, reading)) == text
    assert kinds <= {type(part).__name__ for each in expressions for part in sympy.preorder_traversal(each)}


def test_ranges_of_a_program_come_back(exported):
    program, _ = exported
    table = SymbolTable()
    for symbol, bounds in program.range_constraints.items():
        for each in (symbol, bounds.lower, bounds.upper):
            assert parse(write(each), table) == each
        assert parse(str(symbol), table) is table.named(str(symbol))


def test_expressions_of_a_program_mean_what_torch_reads(exported):
    program, _ = exported
    functions = {name: value for name, value in vars(torch.utils._sympy.functions).items() if isinstance(value, type)}
    for expression in expressions_of(program):
        text = write(expression)
        assert parse(text, SymbolTable()) == sympy.sympify(text, locals=functions)
