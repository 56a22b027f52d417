"""An engine's own defect never fails the run of a user who ships a model, and hides nothing that torch has too."""

from __future__ import annotations

import pytest
import torch

from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.interop import with_interop
from pytest_exportcheck.errors import Unsupported
from pytest_exportcheck.reports.wording import kind_of
from pytest_exportcheck.run.journal import Journal
from pytest_exportcheck.run.runner import Runner
from tests.unit.echo_session import Doubling, Echo, case, copied, modes


class Torch(Echo):
    """Has the name of the engine that users ship with."""

    name = "torch"


class Opinion(Echo):
    name = "opinion"
    default_modes: tuple[str, ...] = ("nonstrict",)


class Wrong(Opinion):
    """Lowers to a program with wrong outputs."""

    def decompose(self, program, decomp_table=None):
        return self._made("decompose", Doubling(copied(program.module())))


class WrongCapture(Opinion):
    def export(self, module, args, kwargs=None, **options):
        return self._made("nonstrict", Doubling(copied(module)))


class Negated(Doubling):
    def forward(self, x):
        return super().forward(x).to(torch.float64)


class Widened(Opinion):
    """Lowers to a program with another dtype."""

    def decompose(self, program, decomp_table=None):
        return self._made("decompose", Negated(copied(program.module())))


class Stops(Opinion):
    """Refuses with an error of its own type."""

    refusals = (ValueError,)

    def decompose(self, program, decomp_table=None):
        raise ValueError("no rule for this operator")


class BreaksDown(Stops):
    def decompose(self, program, decomp_table=None):
        raise AttributeError("no such thing")


def named(engine, name):
    """The same engine under another name, as a first or a second opinion."""
    options = {"default_modes": (), "refusals": ()} if name == "torch" else {}
    return type(engine.__name__, (engine,), {"name": name, **options})


def run(*engines, of, mode="nonstrict-decompose", only=None, **options):
    """The outcome of one item with these engines in the session; ``only`` the selected ones."""
    made = {each.name: as_engine(each) for each in (engine() for engine in engines)}
    runner = Runner(made, **options)
    item = case()
    (wanted,) = modes(mode)
    runner.select([(item, of, wanted), *((item, each, wanted) for each in only or ())])
    return runner.run(item, of, wanted)


@pytest.mark.parametrize("engine", [Wrong, Widened, Stops, BreaksDown])
@pytest.mark.parametrize("profile, expected", [("ship", "engine_error"), ("conformance", "failed")])
def test_what_only_the_second_opinion_has_fails_who_builds_engines_only(engine, profile, expected):
    outcome = run(Torch, engine, of="opinion", profile=profile)
    assert outcome.status == expected
    assert {(each.verdict, each.fault_of) for each in outcome.findings} == {("engine_error", "opinion")}


@pytest.mark.parametrize("engine", [Wrong, Widened, Stops, BreaksDown])
def test_what_torch_has_too_fails(engine):
    outcome = run(named(engine, "torch"), engine, of="opinion")
    assert (outcome.status, {each.verdict for each in outcome.findings}) == ("failed", {"broken"})


def test_another_difference_than_that_of_torch_is_the_second_opinion_s_own():
    outcome = run(named(Wrong, "torch"), Widened, of="opinion")
    verdicts = {(each.check, kind_of(each)): each.verdict for each in outcome.findings}
    assert verdicts[("outputs", "dtype")] == "engine_error"


def test_where_torch_gets_no_program_nothing_is_excused():
    assert run(named(Stops, "torch"), Wrong, of="opinion").status == "failed"


def test_an_engine_under_test_is_no_second_opinion():
    mine = type("Mine", (Wrong,), {"name": "mine", "default_modes": ()})
    assert run(Torch, mine, of="mine").status == "failed"


def test_without_torch_nothing_is_excused():
    assert run(Wrong, of="opinion").status == "failed"


class Saves(Stops):
    """Saves a file that no other engine can load, and refuses with an error of its own type."""

    name, format, default_modes = "saves", "echo", ()

    def save(self, program, file):
        file.write(b"saved")


class Reads(Echo):
    name, format = "reads", "echo"

    def load(self, file):
        raise LookupError("no table of contents")


def test_an_error_of_the_engine_that_reads_is_shown_as_its_own_and_is_no_engine_error_of_the_one_that_saved():
    engines = with_interop({each.name: as_engine(each) for each in (Saves(), Reads())})
    runner, item, (mode,) = Runner(engines), case(), modes("nonstrict-interop")
    runner.select([(item, "saves", mode)])
    (finding,) = runner.run(item, "saves", mode).findings
    assert (finding.place, finding.change, finding.verdict) == ("reads: interop", "raised", "broken")
    assert finding.expected == "a program that reads loads from the file that saves saved"
    assert finding.error.type == "LookupError"
    assert finding.actual.splitlines()[0] == "LookupError: no table of contents"


def test_torch_is_asked_only_when_the_second_opinion_differs():
    calls = []

    class Asked(Torch):
        def export(self, *args, **kwargs):
            calls.append("export")
            return super().export(*args, **kwargs)

    assert run(Asked, Opinion, of="opinion").status == "passed"
    assert calls == []
    assert run(Asked, Wrong, of="opinion").status == "engine_error"
    assert calls == ["export"]


def test_what_is_behind_a_gap_is_blocked_whether_or_not_its_item_runs():
    outcome = run(Torch, WrongCapture, of="opinion")
    assert (outcome.status, outcome.reason) == ("blocked", "blocked by nonstrict, where the engine itself fails")


def test_where_torch_cannot_go_it_is_asked_for_the_stage_before():
    class Limited(Torch):
        def decompose(self, program, decomp_table=None):
            raise Unsupported("not here")

    assert run(Limited, Wrong, of="opinion").status == "engine_error"

    class Lacking(Torch):
        decompose = None  # type: ignore[assignment]  # the engine lacks it

    assert run(Lacking, Wrong, of="opinion").status == "engine_error"


def test_a_capture_that_torch_lacks_is_not_excused():
    class StrictOnly(Torch):
        def export(self, module, args, kwargs=None, *, dynamic_shapes=None, strict=False, pre_dispatch=True):
            raise Unsupported("strict only")

    assert run(StrictOnly, WrongCapture, of="opinion", mode="nonstrict").status == "failed"


@pytest.mark.parametrize(("engine", "expected"), [(Stops, "failed"), (BreaksDown, "engine_error")])
def test_a_refusal_of_what_torch_gets_wrong_fails(engine, expected):
    assert run(named(Wrong, "torch"), engine, of="opinion").status == expected


def test_a_stage_of_torch_that_was_interrupted_is_not_made_to_judge_the_second_opinion(tmp_path):
    journal, item = Journal(tmp_path), case()
    (mode,) = modes("nonstrict-decompose")
    with journal.running(item, "torch", mode):
        journal.end("ended worker gw0 (crashed) in this run")
    first, second = Torch(), Wrong()
    runner = Runner({each.name: as_engine(each) for each in (first, second)}, journal=journal)
    runner.select([(item, "opinion", mode)])
    outcome = runner.run(item, "opinion", mode)
    assert (outcome.status, {each.verdict for each in outcome.findings}) == ("failed", {"broken"})
    assert first.calls == ["nonstrict"]
