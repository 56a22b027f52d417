"""Items in any order: captures shared, artifacts released, nobody spoiled by another's stage."""

from __future__ import annotations

import gc
import itertools
import random
import weakref
from contextlib import contextmanager

import pytest
import torch

from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.errors import Unsupported
from pytest_exportcheck.modes import ModeTree
from pytest_exportcheck.records import Case, Expectation, NodeRun, Raised, Stopped
from pytest_exportcheck.reports.wording import kind_of
from tests.unit.echo_session import ORIGIN, Doubling, Echo, Net, Session, case, modes, verdicts


def test_a_sound_engine_passes():
    outcome = Session(Echo(), case(), wanted=modes("nonstrict")).run("nonstrict")
    assert (outcome.case, outcome.engine, outcome.mode, outcome.status) == ("net", "echo", "nonstrict", "passed")


def test_a_capture_is_made_once_for_all_modes_behind_it():
    echo = Echo()
    names = ["nonstrict", "nonstrict-decompose", "nonstrict-decompose-decompose", "nonstrict-unflatten"]
    Session(echo, case(), wanted=modes(*names)).run(*names)
    assert echo.calls == ["nonstrict", "decompose", "decompose", "unflatten"]


def test_a_capture_is_made_once_however_the_items_come():
    echo = Echo()
    names = ["nonstrict-decompose-unflatten", "nonstrict", "nonstrict-unflatten", "nonstrict-decompose"]
    Session(echo, case(), wanted=modes(*names)).run(*names)
    assert sorted(echo.calls) == ["decompose", "nonstrict", "unflatten", "unflatten"]


def test_the_seconds_of_a_shared_stage_are_reported_once():
    names = ["nonstrict-decompose", "nonstrict"]
    first, second = Session(Echo(), case(), wanted=modes(*names)).run(*names)
    assert set(first.seconds) == {"echo-nonstrict", "echo-nonstrict-decompose"}
    assert second.seconds == {}


def test_an_artifact_is_released_when_nothing_needs_it():
    echo = Echo()
    names = ["nonstrict-decompose", "nonstrict", "strict"]
    session = Session(echo, case(), wanted=modes(*names))
    session.run("nonstrict-decompose")
    assert echo.alive() == ["nonstrict"]
    session.run("nonstrict")
    assert echo.alive() == []


def test_artifacts_are_released_with_the_case():
    echo = Echo()
    session = Session(echo, case(), wanted=modes("nonstrict-decompose"))
    session.run("nonstrict-decompose")
    assert echo.alive() == []


def test_the_module_is_released_with_the_case():
    built = []

    def build():
        module = Net()
        built.append(weakref.ref(module))
        return module

    Session(Echo(), case(build), wanted=modes("nonstrict")).run("nonstrict")
    gc.collect()
    assert built[0]() is None


def test_another_case_releases_the_one_before_even_when_it_is_not_done():
    echo = Echo()
    first, second = case(name="first"), case(name="second")
    session = Session(echo, first, second, wanted=modes("nonstrict", "nonstrict-decompose", "strict"))
    session.run("nonstrict", of=first)
    assert echo.alive() == ["nonstrict"]
    session.run("strict", of=second)
    assert echo.alive() == []


def test_a_case_that_is_come_back_to_is_set_up_again_with_the_same_outcome():
    first, second = case(name="first"), case(name="second")
    session = Session(Echo(), first, second, wanted=modes("nonstrict", "strict"))
    order = [session.items[place] for place in (0, 2, 1, 3)]
    assert {outcome.status for outcome in session.run_all(order).values()} == {"passed"}


class Faulty(Echo):
    """Decomposing spoils outputs, unflatten is unsupported behind strict, strict capture raises for one case."""

    def decompose(self, program, decomp_table=None):
        return self._made("decompose", Doubling(program.module()))

    def unflatten(self, program):
        raise Unsupported("no unflatten")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("engine", [Echo, Faulty])
def test_any_order_of_items_gives_the_same_outcomes(engine, seed):
    tree = ModeTree.of(as_engine(engine()).captures, as_engine(engine()).edges)
    wanted = [mode for mode in tree.to_depth(3) if mode.capture in ("nonstrict", "strict")]
    cases = [case(name="one"), case(lambda: Net().requires_grad_(False), name="two")]
    planned = Session(engine(), *cases, wanted=wanted).run_all()
    shuffled = Session(engine(), *cases, wanted=wanted)
    order = random.Random(seed).sample(shuffled.items, len(shuffled.items))
    assert verdicts(shuffled.run_all(order)) == verdicts(planned)


TORCH = ("nonstrict", "nonstrict-decompose", "nonstrict-serdes", "nonstrict-retrace", "nonstrict-unflatten")


def test_torchs_unflatten_coming_first_spoils_nobody():
    session = Session(TorchExport(), case(), wanted=modes(*TORCH))
    outcomes = session.run_all(list(reversed(session.items)))
    assert {outcome.status for outcome in outcomes.values()} == {"passed"}


def test_torch_in_another_order_gives_the_same_outcomes():
    planned = Session(TorchExport(), case(), wanted=modes(*TORCH)).run_all()
    shuffled = Session(TorchExport(), case(), wanted=modes(*TORCH))
    order = random.Random(3).sample(shuffled.items, len(shuffled.items))
    assert verdicts(shuffled.run_all(order)) == verdicts(planned)


def test_a_broken_stage_blocks_what_is_behind_it():
    names = ["nonstrict", "nonstrict-decompose", "nonstrict-decompose-decompose"]
    engine = Faulty()
    outcomes = Session(engine, case(), wanted=modes(*names)).run(*names)
    assert [outcome.status for outcome in outcomes] == ["passed", "failed", "blocked"]
    assert outcomes[2].reason == "blocked by nonstrict-decompose"
    assert engine.calls == ["nonstrict", "decompose"]


def test_an_exception_in_a_stage_is_a_finding():
    class Raising(Echo):
        def decompose(self, program, decomp_table=None):
            raise RuntimeError("no decomposition")

    outcome = Session(Raising(), case(), wanted=modes("nonstrict-decompose")).run("nonstrict-decompose")
    (finding,) = outcome.findings
    assert (outcome.status, finding.check, finding.place, kind_of(finding), finding.expected) == (
        "failed",
        "stage",
        "decompose",
        "raised",
        "a program",
    )
    assert finding.actual.startswith("RuntimeError: no decomposition")


def test_a_program_that_cannot_be_called_is_a_finding():
    class Uncallable(Echo):
        def export(self, module, args, kwargs=None, **options):
            return object()

    (finding,) = Session(Uncallable(), case(), wanted=modes("nonstrict")).run("nonstrict").findings
    assert (kind_of(finding), finding.expected) == ("raised", "a program that can be called")
    assert finding.actual.startswith("AttributeError: 'object' object has no attribute 'module'")


def test_unsupported_without_a_reason_says_so():
    class Refusing(Echo):
        def export(self, module, args, kwargs=None, **options):
            raise Unsupported

    outcome = Session(Refusing(), case(), wanted=modes("nonstrict")).run("nonstrict")
    assert (outcome.status, outcome.reason) == ("unsupported", "unsupported by echo: the engine gives no reason")


def test_a_case_that_cannot_be_set_up_is_one_error_and_blocks_the_rest():
    attempts = []

    def build():
        attempts.append(1)
        raise ValueError("no weights")

    session = Session(Echo(), case(build), wanted=modes("nonstrict", "strict"))
    first, second, again = session.run("nonstrict", "strict", "nonstrict")
    assert first.status == again.status == "error"
    assert first.reason.startswith("case 'net' (case_shop.py:7): its factory raised ValueError: no weights")
    assert (second.status, second.reason) == (
        "blocked",
        "blocked: the case could not be set up (see net[echo-nonstrict])",
    )
    assert attempts == [1]


def test_a_module_that_raises_itself_is_an_error_of_the_case():
    class Raising(torch.nn.Module):
        def forward(self, x):
            raise ValueError("wrong shape")

    outcome = Session(Echo(), case(Raising), wanted=modes("nonstrict")).run("nonstrict")
    assert outcome.status == "error"
    assert outcome.reason.startswith(
        "case 'net' (case_shop.py:7): the module itself raises on its example inputs, "
        "before anything is exported: ValueError: wrong shape"
    )


def test_fresh_inputs_that_eager_refuses_are_a_note():
    class Picky(torch.nn.Module):
        def forward(self, x):
            if x.sum() != 3:
                raise ValueError("not three")
            return x

    draws = iter([torch.ones(3), torch.zeros(3)])
    given = Case(name="net", build=Picky, origin=ORIGIN, args=lambda: (next(draws),))
    outcome = Session(Echo(), given, wanted=modes("nonstrict")).run("nonstrict")
    assert (outcome.status, outcome.notes) == (
        "passed",
        ("fresh inputs were unusable: eager itself refuses them (ValueError)",),
    )


def test_eager_that_is_not_bit_stable_is_a_note_and_compared_with_tolerance():
    runs = itertools.count(1)

    class Unstable(torch.nn.Module):
        def forward(self, x):
            return x + 1e-9 * next(runs)

    given = Case(name="net", build=Unstable, origin=ORIGIN, args=lambda: (torch.zeros(1),))
    outcome = Session(Echo(), given, wanted=modes("nonstrict")).run("nonstrict")
    assert outcome.notes == ("eager is not bit-stable from run to run: outputs are compared with a tolerance",)


def test_the_number_of_threads_is_pinned_for_every_run():
    seen = []

    class Threads(torch.nn.Module):
        def forward(self, x):
            seen.append(torch.get_num_threads())
            return x

    before = torch.get_num_threads()
    Session(Echo(), case(Threads), wanted=modes("nonstrict"), threads=before + 1).run("nonstrict")
    assert set(seen) == {before + 1}
    assert torch.get_num_threads() == before


def test_the_context_of_the_case_is_entered_around_captures_and_runs():
    class Watching(Echo):
        def export(self, module, args, kwargs=None, **options):
            self.calls.append(torch.is_grad_enabled())
            return super().export(module, args, kwargs, **options)

    echo = Watching()
    Session(echo, case(context=torch.no_grad), wanted=modes("nonstrict")).run("nonstrict")
    assert echo.calls == [False, "nonstrict"]


def test_an_expected_failure_is_reported_as_such():
    expectation = Expectation(mode="*-decompose", engine="*", check="*", reason="issue 7", torch="", origin=ORIGIN)
    outcome = Session(Faulty(), case(expect=(expectation,)), wanted=modes("nonstrict-decompose")).run(
        "nonstrict-decompose"
    )
    assert (outcome.status, outcome.reason) == ("expected", "issue 7")


def test_long_steps_are_announced():
    said = []

    @contextmanager
    def progress(what):
        said.append(what)
        yield

    Session(Echo(), case(), wanted=modes("nonstrict"), progress=progress).run("nonstrict")
    assert said == ["setting up net", "running echo-nonstrict of net"]


def test_nodes_that_nobody_could_run_are_told(monkeypatch):
    """The program's own call returns, and yet its val goes unjudged from some node on: never in silence."""
    stopped = Stopped(place="linear", error=Raised("RuntimeError", "no"))
    run = NodeRun(label="on the example inputs", values={}, sizes={}, stopped=stopped)
    monkeypatch.setattr("pytest_exportcheck.run.stage_maker.node_runs", lambda *_: (run,))
    session = Session(as_engine(TorchExport()), case(), wanted=modes("nonstrict"))
    assert session.run("nonstrict").notes == (
        "nonstrict: val is checked only up to linear, which cannot run by itself (RuntimeError: no)",
    )


def test_large_weights_are_given_back_with_the_artifact(monkeypatch):
    """A program is a cycle: without a collection its weights stay until Python happens to collect."""

    class Cyclic(Echo):
        def _made(self, what, module):
            program = super()._made(what, module)
            program.itself = program
            return program

    monkeypatch.setattr("pytest_exportcheck.run.stage_cache.LARGE", 0)
    echo = Cyclic()
    names = ["nonstrict-decompose", "nonstrict", "strict"]
    session = Session(echo, case(), wanted=modes(*names))
    gc.disable()
    try:
        session.run("nonstrict-decompose", "nonstrict")
        assert [what for what, program in echo.programs if program() is not None] == []
    finally:
        gc.enable()
