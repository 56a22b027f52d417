"""Dims that a source gives a model by default, and what is checked where a capture refuses them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pytest_exportcheck.engines.reference import Reference
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.records import Case
from pytest_exportcheck.sources.extent import (
    BATCH_OPTIONS,
    batch_of,
    batched,
    dynamic_batch,
    extent,
    images,
    with_fallbacks,
)
from pytest_exportcheck.sources.spec import parse
from tests.unit.echo_session import ORIGIN, Session, modes


class NotThree(nn.Module):
    """Takes another branch for three rows."""

    def forward(self, x):
        return x + 1 if x.shape[0] != 3 else x - 1


class OneSize(nn.Module):
    def forward(self, x):
        return x * int(x.shape[0]) if x.shape[0] in (4, 5, 6) else x


class Any(nn.Module):
    def forward(self, x):
        return x * 2


def case_of(build, text="shop:net", *, usual=(4, 6)):
    spec = parse(text)
    rows = extent(spec, "rows", usual=usual, least=1, most=16, dynamic=True)
    case = Case(name="net", build=build, origin=ORIGIN, **fields({"rows": rows}))
    return with_fallbacks(case, spec, {"rows": rows}, fields)


def fields(extents):
    rows = extents["rows"]
    return {
        "args": lambda: (torch.randn(rows.draw(), 2),),
        "dynamic_shapes": lambda: ({0: rows.dim()},) if rows.dynamic else None,
    }


def outcomes(case, *names, engine=TorchExport):
    wanted = modes(*names)
    session = Session(engine(), case, wanted=wanted)
    return session.run(*names) if len(names) > 1 else [session.run(*names)]


LONGER = "refuses the default dynamic dims of this source; checked with rows from 4 to 16"
STATIC = "refuses the default dynamic dims of this source; checked with no dynamic dim"


@pytest.mark.parametrize("engine", [TorchExport, Reference])
@pytest.mark.parametrize(("build", "note"), [(NotThree, LONGER), (OneSize, STATIC)])
def test_a_capture_that_refuses_the_default_dims_is_checked_with_others(engine, build, note):
    captured, saved = outcomes(case_of(build), "nonstrict", "nonstrict-serdes", engine=engine)
    assert (captured.status, captured.notes) == ("passed", (f"nonstrict: nonstrict {note}",))
    assert (saved.status, saved.notes) == ("passed", ())


def test_the_dims_of_a_model_that_can_have_them_stay():
    (outcome,) = outcomes(case_of(Any), "nonstrict")
    assert (outcome.status, outcome.notes) == ("passed", ())


def test_what_is_checked_does_not_depend_on_what_ran_before():
    names = ["nonstrict", "nonstrict-serdes", "nonstrict-decompose"]
    together = {each.mode: (each.status, each.findings) for each in outcomes(case_of(NotThree), *names)}
    alone = {each.mode: (each.status, each.findings) for name in names for each in outcomes(case_of(NotThree), name)}
    assert together == alone


def test_a_model_that_no_fallback_suits_fails_for_its_default_dims():
    class Refusing(TorchExport):
        def export(self, *args, **kwargs):
            raise ValueError("Constraints violated (rows)!")

    (outcome,) = outcomes(case_of(Any), "nonstrict", engine=Refusing)
    assert (outcome.status, outcome.notes) == ("failed", ())


def test_an_error_that_is_not_about_sizes_does_not_fall_back():
    calls = []

    class Refusing(TorchExport):
        def export(self, *args, **kwargs):
            calls.append(kwargs["dynamic_shapes"])
            raise ValueError("no")

    (outcome,) = outcomes(case_of(Any), "nonstrict", engine=Refusing)
    assert (outcome.status, len(calls)) == ("failed", 1)


@pytest.mark.parametrize("text", ["timm:net,dynamic=batch", "timm:net,dynamic=none"])
def test_what_a_user_declares_does_not_fall_back(text):
    spec = parse(text)
    batch = batch_of(spec)
    case = Case(name="net", build=Any, origin=ORIGIN, args=lambda: images(batch, (2,)))
    assert with_fallbacks(case, spec, {"batch": batch}, lambda extents: batched((2,), extents)).fallbacks == ()


def test_longer_dims_come_first_then_fewer():
    spec = parse("shop:net")
    dims = {
        "batch": extent(spec, "batch", usual=(2, 4), least=1, most=16, dynamic=True),
        "length": extent(spec, "length", usual=(8, 12), least=2, most=32, dynamic=True),
    }
    case = with_fallbacks(Case(name="net", build=Any, origin=ORIGIN), spec, dims, lambda extents: {"args": (extents,)})
    assert [(each.note, [each.case.args[0][name].dynamic for name in dims]) for each in case.fallbacks] == [
        ("batch from 2 to 16 and length from 4 to 32", [True, True]),
        ("only batch dynamic", [True, False]),
        ("only length dynamic", [False, True]),
        ("no dynamic dim", [False, False]),
    ]
    assert {dim.shortest >= dim.least for each in case.fallbacks for dim in each.case.args[0].values()} == {True}


def test_a_batch_of_images_falls_back_to_one_size():
    assert set(BATCH_OPTIONS) == {"batch", "dynamic"}
    spec = parse("timm:net")
    made = batched((3, 8, 8), {"batch": batch_of(spec)})
    assert made["args"]()[0].shape[1:] == (3, 8, 8)
    assert made["dynamic_shapes"]()[0].keys() == dynamic_batch(batch_of(spec))[0].keys()
