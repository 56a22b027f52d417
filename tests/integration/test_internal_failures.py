"""A failure of the plugin at its own work: named as such, a warning for who ships, and everything else is judged."""

from __future__ import annotations

import pytest

WRONG = """
def load(self, file, *, extra_files=None):
    module = copy.deepcopy(self.saved.module())
    module.layer.weight.data += 1
    return Program(module)
"""


@pytest.fixture
def broken(monkeypatch):
    """Lets a function of the plugin fail."""

    def breaks(where):
        def fails(*args, **kwargs):
            raise ValueError("no such layout")

        monkeypatch.setattr(where, fails)

    return breaks


@pytest.mark.usefixtures("wide")
def test_a_failure_of_the_plugin_is_a_warning_that_names_file_and_line(broken, run_faulty, pytester, linear):
    broken("pytest_exportcheck.describe.modules.slots_of")
    pytester.makepyfile(case_linear=linear)
    result = run_faulty("pass", "--exportcheck-modes=nonstrict", "-rA")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "engine error in pytest-exportcheck: Linear[[]echo-nonstrict[]]: internal: the state of the module: failed (expected "
            "pytest-exportcheck examines it without an error, got ValueError: no such layout*",
            "  an engine error is not a fault of your model; please report it, with the case, to the authors of the code that it names",
        ]
    )


def test_it_fails_under_conformance_and_shows_where(broken, run_faulty, pytester, linear):
    broken("pytest_exportcheck.describe.modules.slots_of")
    pytester.makepyfile(case_linear=linear)
    result = run_faulty("pass", "--exportcheck-modes=nonstrict", "--exportcheck-profile=conformance")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "  internal: the state of the module: failed  [[]engine_error[]]",
            "    expected: pytest-exportcheck examines it without an error",
            "    got:      ValueError: no such layout",
            "    at pytest_exportcheck/describe/modules.py:* in state_of",
            "    This is a defect of pytest-exportcheck, not of the model and not of torch: please report it with this text.",
        ]
    )


@pytest.mark.parametrize("where", ["describe.modules.slots_of", "run.oracle.module_types_of", "run.judging.ledger_of"])
def test_it_does_not_hide_what_an_engine_does_wrong(broken, run_faulty, pytester, linear, where):
    broken(f"pytest_exportcheck.{where}")
    pytester.makepyfile(case_linear=linear)
    result = run_faulty(WRONG, "--exportcheck-modes=nonstrict-serdes")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["serdes broke outputs*", "  outputs: output: value*"])


def test_a_check_that_fails_leaves_the_others_judged(monkeypatch, run_faulty, pytester, linear):
    def fails(evidence):
        raise ValueError("no such layout")

    from pytest_exportcheck import checks

    monkeypatch.setattr(checks, "CHECKS", {**checks.CHECKS, "aliasing": fails})
    pytester.makepyfile(case_linear=linear)
    result = run_faulty(WRONG, "--exportcheck-modes=nonstrict-serdes")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["serdes broke outputs*", "  internal: the check aliasing: failed  [[]engine_error[]]"])


def test_what_an_engine_raises_is_the_engines(run_faulty, pytester, linear):
    pytester.makepyfile(case_linear=linear)
    result = run_faulty(
        "def decompose(self, program, decomp_table=None):\n    return 1 / 0", "--exportcheck-modes=nonstrict-decompose"
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  stage: decompose: raised", "    got:      ZeroDivisionError: division by zero*"])


@pytest.mark.parametrize(("failing", "errors"), [(1, 3), (3, 2), (4, 1)], ids=["set-up", "capture", "edge"])
def test_what_is_compared_with_something_unseen_says_so_too(monkeypatch, run_faulty, pytester, linear, failing, errors):
    """Eager is described twice, then the capture, then its edges."""
    from pytest_exportcheck.describe import state_of
    from pytest_exportcheck.run import oracle, stage_maker

    calls = []

    def fails(module):
        calls.append(module)
        if len(calls) == failing:
            raise ValueError("no such layout")
        return state_of(module)

    monkeypatch.setattr(oracle, "state_of", fails)
    monkeypatch.setattr(stage_maker, "state_of", fails)
    pytester.makepyfile(case_linear=linear)
    result = run_faulty("pass", "--exportcheck-modes=nonstrict,nonstrict-serdes,nonstrict_postdispatch")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines([f"exportcheck: 1 case, 3 items: *{errors} engine_error*"])


@pytest.mark.usefixtures("wide")
def test_a_failure_of_the_plugin_is_no_refusal_that_a_case_asks_for(broken, run_faulty, pytester, linear):
    broken("pytest_exportcheck.run.observer.attributes_of")
    broken("pytest_exportcheck.run.stage_maker.ModuleSnapshot.changed_flags")
    text = linear.replace("import export_case,", "import export_case, rejection,")
    text = text.replace("3),))", '3),), rejects=[rejection("capture")])')
    pytester.makepyfile(case_linear=text)
    result = run_faulty("pass", "--exportcheck-modes=nonstrict")
    result.stdout.fnmatch_lines(["engine error in pytest-exportcheck: *"])
