"""Inputs against what ``dynamic_shapes`` declares: forms that no parameter takes, and defects that must show."""

from __future__ import annotations

import pytest
import torch
from torch.export import Dim

from pytest_exportcheck.describe import inputs
from pytest_exportcheck.records import Case, Inputs, Origin

CASE = Case(name="net", build=torch.nn.Identity, origin=Origin("shop", "case_shop.py", 7), args=())


class Variadic(torch.nn.Module):
    def forward(self, x, *rest, **others): ...


CALL = Inputs("a call", (torch.zeros(2), torch.zeros(2)), {"y": torch.zeros(2)})


@pytest.mark.parametrize(
    "shapes",
    [
        {"x": 5},
        {"x": None, "rest": 5},
        {"x": None, "others": 5},
        {"x": {"a": Dim.DYNAMIC}},
        [1, 2, 3, 4, 5],
        {"unknown": {0: Dim.DYNAMIC}},
    ],
)
def test_shapes_of_another_form_are_left_to_torch(shapes):
    inputs.check_inputs(CASE, Variadic(), CALL, CALL, shapes)


def test_inputs_that_the_module_does_not_take_are_left_to_the_call():
    other = Inputs("a call", (), {})
    inputs.check_inputs(CASE, Variadic(), other, other, None)


@pytest.mark.parametrize("part", ["names_of_inputs", "leaf_specs"])
@pytest.mark.parametrize("kind", [TypeError, AttributeError, ValueError])
def test_a_defect_at_looking_is_not_taken_for_inputs_that_fit(monkeypatch, part, kind):
    def broken(*_):
        raise kind("a defect")

    monkeypatch.setattr(inputs, part, broken)
    with pytest.raises(kind, match="a defect"):
        inputs.check_inputs(CASE, Variadic(), CALL, CALL, None)
