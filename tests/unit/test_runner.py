"""Items in any order: captures shared, artifacts released, nobody spoiled by another's stage."""

from __future__ import annotations

import copy
import gc
import random
import weakref
from contextlib import contextmanager

import pytest
import torch

from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.errors import Unsupported
from pytest_exportcheck.modes import Lattice, Mode
from pytest_exportcheck.records import Case, Expectation, Origin
from pytest_exportcheck.runner import Runner
from pytest_exportcheck.snapshot import global_modes

ORIGIN = Origin("shop", "case_shop.py", 7)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)
        self.register_buffer("total", torch.zeros(2))

    def forward(self, x):
        self.total.add_(x.sum(0))
        return self.layer(x)


class Program:
    """A program that is the module itself, or what a test makes of it."""

    def __init__(self, module):
        self._module = module

    def module(self):
        return self._module


class Echo:
    """Exports copies, notes what it was asked for, and remembers its programs weakly."""

    name = "echo"

    def __init__(self):
        self.calls, self.programs = [], []

    def _made(self, what, module):
        program = Program(module)
        self.calls.append(what)
        self.programs.append((what, weakref.ref(program)))
        return program

    def export(self, module, args, kwargs=None, *, dynamic_shapes=None, strict=False, pre_dispatch=True):
        return self._made("strict" if strict else "nonstrict", copy.deepcopy(module))

    def decompose(self, program, decomp_table=None):
        return self._made("decompose", copy.deepcopy(program.module()))

    def unflatten(self, program):
        self.calls.append("unflatten")
        return copy.deepcopy(program.module())

    def alive(self):
        gc.collect()
        return [what for what, program in self.programs if program() is not None]


class Doubling(torch.nn.Module):
    """Another module's state, and outputs that are wrong."""

    def __init__(self, module):
        super().__init__()
        self.__dict__.update(module.__dict__)
        self.real = type(module).forward

    def forward(self, x):
        return self.real(self, x) * 2


def case(build=Net, name="net", **options):
    return Case(name=name, build=build, origin=ORIGIN, args=lambda: (torch.randn(3, 2),), **options)


def modes(*texts):
    return [Mode(tuple(text.split("-"))) for text in texts]


class Session:
    """A runner that was told about the items of one engine."""

    def __init__(self, engine, *cases, wanted, **options):
        self.engine = as_engine(engine)
        self.runner = Runner({self.engine.name: self.engine}, **options)
        self.items = [(each, self.engine.name, mode) for each in cases for mode in wanted]
        self.runner.select(self.items)

    def run(self, *texts, of=None):
        given = of or self.items[0][0]
        outcomes = [self.runner.run(given, self.engine.name, mode) for mode in modes(*texts)]
        return outcomes if len(outcomes) > 1 else outcomes[0]

    def run_all(self, order=None):
        return {(item[0].name, str(item[2])): self.runner.run(*item) for item in order or self.items}


def verdicts(outcomes):
    return {key: (outcome.status, outcome.reason, outcome.findings) for key, outcome in outcomes.items()}


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
    lattice = Lattice.of(as_engine(engine()).captures, as_engine(engine()).edges)
    wanted = [mode for mode in lattice.to_depth(3) if mode.capture in ("nonstrict", "strict")]
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


class Editing(TorchExport):
    """Decomposing updates a weight of the program that it is given."""

    name = "editing"

    def __init__(self):
        self.captures_made = 0

    def export(self, *args, **kwargs):
        self.captures_made += 1
        return super().export(*args, **kwargs)

    def decompose(self, program, decomp_table=None):
        decomposed = super().decompose(copy.deepcopy(program), decomp_table)
        program.state_dict["layer.weight"].data[0, 0] += 1
        return decomposed


def test_a_stage_that_edits_its_input_is_named():
    outcome = Session(Editing(), case(), wanted=modes("nonstrict-decompose")).run("nonstrict-decompose")
    finding = outcome.findings[0]
    assert (outcome.status, finding.check, finding.kind) == ("failed", "stage", "edited")
    assert (finding.place, finding.expected, finding.actual) == (
        "input program's state",
        "unchanged by decompose",
        "changed",
    )


class EditingAsDeclared(Editing):
    """Unflatten drops a bias from the graph that it is given, and is declared to edit its input."""

    def unflatten(self, program):
        module = super().unflatten(copy.deepcopy(program))
        linear = next(node for node in program.graph.nodes if "linear" in str(node.target))
        linear.args = linear.args[:2]
        program.graph_module.recompile()
        return module


def test_a_graph_that_a_stage_edited_as_it_declares_is_made_again_for_the_others():
    engine = EditingAsDeclared()
    names = ["nonstrict-unflatten", "nonstrict-serdes", "nonstrict"]
    outcomes = Session(engine, case(), wanted=modes(*names)).run(*names)
    assert [(outcome.status, outcome.findings) for outcome in outcomes] == [("passed", ())] * 3
    assert engine.captures_made == 2


def test_weights_that_a_stage_edited_are_made_again_for_the_others():
    engine = Editing()
    names = ["nonstrict-decompose", "nonstrict-serdes"]
    _, serdes = Session(engine, case(), wanted=modes(*names)).run(*names)
    assert engine.captures_made == 2
    assert (serdes.status, serdes.findings) == ("passed", ())


class EditingTheModule(Echo):
    """The capture runs the module, and so updates its buffer."""

    def export(self, module, args, kwargs=None, **options):
        program = super().export(module, args, kwargs, **options)
        module(*args)
        return program


def test_a_capture_that_changes_the_module_is_named_and_undone():
    nonstrict, strict = Session(EditingTheModule(), case(), wanted=modes("nonstrict", "strict")).run(
        "nonstrict", "strict"
    )
    assert [(each.check, each.place, each.kind) for each in nonstrict.findings] == [("stage", "module total", "edited")]
    assert nonstrict.findings == strict.findings


class ChangingModes(Echo):
    """The capture leaves gradients switched off."""

    def export(self, module, args, kwargs=None, **options):
        torch.set_grad_enabled(False)
        return super().export(module, args, kwargs, **options)


def test_a_capture_that_leaves_a_global_mode_changed_is_named_and_undone():
    before = global_modes()
    (finding,) = Session(ChangingModes(), case(), wanted=modes("nonstrict")).run("nonstrict").findings
    assert (finding.place, finding.kind, finding.expected, finding.actual) == ("grad mode", "edited", "True", "False")
    assert global_modes() == before


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
    assert (outcome.status, finding.check, finding.place, finding.kind, finding.expected) == (
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
    assert (finding.kind, finding.expected) == ("raised", "a program that can be called")
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
    class Unstable(torch.nn.Module):
        runs = 0

        def forward(self, x):
            type(self).runs += 1
            return x + 1e-9 * type(self).runs

    given = Case(name="net", build=Unstable, origin=ORIGIN, args=lambda: (torch.zeros(1),))
    outcome = Session(Echo(), given, wanted=modes("nonstrict")).run("nonstrict")
    assert outcome.notes == ("eager is not bit-stable from run to run: values are compared with a tolerance",)


def test_the_users_module_is_as_it_was():
    own = Net()
    own.layer.weight.grad = torch.ones(2, 2)
    before = copy.deepcopy(own.state_dict())
    Session(EditingTheModule(), case(lambda: own, train=None), wanted=modes("nonstrict")).run("nonstrict")
    assert own.training
    assert own.layer.weight.grad.tolist() == [[1, 1], [1, 1]]
    assert all(torch.equal(value, before[name]) for name, value in own.state_dict().items())


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
