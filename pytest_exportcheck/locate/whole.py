"""The difference of a whole package, for which it need not be truncated: inputs that are read otherwise, and results
that are another one's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.export.graph_signature import InputKind

from pytest_exportcheck.checks.closeness import Rule
from pytest_exportcheck.describe.graph_inputs import flat_inputs
from pytest_exportcheck.harness._torch import pytree
from pytest_exportcheck.locate.gaps import Gap, gap_between
from pytest_exportcheck.locate.results import Result, results_of
from pytest_exportcheck.locate.sides import Side
from pytest_exportcheck.records import DifferenceOrigin, Inputs, OriginRow


def contiguous_origin(side: Side, call: Inputs, rule: Rule, got: Mapping[str, Any]) -> DifferenceOrigin | None:
    """Return the input that a package reads as if it were contiguous: from its bytes, read so, the program computes
    what the package returns. ``got`` has the results of the package by place.
    """
    outputs = {place: value for place, value in got.items() if place.startswith("output")}
    leaves, spec = pytree.tree_flatten((tuple(call.args), dict(call.kwargs)))
    misread = {number: found for number, leaf in enumerate(leaves) if (found := _as_contiguous(leaf)) is not None}
    for numbers in [[*misread], *([each] for each in misread)] if len(misread) > 1 else [[*misread]] if misread else []:
        given = [misread[number] if number in numbers else leaf for number, leaf in enumerate(leaves)]
        args, kwargs = pytree.tree_unflatten(given, spec)
        again = Inputs(call.label, args, kwargs, call.sizes)
        if not _gaps(results_of(side, again), outputs, rule):
            return _reading(side, call, again, rule)
    return None


def whole_origin(side: Side, call: Inputs, rule: Rule, got: Mapping[str, Any]) -> DifferenceOrigin | None:
    """Return the origin where every value of truncated programs agrees; None where the results agree too."""
    expected = results_of(side, call)
    gaps = _gaps(expected, got, rule)
    for place, gap in gaps.items():
        name = expected[place].node
        moved = place.startswith("input") or any(
            other != place and gap_between(result.value, got[place], rule) is None for other, result in expected.items()
        )
        node = side.named(name)
        return DifferenceOrigin(
            kind="returned" if moved else "whole",
            after=node,
            rows=(OriginRow(node=node, difference=gap.text, inputs_agree=True),) if node else (),
            nonfinite=gap.nonfinite,
            on=call.label,
            near_after=side.near(name),
        )
    return None


def _reading(side: Side, call: Inputs, misread: Inputs, rule: Rule) -> DifferenceOrigin:
    """Describe the first input whose bytes are other values if they are read as contiguous."""
    pairs = zip(*(_user_inputs(side, each) for each in (call, misread)), strict=True)
    name, gap = next(
        (name, gap)
        for (name, before), (_, after) in pairs
        if before is not after and (gap := gap_between(before, after, rule)) is not None
    )
    node = side.named(name)
    rows = (OriginRow(node=node, difference=gap.text, inputs_agree=True),) if node else ()
    return DifferenceOrigin(kind="contiguous", after=node, rows=rows, on=call.label, near_after=side.near(name))


def _user_inputs(side: Side, call: Inputs) -> Iterator[tuple[str, Any]]:
    specs = [each for each in side.program.graph_signature.input_specs if each.kind is InputKind.USER_INPUT]
    for spec, value in zip(specs, flat_inputs(side.program, call.args, call.kwargs), strict=True):
        yield str(getattr(spec.arg, "name", "")), value


def _as_contiguous(leaf: Any) -> torch.Tensor | None:
    """Return the elements of a tensor in the order of memory, None where that is its order, or it has fewer of them."""
    if not isinstance(leaf, torch.Tensor) or leaf.layout is not torch.strided or leaf.is_nested or leaf.is_contiguous():
        return None
    held = leaf.untyped_storage().nbytes() // leaf.element_size() - leaf.storage_offset()
    if held < leaf.numel():
        return None
    return leaf.detach().as_strided((leaf.numel(),), (1,)).reshape(leaf.shape)


def _gaps(expected: Mapping[str, Result], got: Mapping[str, Any], rule: Rule) -> dict[str, Gap]:
    """Return the differences that are too large, by place."""
    found = {
        place: gap_between(expected[place].value, value, rule) for place, value in got.items() if place in expected
    }
    return {place: gap for place, gap in found.items() if gap is not None and gap.exceeds}


def results_by_place(side: Side, outputs: Any, call: Inputs) -> dict[str, Any]:
    """Return what a package returned, and the inputs after its call, by the places of :func:`results_of`."""
    found = {f"output[{number}]": value for number, value in enumerate(pytree.tree_leaves(outputs))}
    return found | {
        f"input {name}": value for name, value in _user_inputs(side, call) if isinstance(value, torch.Tensor)
    }
