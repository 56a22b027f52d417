"""Edges that users add, judged as ``decompose``: a harmless one passes whatever ran before it, a careless one is found."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("whole_torch")

EDGES = """
import copy

def clean(program):
    program = copy.deepcopy(program)
    program.graph.eliminate_dead_code()
    program.graph_module.recompile()
    return program

def without(key, *nodes):
    def edge(program):
        program = copy.deepcopy(program)
        for node in program.graph.nodes:
            if not nodes or node.name in nodes:
                node.meta.pop(key, None)
        return program
    return edge

def falsified(program):
    program = copy.deepcopy(program)
    for node in program.graph.nodes:
        if node.name == "relu":
            node.meta["nn_module_stack"] = {"L__self__": ("", "elsewhere.Net")}
    return program

def editing(program):
    program.graph_module.meta["note"] = "edited"
    return program

def lower(program):
    return program.run_decompositions({})

def nothing(program):
    program = copy.deepcopy(program)

def exportcheck_edges():
    return {
        "lower": lower, "nothing": nothing,
        "clean": clean, "forgetful": without("nn_module_stack"), "lossy": without("nn_module_stack", "relu"),
        "falsified": falsified, "editing": editing,
    }
"""

NET = """
import torch
from pytest_exportcheck import export_case

@export_case(args=lambda: (torch.randn(2, 3),))
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU())

    def forward(self, x):
        return self.body(x) + 1
"""


def run(pytester, modes, case=NET):
    pytester.makepyfile(case_net=case)
    pytester.makeconftest(EDGES)
    options = ("--exportcheck-engines=torch", f"--exportcheck-modes={modes}", "-p", "no:cacheprovider")
    return pytester.runpytest("--exportcheck", *options)


def test_a_copy_of_the_program_passes_after_torchs_unflatten_too(pytester):
    result = run(pytester, "nonstrict,nonstrict-unflatten,nonstrict-clean,nonstrict-clean-serdes")
    result.assert_outcomes(passed=4)


def test_dropped_and_false_module_stacks_are_found(pytester):
    result = run(pytester, "nonstrict-forgetful,nonstrict-lossy,nonstrict-falsified")
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            "  metadata: relu: nn_module_stack changed",
            "  metadata: linear: nn_module_stack dropped",
            "  metadata: relu: nn_module_stack dropped",
        ],
        consecutive=False,
    )


def test_an_edit_of_the_graph_modules_metadata_is_named(pytester):
    result = run(pytester, "nonstrict-editing")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["  stage: input program's graph module: edited", "    expected: unchanged by editing", "    got:      changed"]
    )


COUNTING = """
import torch
from pytest_exportcheck import export_case

@export_case(args=lambda: (torch.randn(3),))
class Counting(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("n", torch.zeros(()))

    def forward(self, x):
        self.n.add_(1)
        return x + self.n
"""


def test_nodes_whose_names_shift_are_paired_by_what_they_were_made_from(pytester):
    result = run(pytester, "nonstrict-lower,strict-lower", case=COUNTING)
    result.assert_outcomes(passed=2)


def test_an_edge_that_forgets_to_return_is_named(pytester):
    result = run(pytester, "nonstrict-nothing")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "  stage: nothing: raised",
            "    got:      pytest_exportcheck.errors.EngineError: edge 'nothing' returned None, expected a torch.export.ExportedProgram.",
        ]
    )


BUILTIN_NAME = """
import torch
from pytest_exportcheck import export_case

@export_case(args=lambda: (torch.randn(2, 3),))
def model():
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU())
"""


def test_a_copy_that_renames_the_input_is_a_known_defect(pytester):
    result = run(pytester, "nonstrict-clean,nonstrict-lossy", case=BUILTIN_NAME)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["  metadata: relu: nn_module_stack dropped"])
