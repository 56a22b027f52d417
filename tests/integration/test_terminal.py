"""The header, the matrix, and the notes that a user reads."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest
import torch

from pytest_exportcheck import __version__


def test_header_names_versions_profile_seed_and_threads(echo, run_echo, linear):
    echo.makepyfile(case_linear=linear)
    result = run_echo("--exportcheck-seed=7", "--exportcheck-threads=1", "--exportcheck-modes=strict")
    result.stdout.fnmatch_lines(
        [
            f"exportcheck: {__version__}, torch {torch.__version__}, export schema 8.*",
            "exportcheck: profile ship, seed 7, threads 1",
        ],
        consecutive=True,
    )


def test_matrix_has_a_row_a_case_and_a_sign_a_mode(pytester, run_faulty, linear):
    pytester.makepyfile(case_linear=linear)
    broken = "def decompose(self, program, decomp_table=None):\n    raise ValueError('no')"
    result = run_faulty(broken, "--exportcheck-modes=nonstrict,nonstrict-decompose,nonstrict-decompose-serdes,strict")
    result.stdout.fnmatch_lines(
        [
            "slowest captures: Linear[[]echo-*s, Linear[[]echo-*s",
            "",
            "engine    echo",
            "capture   nonstrict  strict",
            "edges     - d ds     -",
            "case_linear.py",
            "  Linear  . F b      .",
            "",
            "signs: . passed, F failed, b blocked by an earlier stage",
            "edges: - none, d decompose, s serdes",
            "exportcheck: 1 case, 4 items: 2 passed, 1 failed, 1 blocked",
        ],
        consecutive=True,
    )


def test_eager_that_is_not_bit_stable_is_compared_with_tolerance_and_says_so(echo, run_echo):
    echo.makepyfile(
        case_noise="""
            import itertools, torch
            from pytest_exportcheck import export_case
            turn = itertools.count()

            @export_case(args=lambda: (torch.ones(3),))
            class Noisy(torch.nn.Module):
                def forward(self, x):
                    return x + 1e-7 * (next(turn) % 3)
        """
    )
    result = run_echo()
    result.assert_outcomes(passed=10)
    result.stdout.fnmatch_lines(["note: Noisy: eager is not bit-stable from run to run: outputs are compared with*"])


def test_fresh_inputs_that_eager_refuses_are_counted_not_failed(echo, run_echo):
    echo.makepyfile(
        case_sorted="""
            import torch
            from pytest_exportcheck import export_case

            @export_case(args=(torch.arange(50.0),))
            class Sorted(torch.nn.Module):
                def forward(self, x):
                    if not bool((x[1:] >= x[:-1]).all()):
                        raise ValueError("not sorted")
                    return x.sum()
        """
    )
    result = run_echo("--exportcheck-modes=nonstrict")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["note: Sorted: fresh inputs were unusable: eager itself refuses them (ValueError)"])


def test_outcome_hook_sees_every_item(echo, run_echo, linear):
    echo.makepyfile(case_linear=linear)
    conftest = echo.path / "conftest.py"
    conftest.write_text(
        conftest.read_text() + "\ndef exportcheck_outcome(outcome):\n    print('SEEN', outcome.mode, outcome.status)\n"
    )
    run_echo("-s", "-k", "serdes-retrace").stdout.fnmatch_lines(["*SEEN nonstrict-serdes-retrace passed*"])


def test_a_misspelt_hook_is_named(pytester, linear):
    pytester.makepyfile(case_linear=linear)
    pytester.makeconftest("def exportcheck_engine():\n    return []")
    result = pytester.runpytest("--exportcheck")
    result.stderr.fnmatch_lines(
        [
            "ERROR: exportcheck: *conftest.py defines exportcheck_engine, which is not a hook; did you mean exportcheck_engines[?]"
        ]
    )


#: An engine whose captures return twice what the module does.
DOUBLING = """
def export(self, module, args, kwargs=None, *, dynamic_shapes=None, strict=False, pre_dispatch=True):
    class Doubling(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.__dict__.update(inner.__dict__)
            self.real = type(inner).forward
        def forward(self, x):
            return self.real(self, x) * 2
    return Program(Doubling(copy.deepcopy(module)))
"""
CAPTURES = "--exportcheck-modes=nonstrict,nonstrict_postdispatch,strict"


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "xdist"])
def test_a_finding_of_several_modes_is_shown_with_the_first(pytester, run_faulty, linear, workers):
    pytester.makepyfile(case_linear=linear)
    result = run_faulty(DOUBLING, CAPTURES, "-p", "no:randomly", *workers)
    result.assert_outcomes(failed=3)
    text = result.stdout.str()
    assert text.count("  outputs: output: value  (on the example inputs and fresh inputs)") == 1
    assert text.count("    the same in: echo-nonstrict_postdispatch, echo-strict") == 1
    assert text.count("  outputs: output: value: the same as in echo-nonstrict") == 2
    assert text.count("Reproduce with:") == 3
    assert text.count("FAILED case_linear.py::Linear[echo-") == 3


def test_the_first_of_the_items_that_ran_shows_the_finding(pytester, run_faulty, linear):
    pytester.makepyfile(case_linear=linear)
    result = run_faulty(DOUBLING, CAPTURES, "-k", "not nonstrict or postdispatch")
    result.stdout.fnmatch_lines(
        [
            "    the same in: echo-strict",
            "*outputs: output: value: the same as in echo-nonstrict_postdispatch",
        ]
    )


def test_with_vv_every_item_shows_its_findings(pytester, run_faulty, linear):
    pytester.makepyfile(case_linear=linear)
    text = run_faulty(DOUBLING, CAPTURES, "-vv").stdout.str()
    assert text.count("  outputs: output: value  (on the example inputs and fresh inputs)") == 3
    assert "the same in" not in text


def test_junit_has_every_finding_of_every_item(pytester, run_faulty, linear):
    pytester.makepyfile(case_linear=linear)
    run_faulty(DOUBLING, CAPTURES, "--junit-xml=junit.xml", "--color=yes")
    failures = [each.text for each in ElementTree.parse(pytester.path / "junit.xml").iter("failure")]
    assert len(failures) == 3
    assert all("    expected: " in text and "\x1b" not in text and "#x1B" not in text for text in failures)


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "xdist"])
def test_failures_are_coloured_where_the_terminal_is(pytester, run_faulty, linear, workers, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    pytester.makepyfile(case_linear=linear)
    text = run_faulty(DOUBLING, CAPTURES, "--color=yes", *workers).stdout.str()
    red, green, bold, off = "\x1b[31m", "\x1b[32m", "\x1b[1m", "\x1b[0m"
    assert f"{red}{bold}nonstrict broke outputs" in text
    assert re.search(rf"    expected: {re.escape(green)}\S+ at \[0, 0\]{re.escape(off)}", text)
    assert re.search(rf"    got:      {re.escape(red)}\S+ at \[0, 0\]{re.escape(off)}", text)
    assert f"{red}3 failed{off}" in text


@pytest.mark.parametrize("arguments", [(), ("--color=no",)], ids=["no terminal", "no colour"])
def test_there_is_no_colour_elsewhere(pytester, run_faulty, linear, arguments):
    pytester.makepyfile(case_linear=linear)
    assert "\x1b" not in run_faulty(DOUBLING, CAPTURES, *arguments).stdout.str()


def test_quiet_shows_failures_and_a_line(pytester, run_faulty, linear):
    pytester.makepyfile(case_linear=linear)
    result = run_faulty(DOUBLING, CAPTURES, "-q")
    result.stdout.fnmatch_lines(
        [
            "FFF*",
            "nonstrict broke outputs*",
            "Reproduce with: *",
            "exportcheck: 1 case, 3 items: 3 failed",
            "*= short test summary info =*",
            "FAILED *",
            "3 failed*",
        ]
    )
    text = result.stdout.str()
    assert text.count("exportcheck:") == 1
    assert "= exportcheck =" not in text
    assert "signs:" not in text


def test_verbose_shows_every_case(pytester, run_faulty):
    pytester.makepyfile(
        case_many="""
            import torch
            from pytest_exportcheck import export_case
            for number in range(9):
                export_case(name=f"net{number}", args=lambda: (torch.ones(2),))(torch.nn.ReLU)
        """
    )
    short = run_faulty("pass", "--exportcheck-modes=nonstrict-serdes")
    short.stdout.fnmatch_lines(["9 cases passed in every mode (-v lists them)"])
    full = run_faulty("pass", "--exportcheck-modes=nonstrict-serdes", "-v")
    full.stdout.fnmatch_lines([f"  net{number}   ." for number in reversed(range(9))], consecutive=True)
    full.stdout.no_fnmatch_line("*(-v lists them)*")


def test_a_wide_terminal_is_used(pytester, run_faulty, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    name = "n" * 120
    pytester.makepyfile(
        case_long=f"""
            import torch
            from pytest_exportcheck import export_case
            export_case(name="{name}", args=lambda: (torch.ones(2),))(torch.nn.ReLU)
        """
    )
    result = run_faulty("pass", CAPTURES)
    result.stdout.fnmatch_lines([f"  {name}  .          .   ."])
