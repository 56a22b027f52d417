"""``exportcheck_allow`` and ``exportcheck_forbid``: a repo's own words on what may be lost."""

from __future__ import annotations

import pytest

LOSES_PERSISTENCE = """
def load(self, file, *, extra_files=None):
    module = copy.deepcopy(self.saved.module())
    module.register_buffer("cache", module.cache, persistent=False)
    return Program(module)
"""

CACHE = """
import torch
from pytest_exportcheck import export_case

@export_case(args=lambda: (torch.ones(3),))
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("cache", torch.zeros(3))

    def forward(self, x):
        return x + self.cache
"""


@pytest.fixture
def run_serdes(pytester, run_faulty):
    """Runs a case through an engine that loses the persistence of a buffer at serdes, with lines of an ini file."""

    def run(*ini: str) -> pytest.RunResult:
        pytester.makeini("\n".join(["[pytest]", *ini]))
        pytester.makepyfile(case_net=CACHE)
        return run_faulty(LOSES_PERSISTENCE, "--exportcheck-modes=nonstrict-serdes")

    return run


def test_without_a_word_it_is_broken(run_serdes):
    result = run_serdes()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  state: cache: persistence"])


@pytest.mark.parametrize("word", ["state.persistence", "serdes:state.*", "*:*.persistence"])
def test_what_is_allowed_is_lost_and_in_the_ledger(run_serdes, word):
    result = run_serdes(f"exportcheck_allow = {word}")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["preservation ledger of echo: *", "  state.persistence  serdes kept 0 of 1"])


def test_what_is_allowed_elsewhere_is_broken_here(run_serdes):
    run_serdes("exportcheck_allow = retrace:state.persistence").assert_outcomes(failed=1)


def test_what_is_allowed_and_forbidden_is_forbidden(run_serdes):
    result = run_serdes("exportcheck_allow = state.*", "exportcheck_forbid = state.persistence")
    result.assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("ini", "message"),
    [
        ("exportcheck_allow = persistence", "'persistence' names no field. Write check.field or stage:check.field, *"),
        ("exportcheck_forbid = sate.order", "'sate.order' names no field. * Checks: outputs, effects, *"),
        ("exportcheck_allow = serdez:state.order", "'serdez:state.order' names no stage. Stages: nonstrict, strict, *"),
    ],
)
def test_a_word_that_names_nothing_ends_the_run_with_what_there_is(run_serdes, ini, message):
    run_serdes(ini).stderr.fnmatch_lines([f"*exportcheck: {message}"])
