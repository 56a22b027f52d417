"""What a pytest user expects of options that are pytest's own."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest


@pytest.fixture
def two_cases(echo, linear):
    echo.makepyfile(
        case_two=linear
        + """
@export_case(args=lambda: (torch.randn(2),), tags=["slow_one"])
class Other(torch.nn.Identity):
    pass
"""
    )
    return echo


def test_k_selects_by_case_engine_and_mode(two_cases, run_echo):
    run_echo("-k", "Linear[echo-nonstrict]").assert_outcomes(passed=1, deselected=19)
    run_echo("-k", "serdes").assert_outcomes(passed=8, deselected=12)


def test_k_selects_by_tag(two_cases, run_echo):
    run_echo("-k", "slow_one").assert_outcomes(passed=10, deselected=10)


def test_m_selects_by_engine_capture_and_edge(two_cases, run_echo):
    run_echo("-m", "exportcheck(capture='strict')").assert_outcomes(passed=6, deselected=14)
    run_echo("-m", "exportcheck(capture='strict', edge='serdes')").assert_outcomes(passed=2, deselected=18)
    run_echo("-m", "exportcheck(engine='torch')").assert_outcomes(deselected=20)


def test_marker_is_registered_without_the_option(two_cases):
    result = two_cases.runpytest("--strict-markers", "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.exportcheck(engine, capture, edge)*"])


def test_node_id_selects(two_cases, run_echo):
    run_echo("case_two.py::Linear[echo-strict]").assert_outcomes(passed=1)
    run_echo("case_two.py::Other").assert_outcomes(passed=10)


def test_lf_runs_what_failed(pytester, run_faulty, linear):
    pytester.makepyfile(case_linear=linear)
    fault = """
def load(self, file, *, extra_files=None):
    raise ValueError("cannot be read")
"""
    first = run_faulty(fault)
    first.assert_outcomes(passed=6, failed=3, skipped=1)
    second = run_faulty(fault, "--lf")
    second.assert_outcomes(failed=3)


def test_x_stops_at_the_first_failure(pytester, run_faulty, linear):
    pytester.makepyfile(case_linear=linear)
    fault = """
def decompose(self, program, decomp_table=None):
    raise ValueError("no")
"""
    run_faulty(fault, "-x").assert_outcomes(passed=1, failed=1)


def test_durations_and_junit(two_cases, run_echo):
    result = run_echo("--durations=1", "--durations-min=0", "--junit-xml=out.xml", "-k", "Other and strict")
    result.stdout.fnmatch_lines(["*slowest 1 durations*", "*s call *case_two.py::Other*"])
    suite = ElementTree.parse(two_cases.path / "out.xml").getroot()[0]
    names = [(case.get("classname"), case.get("name")) for case in suite.iter("testcase")]
    assert ("case_two", "Other[echo-strict]") in names


def test_plugin_can_be_switched_off(two_cases):
    result = two_cases.runpytest("-p", "no:exportcheck")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    refused = two_cases.runpytest("-p", "no:exportcheck", "--exportcheck")
    refused.stderr.fnmatch_lines(["*unrecognized arguments: --exportcheck"])


def test_without_the_option_there_are_no_items(two_cases):
    assert two_cases.runpytest().ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_modes_option_takes_names_globs_and_all(two_cases, run_echo):
    run_echo("--exportcheck-modes=strict*", "-k", "Other").assert_outcomes(passed=26, deselected=26)
    run_echo("--exportcheck-modes=nonstrict-retrace-retrace-retrace", "-k", "Other").assert_outcomes(
        passed=1, deselected=1
    )


def test_case_narrows_and_adds_modes(echo, run_echo):
    echo.makepyfile(
        case_modes="""
            import torch
            from pytest_exportcheck import export_case

            @export_case(args=lambda: (torch.randn(2),), modes=["strict*", "nonstrict-retrace-retrace"])
            class Net(torch.nn.Identity):
                pass
        """
    )
    result = run_echo("--co", "-q")
    assert [line.partition("echo-")[2] for line in result.outlines if "::" in line] == [
        "nonstrict-retrace-retrace]",
        "strict]",
        "strict-serdes]",
        "strict-retrace]",
    ]


def test_lf_runs_the_tests_that_failed_where_no_case_did(pytester, run_faulty, linear):
    pytester.makepyfile(case_linear=linear, test_m="def test_fail(): assert 0")
    run_faulty("pass", "--exportcheck-modes=nonstrict").assert_outcomes(passed=1, failed=1)
    result = run_faulty("pass", "--exportcheck-modes=nonstrict", "--lf")
    result.assert_outcomes(failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
