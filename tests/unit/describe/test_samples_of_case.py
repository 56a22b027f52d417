"""Named inputs are compared with the example and with what ``dynamic_shapes`` declares."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.export import Dim

from pytest_exportcheck.describe import check_sample
from pytest_exportcheck.errors import CaseError
from pytest_exportcheck.records import Case, Inputs, Origin


class Two(torch.nn.Module):
    def forward(self, x: torch.Tensor, y: Any) -> torch.Tensor:
        return x


CASE = Case(name="two", build=Two, origin=Origin("m", "case_m.py", 3))
BATCH = Dim("batch", max=64)


def problem(example: tuple[Any, ...], sample: tuple[Any, ...], shapes: Any = None) -> str:
    """Return the message without its beginning; empty where the sample fits."""
    try:
        check_sample(CASE, Two(), Inputs("the example inputs", example, {}), Inputs("sample 'dog'", sample, {}), shapes)
    except CaseError as error:
        assert str(error).startswith("case 'two' (case_m.py:3): ")
        return str(error).partition("): ")[2]
    return ""


@pytest.mark.parametrize(("rows", "more"), [(0, 0), (5, 10), (32, 64)])
def test_sizes_that_follow_from_one_dim_fit(rows: int, more: int) -> None:
    shapes = {"x": {0: BATCH}, "y": {0: 2 * BATCH}}
    assert problem((torch.ones(2), torch.ones(4)), (torch.ones(rows), torch.ones(more)), shapes) == ""


def test_sizes_of_one_dim_must_agree() -> None:
    example, sample = (torch.ones(2), torch.ones(2)), (torch.ones(3), torch.ones(4))
    assert problem(example, sample, {"x": {0: BATCH}, "y": {0: BATCH}}) == (
        "dim 0 of y is 4 in sample 'dog', but dynamic_shapes declares batch for it, and dim 0 of x is 3; make the sizes agree."
    )


def test_a_size_that_no_root_gives_is_named() -> None:
    example, sample = (torch.ones(4), None), (torch.ones(5), None)
    assert problem(example, sample, {"x": {0: 2 * BATCH}, "y": None}) == (
        "dim 0 of x is 5 in sample 'dog', but dynamic_shapes declares 2*batch for it; make the sizes agree."
    )


def test_a_value_that_a_program_keeps_must_be_that_of_the_example() -> None:
    example = torch.ones(2)
    assert problem((example, 3), (example, 3)) == ""
    assert problem((example, 3), (example, 4)) == (
        "y is 4 in sample 'dog' and 3 in the example inputs, and a program keeps the value of the example; give that value, or "
        "write another case."
    )
    assert problem((example, 3), (example, 4), {"x": None, "y": Dim.DYNAMIC}) == ""


def test_a_hint_leaves_the_size_to_the_capture() -> None:
    assert problem((torch.ones(2), None), (torch.ones(9), None), ({0: Dim.AUTO}, None)) == ""
