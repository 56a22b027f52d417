"""Dynamic shapes in every form that torch takes: the reference exporter makes the same program of them, or refuses as torch does."""

from __future__ import annotations

import inspect
import re
import warnings
from functools import partial
from typing import Any

import pytest
import torch
from torch._dynamo.exc import UserError
from torch.export import Dim, ShapesCollection
from torch.export.dynamic_shapes import refine_dynamic_shapes_from_suggested_fixes

from pytest_exportcheck import reference
from tests.differential.captures import compared
from tests.differential.populations import Model, run

D = Dim("d", min=2, max=64)
ROOT = Dim("rows", min=3, max=20)


class Forms(torch.nn.Module):
    """Two tensors of which the second is the first one's rows, shifted, a list, a dict, a number; what nobody mixes stays apart."""

    def forward(self, x, y, rest=(), *, named=None, number=3):
        total = x.sum() + y.sum() + sum(each.sum() for each in rest) + number
        return total, x * 2, *(value + 1 for value in (named or {}).values())


class Shifted(torch.nn.Module):
    def forward(self, x, y):
        return x + y[1:]


class Halves(torch.nn.Module):
    def forward(self, x, y):
        return x[::2] + y, x


class Three(torch.nn.Module):
    def forward(self, x, y, z):
        return x[1:] + y + z[:-1]


def matrix(rows, columns=2):
    return torch.randn(rows, columns)


PAIR = (matrix(4), matrix(4))
#: Form -> module, positional arguments, keyword arguments, dynamic shapes.
ACCEPTED: dict[str, tuple[torch.nn.Module, tuple[Any, ...], dict[str, Any], Any]] = {
    "nothing": (Forms(), PAIR, {}, None),
    "empty": (Forms(), PAIR, {}, {}),
    "by name": (Forms(), PAIR, {}, {"x": {0: D}, "y": {1: Dim("e")}}),
    "by position": (Forms(), PAIR, {}, ({0: D}, None)),
    "as a list": (Forms(), PAIR, {}, [{0: D}, {0: Dim("e")}]),
    "per dimension as a tuple": (Forms(), PAIR, {}, {"x": (D, None), "y": (None, None)}),
    "per dimension as a list": (Forms(), PAIR, {}, {"x": [D, None], "y": None}),
    "one dim twice": (torch.nn.Bilinear(2, 2, 2), PAIR, {}, ({0: D}, {0: D})),
    "hints": (Forms(), PAIR, {}, {"x": {0: Dim.AUTO, 1: Dim.STATIC}, "y": {0: Dim.DYNAMIC}}),
    "hints for all": (Forms(), PAIR, {}, {"x": (Dim.AUTO, Dim.AUTO), "y": (Dim.AUTO, Dim.AUTO)}),
    "hints with ranges": (Forms(), PAIR, {}, {"x": {0: Dim.AUTO(min=2, max=9)}, "y": {0: Dim.DYNAMIC(max=8)}}),
    "sizes": (Forms(), PAIR, {}, {"x": {0: 4, 1: 2}, "y": {0: None}}),
    "a number that is dynamic": (Forms(), PAIR, {"number": 5}, {"x": None, "y": None, "number": Dim.DYNAMIC}),
    "a number that is not": (Forms(), PAIR, {"number": 5}, {"x": None, "y": None, "number": None}),
    "trees": (
        Forms(),
        (*PAIR, [matrix(3), matrix(5)]),
        {"named": {"a": matrix(6), "b": matrix(7)}},
        {"x": {0: D}, "y": None, "rest": [{0: Dim("r")}, {}], "named": {"a": {0: Dim("n")}, "b": None}},
    ),
    "trees by position": (
        Forms(),
        (*PAIR, [matrix(3), matrix(5)]),
        {"named": {"a": matrix(6)}},
        ({0: D}, None, [None, {0: Dim("r")}], {"a": {0: Dim("n")}}),
    ),
    "d + 1": (Shifted(), (matrix(4), matrix(5)), {}, {"x": {0: D}, "y": {0: D + 1}}),
    "d - 1": (Shifted(), (matrix(4), matrix(5)), {}, {"x": {0: D - 1}, "y": {0: D}}),
    "2 d": (Halves(), (matrix(8), matrix(4)), {}, {"x": {0: 2 * D}, "y": {0: D}}),
    "2 d - 1": (Halves(), (matrix(7), matrix(4)), {}, {"x": {0: 2 * D - 1}, "y": {0: D}}),
    "out of order": (Three(), (matrix(5), matrix(4), matrix(5)), {}, ({0: ROOT + 1}, {0: ROOT}, {0: ROOT + 1})),
    "a root that is no input": (
        Three(),
        (matrix(7), matrix(6), matrix(7)),
        {},
        ({0: 2 * D + 1}, {0: 2 * D}, {0: 2 * D + 1}),
    ),
}
REFUSED = {
    "tied by the model": (Shifted(), (matrix(4), matrix(5)), {}, {"x": {0: D}, "y": {0: Dim("e")}}),
    "fixed by the model": (torch.nn.Linear(2, 2), (matrix(4),), {}, ({1: D},)),
    "outside its range": (Forms(), PAIR, {}, {"x": {0: Dim("far", min=5)}, "y": None}),
    "not of its form": (Halves(), (matrix(8), matrix(4)), {}, {"x": {0: 2 * D + 1}, "y": {0: D}}),
    "two definitions": (Forms(), PAIR, {}, {"x": {0: Dim("same", max=8)}, "y": {0: Dim("same", max=9)}}),
    "another size": (Forms(), PAIR, {}, {"x": {0: 5}, "y": None}),
    "no such input": (Forms(), PAIR, {}, {"x": {0: D}, "z": None}),
    "no such dimension": (Forms(), PAIR, {}, {"x": {2: D}, "y": None}),
    "too few": (Forms(), PAIR, {}, ({0: D},)),
    "another structure": (Forms(), (*PAIR, [matrix(3)]), {}, {"x": None, "y": None, "rest": {"a": None}}),
    "a dim for a number": (Forms(), PAIR, {"number": 5}, {"x": None, "y": None, "number": D}),
    "always of one size": (Forms(), (matrix(1), matrix(1)), {}, {"x": {0: Dim.DYNAMIC}, "y": None}),
}


def export(by, module, args, kwargs, shapes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return by(module, args, kwargs, dynamic_shapes=shapes)


@pytest.mark.parametrize("form", ACCEPTED)
def test_the_program_is_torchs(form):
    module, args, kwargs, _ = ACCEPTED[form]
    theirs, ours = export(torch.export.export, *ACCEPTED[form]), export(reference.export, *ACCEPTED[form])
    model = Model(form, lambda: module, args, kwargs)
    assert set(compared(ours, theirs, partial(run, model)).values()) == {""}


@pytest.mark.parametrize("form", REFUSED)
def test_what_torch_refuses_is_refused(form):
    with pytest.raises(Exception):  # noqa: B017 -- of whichever type
        export(torch.export.export, *REFUSED[form])
    with pytest.raises((reference.ExportError, UserError)) as refused:
        export(reference.export, *REFUSED[form])
    assert re.search(r"[xy]|dim|same", str(refused.value))


def test_a_collection_goes_by_the_tensors():
    x, y = PAIR
    shapes = ShapesCollection()
    shapes[x] = {0: D}
    program = reference.export(Forms(), (x, y), dynamic_shapes=shapes)
    assert [(bounds.lower, bounds.upper) for bounds in program.range_constraints.values()] == [(2, 64)]
    assert program.module()(matrix(9), y)[1].shape == (9, 2)


SENTENCES = {
    "a size": (
        (matrix(4),),
        {"x": {0: 5}},
        "Static shape constraint of 5 does not match input size of 4, for L['x'].size()[0]",
    ),
    "a range": ((matrix(4),), {"x": {0: Dim("far", min=9)}}, "4 not in range [9, int_oo]"),
    "a form": (
        (matrix(4),),
        {"x": {0: 2 * Dim("b") + 1}},
        "Expected shape[0] = 4 of input Tensor to be of the form 2*b + 1, where b is an integer",
    ),
    "a hint": (
        (matrix(1),),
        {"x": {0: Dim.DYNAMIC}},
        "Found the following conflicts between user-specified ranges and inferred ranges from model tracing",
    ),
    "the range of a hint": (
        (matrix(1),),
        {"x": {0: Dim.AUTO(min=2)}},
        "Found the following conflicts between user-specified ranges and inferred ranges from model tracing",
    ),
}


class One(torch.nn.Module):
    def forward(self, x):
        return x + 1


@pytest.mark.parametrize("name", SENTENCES)
def test_a_refusal_has_torchs_sentence(name):
    args, shapes, sentence = SENTENCES[name]
    for by in (torch.export.export, reference.export):
        with pytest.raises(Exception, match=re.escape(sentence)):
            export(by, One(), args, {}, shapes)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(("module", "sizes"), [(Shifted(), (4, 5)), (torch.nn.Bilinear(2, 2, 2), (4, 4))])
def test_the_suggested_fixes_are_in_the_form_that_torch_reads(module, sizes, strict):
    names = list(inspect.signature(module.forward).parameters)
    args, shapes = tuple(map(matrix, sizes)), {names[0]: {0: Dim("d")}, names[1]: {0: Dim("e")}}
    with pytest.raises(reference.ConstraintViolation) as refused:
        reference.export(module, args, dynamic_shapes=shapes, strict=strict)
    refined = refine_dynamic_shapes_from_suggested_fixes(str(refused.value), shapes)
    assert reference.export(module, args, dynamic_shapes=refined, strict=strict).module()(*args).shape[0] == 4
