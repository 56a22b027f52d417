"""Hooks add engines, edges, checks and cases; one that raises costs what it would have added, and is told."""

from __future__ import annotations

import pytest

EDGE = """
from pytest_exportcheck import Finding, ProgramEdge, Unsupported

def again(program):
    return {result}

def exportcheck_edges():
    return {{"again": {edge}}}
"""
CHECK = """
from pytest_exportcheck import Finding

def weights_stay_small(evidence):
    {body}

def exportcheck_checks():
    return [weights_stay_small]
"""
FINDING = "return [Finding(check='weights_stay_small', place=evidence.mode, change='wrong', key='large', expected='1', actual='2')]"


@pytest.fixture
def run(echo, run_echo, linear):
    def run(hooks, *options):
        conftest = echo.path / "conftest.py"
        conftest.write_text(conftest.read_text() + hooks)
        echo.makepyfile(case_linear=linear)
        return run_echo(*options)

    return run


def test_an_added_edge_joins_the_default_modes_and_all_modes(run):
    hooks = EDGE.format(result="program", edge="again")
    result = run(hooks)
    result.assert_outcomes(passed=11)
    result.stdout.fnmatch_lines(["edges     - d ds s sr r a  -   - s r", "edges: *, a again"])


def test_an_added_edge_may_stand_anywhere_in_a_mode(run):
    hooks = EDGE.format(result="program", edge="ProgramEdge(again, contract_of='serdes')")
    run(hooks, "--exportcheck-modes=strict-again-serdes").assert_outcomes(passed=1)


def test_what_an_added_edge_breaks_is_found(run):
    broken = "type('P', (), {'module': lambda self: torch.nn.Identity()})()"
    result = run("\nimport torch" + EDGE.format(result=broken, edge="again"), "--exportcheck-modes=nonstrict-again")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["again broke *outputs*"])


def test_an_added_check_runs_after_every_stage(run):
    run(CHECK.format(body=FINDING)).assert_outcomes(failed=10)


def test_what_an_added_check_finds_can_be_expected(run, echo):
    echo.path.joinpath("e.toml").write_text(
        '[[expect]]\ncase = "Linear"\ncheck = "weights_stay_small"\nreason = "issue 5"\n'
    )
    run(CHECK.format(body=FINDING), "--exportcheck-expectations=e.toml").assert_outcomes(xfailed=10)


@pytest.mark.parametrize(
    ("body", "got"),
    [("return 1 / 0", "ZeroDivisionError: division by zero"), ("return ['x']", "TypeError: a check returns *")],
)
def test_an_added_check_that_crashes_says_where(run, body, got):
    result = run(CHECK.format(body=body), "--exportcheck-modes=nonstrict")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "  weights_stay_small: the check itself: crashed",
            f"    got:      {got}",
            "    The check was added by a hook; it raised at *.py:*.",
        ]
    )


@pytest.mark.parametrize(
    "hook", ["exportcheck_engines", "exportcheck_edges", "exportcheck_checks", "exportcheck_cases"]
)
def test_a_hook_that_raises_is_told_and_the_rest_runs(run, echo, hook):
    echo.makepyfile(plug=f"def {hook}():\n    raise ValueError('not now')\n")
    echo.syspathinsert()
    result = run("", "-p", "plug")
    result.assert_outcomes(passed=10, failed=1)
    result.stdout.fnmatch_lines(
        [f"{hook} of *plug.py raised ValueError: not now", "(raised at *plug.py:2: raise ValueError*"]
    )


def test_an_outcome_hook_that_raises_fails_the_item_with_both(run):
    result = run(
        "\ndef exportcheck_outcome(outcome):\n    raise ValueError('no disk')\n", "--exportcheck-modes=nonstrict"
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["exportcheck_outcome of *conftest.py raised ValueError: no disk", "The outcome of the item itself is: passed."]
    )


@pytest.mark.parametrize(
    ("hooks", "message"),
    [
        (
            "def exportcheck_edges():\n    return [1]",
            "exportcheck_edges must return a mapping of names to edges, got [[]1[]].",
        ),
        (
            "def exportcheck_edges():\n    return {'a-b': len}",
            "edge 'a-b': give it a name of letters, digits and '_' that no other edge of engine * has.",
        ),
        (
            "def exportcheck_edges():\n    return {'serdes': len}",
            "edge 'serdes': give it a name of letters, digits and '_' that no other edge of engine 'torch' has.",
        ),
        (
            "def exportcheck_edges():\n    return {'strict': len}",
            "edge 'strict' has the name of a capture or of fuzzing; rename it.",
        ),
        (
            "def exportcheck_edges():\n    return {'a': 5}",
            "edge 'a' must be a function that takes a program and returns a program, got 5.",
        ),
        (
            "def exportcheck_checks():\n    return [5]",
            "exportcheck_checks must return functions that take the evidence and return findings, got 5.",
        ),
        (
            "def outputs(e): pass\ndef exportcheck_checks():\n    return [outputs]",
            "a check 'outputs' exists already; rename the function that your hook adds.",
        ),
    ],
)
def test_what_is_added_wrongly_ends_the_session(run, hooks, message):
    result = run(f"\n{hooks}\n")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: exportcheck: {message}"])


@pytest.mark.parametrize("hook", ["exportcheck_engines", "exportcheck_checks", "exportcheck_cases"])
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 5", "{hook} of *plug.py returned 5; it must return a list."),
        ("return len", "{hook} of *plug.py returned <built-in function len>; it must return a list."),
        ("yield 1; raise ValueError('not now')", "{hook} of *plug.py raised ValueError: not now"),
        ("return map(int, ['x'])", "{hook} of *plug.py raised ValueError: invalid literal for int() *"),
        ("import pytest; pytest.skip('no GPU')", "{hook} of *plug.py raised Skipped: no GPU"),
    ],
)
def test_a_hook_that_returns_nonsense_is_told_and_the_rest_runs(run, echo, hook, body, message):
    echo.makepyfile(plug=f"def {hook}():\n    {body}\n")
    echo.syspathinsert()
    result = run("", "-p", "plug", "--exportcheck-modes=nonstrict")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines([message.format(hook=hook)])


@pytest.mark.parametrize(
    ("hook", "option", "message"),
    [
        ("exportcheck_engines", "--exportcheck-engines=mine", "unknown engine 'mine'. Engines: torch, reference."),
        ("exportcheck_edges", "--exportcheck-modes=nonstrict-mine", "unknown mode 'nonstrict-mine'*"),
        ("exportcheck_checks", "--exportcheck-expectations=e.toml", "e.toml:4: unknown check 'mine'. Checks: *"),
    ],
)
def test_a_name_that_a_raising_hook_would_have_added_is_told_with_it(run, echo, hook, option, message):
    echo.path.joinpath("e.toml").write_text("[[expect]]\ncase='Linear'\nreason='r'\ncheck='mine'\n")
    result = run(f"\ndef {hook}():\n    raise ValueError('not now')\n", option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: exportcheck: {message}", f"{hook} of *conftest.py raised ValueError: not now"]
    )


def test_cases_that_are_none_are_told(run):
    result = run("\ndef exportcheck_cases(config):\n    return ['net']\n")
    result.assert_outcomes(passed=10, failed=1)
    result.stdout.fnmatch_lines(
        [
            "exportcheck_cases returned 'net', which is not a case. Make cases with cases_of from what export_case decorates."
        ]
    )


LATE = """
from pytest_exportcheck import export_case, cases_of

def nothing(evidence):
    return []

def exportcheck_checks():
    return [nothing]

def exportcheck_engines():
    return []

def exportcheck_outcome(outcome):
    open("outcomes.txt", "a").write(f"{outcome.case} ")
"""


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "xdist"])
def test_hooks_of_a_subfolder_are_named_as_ignored_and_outcomes_are_those_of_the_folder(run, echo, linear, workers):
    folder = echo.mkdir("below")
    (folder / "conftest.py").write_text(LATE)
    (folder / "case_other.py").write_text(linear.replace("class Linear", "class Other"))
    result = run("", "--exportcheck-modes=nonstrict", *workers)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "exportcheck: *below/conftest.py defines exportcheck_engines and exportcheck_checks, which this run ignores: "
            "hooks are called before pytest collects this folder. Move them to the conftest.py of pytest's root folder, or "
            "name the folder on the command line."
        ]
    )
    assert (echo.path / "outcomes.txt").read_text() == "Other "


def test_hooks_of_a_folder_that_is_named_are_heard(run, echo, linear):
    folder = echo.mkdir("below")
    (folder / "conftest.py").write_text(LATE)
    (folder / "case_other.py").write_text(linear.replace("class Linear", "class Other"))
    assert "ignores" not in run("", "below", "--exportcheck-modes=nonstrict").stdout.str()
