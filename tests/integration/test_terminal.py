"""The header, the matrix, and the notes that a user reads."""

from __future__ import annotations

import torch

from pytest_exportcheck import __version__


def test_header_names_versions_profile_seed_and_threads(echo, run_echo, linear):
    echo.makepyfile(case_linear=linear)
    result = run_echo("--exportcheck-seed=7", "--exportcheck-threads=1", "--exportcheck-modes=strict")
    result.stdout.fnmatch_lines(
        [f"exportcheck: {__version__}, torch {torch.__version__}, export schema 8.*, profile ship, seed 7, threads 1"]
    )


def test_matrix_has_a_row_a_case_and_a_sign_a_mode(pytester, run_faulty, linear):
    pytester.makepyfile(case_linear=linear)
    broken = "def decompose(self, program, decomp_table=None):\n    raise ValueError('no')"
    result = run_faulty(broken, "--exportcheck-modes=nonstrict,nonstrict-decompose,nonstrict-decompose-serdes,strict")
    result.stdout.fnmatch_lines(
        [
            "engine echo  nonstrict",
            "             | nonstrict-decompose",
            "             | | nonstrict-decompose-serdes",
            "             | | | strict",
            "             | | | |",
            "case_linear.py",
            "  Linear     . F b .",
            "",
            ". passed   F failed   b blocked by an earlier stage",
            "slowest captures: Linear[[]echo-*s, Linear[[]echo-*s",
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
            "ERROR: exportcheck: *conftest.py defines exportcheck_engine, which is no hook; did you mean exportcheck_engines[?]"
        ]
    )
