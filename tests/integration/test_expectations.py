"""Expected failures: declared with a reason, strict, limited to engine, mode, check and torch versions."""

from __future__ import annotations

BROKEN = """
def decompose(self, program, decomp_table=None):
    raise ValueError("no table")
"""

CASE = """
import torch
from pytest_exportcheck import export_case, expect_failure

@export_case(args=lambda: (torch.randn(2),), expect=[expect_failure({arguments})])
class Net(torch.nn.Identity):
    pass
"""


def run(pytester, run_faulty, arguments, *options):
    pytester.makepyfile(case_net=CASE.format(arguments=arguments))
    return run_faulty(BROKEN, "-k", "Net[echo-nonstrict-decompose]", *options)


def test_excused_failure_is_xfailed_with_its_reason(pytester, run_faulty):
    result = run(pytester, run_faulty, "'*-decompose', reason='issue 12'", "-rx")
    result.assert_outcomes(xfailed=1, deselected=9)
    result.stdout.fnmatch_lines(["XFAIL case_net.py::Net[[]echo-nonstrict-decompose[]] - *issue 12"])


def test_runxfail_shows_the_failure(pytester, run_faulty):
    result = run(pytester, run_faulty, "'*-decompose', reason='issue 12'", "--runxfail")
    result.assert_outcomes(failed=1, deselected=9)


def test_another_check_engine_mode_or_version_excuses_nothing(pytester, run_faulty):
    for arguments in (
        "check='outputs', reason='r'",
        "engine='torch', reason='r'",
        "'*-serdes', reason='r'",
        "torch='<2.0', reason='r'",
    ):
        run(pytester, run_faulty, arguments).assert_outcomes(failed=1, deselected=9)


def test_expectation_that_no_longer_holds_fails_and_names_its_line(echo, run_echo):
    echo.makepyfile(case_net=CASE.format(arguments="'*-decompose', reason='issue 12'"))
    result = run_echo("-k", "Net[echo-nonstrict-decompose]")
    result.assert_outcomes(failed=1, deselected=9)
    result.stdout.fnmatch_lines(
        [
            "expected to fail (check '[*]': issue 12), but no longer does: "
            "delete the expect_failure('[*]-decompose', ...) at *case_net.py:4, or narrow it to the items that still fail",
            "  Net    S",
        ]
    )


def test_expected_blocker_blocks_without_failing_what_is_behind_it(pytester, run_faulty):
    pytester.makepyfile(case_net=CASE.format(arguments="'nonstrict-decompose', reason='issue 12'"))
    run_faulty(BROKEN, "-k", "decompose").assert_outcomes(xfailed=1, skipped=1, deselected=8)
    run_faulty(BROKEN, "-k", "decompose-serdes").assert_outcomes(skipped=1, deselected=9)


def test_expectation_needs_a_reason_and_a_version_range(echo, run_echo):
    for arguments, message in (
        ("reason=' '", "*expect_failure needs a reason. Write why the failure is expected."),
        ("reason='r', torch='2.x'", "*torch='2.x' is not a version specifier. Write for example torch='>=2.13,<2.15'."),
    ):
        echo.makepyfile(case_net=CASE.format(arguments=arguments))
        run_echo().stdout.fnmatch_lines([message])
