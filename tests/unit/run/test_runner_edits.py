"""Stages that edit what they are given: named, undone, and nobody after them spoiled."""

from __future__ import annotations

import copy

import torch

from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.harness.process_state import global_modes
from pytest_exportcheck.reports.wording import kind_of
from tests.unit.echo_session import Echo, Net, Session, case, modes


def not_lost(outcome):
    return [finding for finding in outcome.findings if finding.verdict != "tolerated"]


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
    assert (outcome.status, finding.check, kind_of(finding)) == ("failed", "stage", "edited")
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
    assert [(outcome.status, not_lost(outcome)) for outcome in outcomes] == [("passed", [])] * 3
    assert engine.captures_made == 2


def test_weights_that_a_stage_edited_are_made_again_for_the_others():
    engine = Editing()
    names = ["nonstrict-decompose", "nonstrict-serdes"]
    _, serdes = Session(engine, case(), wanted=modes(*names)).run(*names)
    assert engine.captures_made == 2
    assert (serdes.status, not_lost(serdes)) == ("passed", [])


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
    assert [(each.check, each.place, kind_of(each)) for each in nonstrict.findings] == [
        ("stage", "module total", "edited")
    ]
    assert nonstrict.findings == strict.findings


class ChangingModes(Echo):
    """The capture leaves gradients switched off."""

    def export(self, module, args, kwargs=None, **options):
        torch.set_grad_enabled(False)
        return super().export(module, args, kwargs, **options)


def test_a_capture_that_leaves_a_global_mode_changed_is_named_and_undone():
    before = global_modes()
    (finding,) = Session(ChangingModes(), case(), wanted=modes("nonstrict")).run("nonstrict").findings
    assert (finding.place, kind_of(finding), finding.expected, finding.actual) == (
        "grad mode",
        "edited",
        "True",
        "False",
    )
    assert global_modes() == before


def test_the_users_module_is_as_it_was():
    own = Net()
    own.layer.weight.grad = torch.ones(2, 2)
    before = copy.deepcopy(own.state_dict())
    Session(EditingTheModule(), case(lambda: own, train=None), wanted=modes("nonstrict")).run("nonstrict")
    assert own.training
    assert own.layer.weight.grad.tolist() == [[1, 1], [1, 1]]
    assert all(torch.equal(value, before[name]) for name, value in own.state_dict().items())
