"""Budgets of a case against what its model returns: each must name an output that exists, and measure it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

import torch

from pytest_exportcheck.checks.compare.budgets import is_measured
from pytest_exportcheck.errors import CaseError
from pytest_exportcheck.records import Agreement, Case, Leaf, Observation
from pytest_exportcheck.records.budgets import names_output


def check_budgets(case: Case, observed: Observation) -> None:
    """Compare the budgets of a case with the outputs of a call of its model.

    Raises
    ------
    CaseError
        When a budget names no output, or has no measure for any of the outputs that it names.
    """
    outputs = observed.outputs
    wrong = [problem for budget in case.agreement.values() for problem in _problems(budget, outputs)]
    if wrong and not observed.raised:
        raise CaseError(f"case {case.name!r} ({case.origin}): {wrong[0]}")


def _problems(budget: Agreement, outputs: Sequence[Leaf]) -> Iterator[str]:
    for name, each in budget.outputs.items():
        named = [leaf for number, leaf in enumerate(outputs) if names_output(name, leaf.place, number)]
        if not named:
            yield (
                f"agreement names the output {name!r}, which the model does not return{_meant(name, outputs)} "
                f"Outputs: {', '.join(f'{number} ({leaf.place})' for number, leaf in enumerate(outputs)) or 'none'}."
            )
        elif not any(isinstance(leaf.value, torch.Tensor) and is_measured(leaf.value, each) for leaf in named):
            kinds = " and ".join(f"{leaf.place} is {_kind(leaf)}" for leaf in named)
            yield (
                f"agreement gives the output {name!r} {', '.join(each.limits)}, which cannot be measured: {kinds}. "
                "Integer and boolean outputs have top1 only; top1 of floating-point outputs needs a last dim of 2 or more."
            )


def _kind(leaf: Leaf) -> str:
    return f"{leaf.facts.dtype}{list(leaf.facts.shape)}" if leaf.facts else type(leaf.value).__name__


def _meant(name: int | str, outputs: Sequence[Leaf]) -> str:
    """Return the nearest name as the user may write it."""
    short = [leaf.place.removeprefix("output").strip("[].'") for leaf in outputs]
    near = difflib.get_close_matches(str(name), [*short, *(leaf.place for leaf in outputs)], n=1)
    return f"; did you mean {near[0]!r}?" if near and isinstance(name, str) else "."
