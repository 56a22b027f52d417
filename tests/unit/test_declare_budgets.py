"""Budgets and samples of a case: the forms that are accepted, and what is said of the others."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from pytest_exportcheck.declare import case_of
from pytest_exportcheck.errors import DeclarationError
from pytest_exportcheck.records import Agreement, Case, Origin


def declared(**options: Any) -> Case:
    return case_of(torch.nn.ReLU, Origin("m", "case_m.py", 3), **options)


def test_one_budget_is_for_every_runtime() -> None:
    budget, other = Agreement(top1=1), Agreement(max_abs=0)
    assert declared(agreement=budget).agreement == {"*": budget}
    named = declared(agreement={"onnx": budget, "*": other})
    assert [named.agreement_of(each) for each in ("onnx", "aoti")] == [budget, other]
    assert declared(agreement={"onnx": budget}).agreement_of("aoti") is None
    assert declared(agreement=None).agreement_of("aoti") is None


@pytest.mark.parametrize(
    ("agreement", "message"),
    [
        (30, "agreement takes an Agreement(...), or a mapping of runtimes to them, got 30."),
        ({"onnx": {"top1": 1}}, "agreement['onnx'] must be an Agreement(...), got {'top1': 1}."),
        (Agreement(), "agreement measures nothing: give it sqnr_db, cosine, top1, max_abs or outputs."),
        (Agreement(cosine=2), "agreement: cosine takes a number from -1 to 1, got 2."),
        (Agreement(top1=99), "agreement: top1 takes a number from 0 to 1, got 99."),
        (Agreement(max_abs=-1), "agreement: max_abs takes a finite number of at least 0, got -1."),
        (Agreement(sqnr_db=math.nan), "agreement: sqnr_db takes a finite number, got nan."),
        (Agreement(top1=True), "agreement: top1 takes a number from 0 to 1, got True."),
        (Agreement(sqnr_db="30"), "agreement: sqnr_db takes a finite number, got '30'."),  # type: ignore[arg-type]
        (
            {"onnx": Agreement(outputs={"logits": Agreement()})},
            "agreement['onnx'].outputs['logits'] measures nothing: give it sqnr_db, cosine, top1, max_abs or outputs.",
        ),
        (
            Agreement(outputs={1.5: Agreement(top1=1)}),  # type: ignore[dict-item]
            "agreement: outputs are named by number or by path, such as 0 or 'logits', got 1.5.",
        ),
        (
            Agreement(top1=1, outputs=["logits"]),  # type: ignore[arg-type]
            "agreement: outputs maps the outputs of the model to budgets, which have no outputs; got ['logits'].",
        ),
    ],
)
def test_a_budget_that_is_none(agreement: object, message: str) -> None:
    with pytest.raises(DeclarationError) as error:
        declared(agreement=agreement)
    assert str(error.value) == f"case_m.py:3: {message}"


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([1], 'samples maps names to inputs, such as {"dog": (image,)}, got [1].'),
        ({"": (1,)}, "samples maps names to inputs, such as {\"dog\": (image,)}, got {'': (1,)}."),
        (
            {"dog": torch.ones(1)},
            "sample 'dog' must be a tuple of positional arguments, a dict of keyword arguments, a tuple of both, or a callable "
            "that returns one of these, got Tensor. For one argument write (x,).",
        ),
    ],
)
def test_samples_that_are_none(samples: object, message: str) -> None:
    with pytest.raises(DeclarationError) as error:
        declared(samples=samples)
    assert str(error.value) == f"case_m.py:3: {message}"


def test_a_sample_is_not_made_before_the_case_is_run() -> None:
    assert list(declared(samples={"dog": lambda: 1 / 0}).samples) == ["dog"]
