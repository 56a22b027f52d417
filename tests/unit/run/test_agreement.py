"""Two engines that captured one case are compared, and the likely culprit of each difference is named."""

from __future__ import annotations

import torch
from torch.export import Dim
from torch.utils._sympy.value_ranges import ValueRanges

from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.modes import AGREE, Mode
from pytest_exportcheck.policy import Overrides
from pytest_exportcheck.records import Case, Origin
from pytest_exportcheck.reports.failure import failure_text
from pytest_exportcheck.run.runner import Runner
from tests.faults.editing import call, follow, input_spec, placeholder, use_instead

aten = torch.ops.aten
CAPTURE = Mode(("nonstrict",))
ROWS = Dim("rows", min=3, max=16)


class Shop(torch.nn.Module):
    """A layer, an operation that changes nothing, and a constant."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 4)
        self.register_buffer("scale", torch.ones(4))

    def forward(self, x):
        return torch.relu(self.layer(x) * self.scale).clamp(min=0)


class Other(TorchExport):
    """A second engine, which edits what it captures."""

    name = "other"

    def __init__(self, edit=lambda program: None):
        self._edit = edit

    def export(self, module, args, kwargs=None, *, dynamic_shapes=None, strict=False, pre_dispatch=True):
        program = self._export(module, args, kwargs, dynamic_shapes, strict, pre_dispatch)
        program = self._edit(program) or program
        program.graph_module.recompile()
        return program


class Edited(Other):
    name = "torch"


def shop(**options):
    given = {"name": "shop", "build": Shop, "origin": Origin("shop", "case_shop.py", 7)}
    given |= {"args": lambda: (torch.randn(5, 4),), "dynamic_shapes": {"x": {0: ROWS}}}
    return Case(**{**given, **options})


def compared(edit=lambda program: None, *, torch_edit=lambda program: None, case=None, **options):
    """The outcome of the item that compares torch with an engine whose programs are edited."""
    engines = {each.name: as_engine(each) for each in (Edited(torch_edit), Other(edit))}
    case = case or shop()
    runner = Runner(engines, compared=lambda case, mode: list(engines), threads=1, **options)
    runner.select([(case, AGREE, CAPTURE)])
    return runner.run(case, AGREE, CAPTURE)


def told(outcome):
    return [(each.name, each.place, each.expected, each.actual, each.culprit.name) for each in outcome.findings]


def doubled(program):
    follow(program, call(program, "aten.clamp"), aten.mul.Tensor, 2)


def without_clamp(program):
    node = call(program, "aten.clamp")
    assert isinstance(node.args[0], torch.fx.Node)
    use_instead(program, node, node.args[0])
    program.graph.erase_node(node)


def narrowed(program):
    symbol = placeholder(program, "x").meta["val"].shape[0].node.expr
    program.range_constraints[symbol] = ValueRanges(3, 8)
    program._guards_code = [*program._guards_code, "L['x'].size()[0] <= 8"]


def widened(program):
    symbol = placeholder(program, "x").meta["val"].shape[0].node.expr
    program.range_constraints[symbol] = ValueRanges(3, 64)


def guarded(condition):
    """An edit that adds a guard."""

    def edit(program):
        program._guards_code = [*program._guards_code, condition]

    return edit


def test_the_same_programs_agree():
    outcome = compared()
    assert (outcome.status, outcome.findings, outcome.notes) == ("passed", (), ())


def test_the_engine_that_differs_from_eager_is_the_culprit():
    outcome = compared(doubled)
    assert outcome.status == "disagreement"
    assert [each.culprit.name for each in outcome.findings] == ["other"] * 2
    assert [each.name for each in outcome.findings] == ["outputs.value", "nodes.added"]
    assert outcome.findings[0].culprit.reason == "other differs from eager there, and torch does not"
    assert outcome.findings[1].culprit.reason == "only other computes something else than eager (outputs: output)"


def test_it_may_be_the_first_engine():
    outcome = compared(torch_edit=doubled)
    assert {each.culprit.name for each in outcome.findings} == {"torch"}


def test_engines_that_differ_from_eager_in_the_same_way_agree_and_a_note_names_the_model():
    outcome = compared(doubled, torch_edit=doubled)
    assert (outcome.status, outcome.findings) == ("passed", ())
    assert outcome.notes == (
        "torch and other differ from eager in the same way (outputs: output: value); likely culprit: the model, or what "
        "its case promises",
    )


def test_of_engines_that_differ_from_eager_in_two_ways_neither_is_named():
    outcome = compared(doubled, torch_edit=lambda program: doubled(program) or doubled(program))
    assert {each.culprit.name for each in outcome.findings} == {"undecided"}


def test_an_operator_without_effect_is_nobodys_fault():
    outcome = compared(without_clamp)
    assert told(outcome) == [
        ("nodes.dropped", "clamp", "aten.clamp.default(%relu, 0)", "no such node", "undecided"),
    ]
    assert outcome.findings[0].culprit.reason == (
        "no difference from eager shows which one is right: both were called with the example inputs and fresh inputs and at "
        "8 sampled sizes"
    )


def test_a_range_is_held_against_the_declared_one():
    outcome = compared(narrowed)
    assert [each[:1] + each[2:] for each in told(outcome)] == [
        ("constraints.range_narrowed", "3..16", "3..8", "other"),
    ]
    assert outcome.findings[0].culprit.reason == (
        "the case declares rows 3..16, as torch has it, and other has something else"
    )


def test_a_range_that_is_wider_than_declared_is_one_difference():
    outcome = compared(widened)
    assert [each[:1] + each[2:] for each in told(outcome)] == [
        ("constraints.range_widened", "3..16", "3..64", "other"),
    ]


def test_of_declared_sizes_that_eager_computes_the_refuser_is_the_culprit():
    outcome = compared(guarded("L['x'].size()[0] <= 8"))
    assert [(each.name, each.place, each.expected, each.culprit.name) for each in outcome.findings] == [
        ("sizes.narrowed", "rows", "accepted", "other")
    ]
    assert outcome.findings[0].culprit.reason == (
        "the case declares these sizes, and torch computes there what eager computes"
    )


def test_of_sizes_that_the_case_does_not_declare_the_taker_is_the_culprit():
    case = shop(args=lambda: (torch.randn(5, 4),), dynamic_shapes={"x": {0: Dim("rows", min=1, max=16)}})
    outcome = compared(torch_edit=guarded("L['x'].size()[0] >= 1"), case=case)
    assert [(each.name, each.culprit.name) for each in outcome.findings] == [("sizes.lower_bound", "other")]
    assert outcome.findings[0].culprit.reason == "the case does not declare these sizes, and other accepts them"


def test_a_lower_bound_that_torch_does_not_enforce_is_a_known_defect():
    case = shop(dynamic_shapes={"x": {0: Dim("rows", min=1, max=16)}})
    outcome = compared(guarded("L['x'].size()[0] >= 1"), case=case)
    assert outcome.status == "known"
    assert [(each.name, each.known_as, each.culprit.name) for each in outcome.findings] == [
        ("sizes.lower_bound", "lower-bounds-up-to-two-dropped", "torch")
    ]


def test_an_input_of_the_signature_that_only_one_engine_has():
    def forgotten(program):
        input_spec(program, "scale").persistent = False
        program.constants["scale"] = program.state_dict["scale"]

    outcome = compared(forgotten)
    assert told(outcome) == [
        ("signature.dropped", "BUFFER scale", "BUFFER scale", "no such input", "other"),
        ("signature.added", "BUFFER scale (not persistent)", "no such input", "BUFFER scale (not persistent)", "other"),
    ]
    assert outcome.findings[0].culprit.reason == (
        "the capture of other is not that of the module (state.persistence scale), and torch's is"
    )


def test_a_disagreement_fails_where_engines_are_judged():
    outcome = compared(doubled, profile="conformance")
    assert (outcome.status, outcome.failing) == ("failed", 2)


def test_a_repo_may_allow_a_difference_or_forbid_it():
    allowed = compared(without_clamp, overrides=Overrides.of(["agree:nodes.*"], []))
    forbidden = compared(without_clamp, overrides=Overrides.of([], ["agree:nodes.*"]))
    assert (allowed.status, forbidden.status) == ("passed", "failed")


def test_an_engine_without_a_program_has_nothing_to_compare():
    def refuses(program):
        raise RuntimeError("no rule for this operator")

    outcome = compared(refuses)
    assert (outcome.status, outcome.reason) == ("blocked", "blocked: an engine has no program to compare")


def test_the_text_shows_both_sides_and_the_culprit():
    outcome = compared(without_clamp, profile="conformance")
    assert failure_text(outcome, reproduce="pytest").splitlines() == [
        "torch and other disagree on nodes",
        "",
        "  nodes: clamp: dropped",
        "    torch:    aten.clamp.default(%relu, 0)",
        "    other:    no such node",
        "    likely culprit: undecided (no difference from eager shows which one is right: both were called with the example "
        "inputs and fresh inputs and at 8 sampled sizes)",
        f"    at {outcome.findings[0].line}",
        "",
        "Reproduce with: pytest",
    ]
