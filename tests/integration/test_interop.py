"""Files that one engine writes and several others read: each reader is judged, and named."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("whole_torch")

CASE = """
import torch
from pytest_exportcheck import export_case

@export_case(args=(torch.ones(2),))
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2))

    def forward(self, x):
        return x * self.weight
"""
ENGINES = """
import torch
from pytest_exportcheck import reference

class Reader:
    format = "pt2"

    def __init__(self, name, spoil=lambda program: program):
        self.name, self._spoil = name, spoil

    def export(self, module, args, kwargs=None, **options):
        return torch.export.export(module, args, kwargs)

    def save(self, program, file, *, extra_files=None):
        reference.save(program, file)

    def load(self, file, *, extra_files=None):
        return self._spoil(reference.load(file))

def doubled(program):
    program.state_dict["weight"].data.mul_(2)
    return program

def refused(program):
    raise ValueError("not today")

def exportcheck_engines():
    return [Reader("first"), Reader("second"), Reader("third", {spoil})]
"""


@pytest.fixture
def run(pytester):
    def run(spoil, *arguments):
        pytester.makeconftest(ENGINES.format(spoil=spoil))
        pytester.makepyfile(case_model=CASE)
        return pytester.runpytest(
            "--exportcheck",
            "--exportcheck-modes=nonstrict-interop",
            "--exportcheck-engines=first",
            *arguments,
        )

    return run


def test_every_reader_is_right(run):
    run("lambda program: program").assert_outcomes(passed=1)


def test_what_a_later_reader_changes_is_found_and_it_is_named(run):
    result = run("doubled")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*outputs: third: *", "*state: third: weight: *"])
    result.stdout.no_fnmatch_line("*second: *")


def test_a_later_reader_that_raises_is_named(run):
    result = run("refused")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "interop raised ValueError*",
            "  stage: third: interop: raised",
            "    expected: a program that third loads from the file that first saved",
            "    got:      ValueError: not today",
            "              (raised at *conftest.py:* in refused: raise ValueError(*not today*))",
            "FAILED *first-nonstrict-interop[]] - stage: third: *",
        ]
    )
