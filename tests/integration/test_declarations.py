"""Every declared case is collected, or named with its line; a declaration that is wrong is one clear line."""

from __future__ import annotations

import pytest

HEAD = "import torch\nfrom pytest_exportcheck import export_case, expect_failure, rejection\n"

LOOP = (
    HEAD
    + """
for size in (4, 8):
    @export_case(name=f"linear{size}", args=lambda size=size: (torch.randn(2, size),))
    def model(size=size):
        return torch.nn.Linear(size, 2)

class Group:
    @export_case(args=lambda: (torch.randn(2, 3),))
    class Inner(torch.nn.Identity):
        pass

    class Deeper:
        @export_case(args=lambda: (torch.randn(2, 3),))
        def factory():
            return torch.nn.ReLU()

def declare():
    @export_case(args=lambda: (torch.randn(2, 3),))
    def inside():
        return torch.nn.Linear(3, 2)
    return inside

MODELS = [declare()]
NAMED = {each.__name__: export_case(args=lambda: (torch.randn(2),))(each) for each in (torch.nn.Tanh, torch.nn.SiLU)}
"""
)
DECLARED = ["linear4", "linear8", "Inner", "factory", "inside", "Tanh", "SiLU"]


def ids(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if "::" in line]


@pytest.fixture
def collected(echo, run_echo):
    def collect(**files: str) -> list[str]:
        echo.makepyfile(**files)
        return ids(run_echo("--co", "-q", "--exportcheck-modes=nonstrict"))

    return collect


def test_cases_of_a_loop_a_class_a_function_and_a_list_are_collected(collected):
    assert collected(case_loop=LOOP) == [f"case_loop.py::{name}[echo-nonstrict]" for name in DECLARED]


def test_a_test_module_collects_them_beside_its_tests(collected):
    found = collected(test_loop=LOOP + "\ndef test_plain(): pass\n")
    assert sorted(found) == sorted(
        [*(f"test_loop.py::{name}[echo-nonstrict]" for name in DECLARED), "test_loop.py::test_plain"]
    )


def test_cases_that_another_file_imports_are_collected_once(collected):
    other = "from case_loop import *\nfrom case_loop import Group, declare\nagain = Group.Inner\n"
    assert collected(case_loop=LOOP, case_other=other) == [f"case_loop.py::{name}[echo-nonstrict]" for name in DECLARED]


def test_a_loop_that_gives_one_name_to_two_cases_is_told_with_its_line(echo, run_echo):
    text = HEAD + (
        "for size in (4, 8):\n"
        "    @export_case(args=lambda size=size: (torch.randn(2, size),))\n"
        "    def model(size=size):\n"
        "        return torch.nn.Linear(size, 2)\n"
    )
    echo.makepyfile(case_loop=text)
    result = run_echo("--exportcheck-modes=nonstrict")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "two cases that are declared at *case_loop.py:4 are called 'model': the first runs, the other does not. Give "
            "each a name with export_case(name=...), such as one that includes the variable of the loop."
        ]
    )


def test_two_functions_of_one_name_are_told_with_both_lines(echo, run_echo):
    one = "@export_case(args=lambda: (torch.randn(2),))\ndef model():\n    return torch.nn.ReLU()\n"
    echo.makepyfile(case_two=HEAD + one + one)
    result = run_echo("--exportcheck-modes=nonstrict")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "two cases are called 'model': the one at *case_two.py:3 runs, the one at *case_two.py:6 does not. "
            "Give one of them another name with export_case(name=...)."
        ]
    )


WRONG = [
    (
        "@export_case\nclass Net(torch.nn.Identity): pass",
        "*case_bad.py:3: export_case takes keyword arguments only, but it decorates Net directly. Write @export_case(args=...), or "
        "@export_case() for a model without inputs.",
    ),
    (
        "@export_case((1,))\nclass Net(torch.nn.Identity): pass",
        "*case_bad.py:3: export_case takes keyword arguments only, but it got (1,). Write @export_case(args=...), or *",
    ),
    (
        "@export_case(arg=(1,))\nclass Net(torch.nn.Identity): pass",
        "*case_bad.py:3: export_case has no keyword 'arg'; did you mean 'args'[?] Keywords: args, kwargs, dynamic_shapes, *",
    ),
    (
        "@export_case(dynamic_shape=None)\nclass Net(torch.nn.Identity): pass",
        "*case_bad.py:3: export_case has no keyword 'dynamic_shape'; did you mean 'dynamic_shapes'[?] Keywords: *",
    ),
    (
        "expect_failure(reasn='r')",
        "*case_bad.py:3: expect_failure has no keyword 'reasn'; did you mean 'reason'[?] Keywords: mode, engine, check, "
        "error, reason, torch.",
    ),
    (
        "rejection('call', argz=(1,))",
        "*case_bad.py:3: rejection has no keyword 'argz'; did you mean 'args'[?] Keywords: at, kind, error, args, kwargs.",
    ),
    (
        "@export_case(seed=2**70)\nclass Net(torch.nn.Identity): pass",
        "*case_bad.py:3: seed takes an integer from 0 to 4294967295, got 1180591620717411303424.",
    ),
    (
        "@export_case(seed=-1)\nclass Net(torch.nn.Identity): pass",
        "*case_bad.py:3: seed takes an integer from 0 to 4294967295, got -1.",
    ),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_a_wrong_declaration_is_one_line_and_the_other_files_run(echo, run_echo, linear, text, message):
    echo.makepyfile(case_linear=linear, case_bad=HEAD + text)
    result = run_echo("--exportcheck-modes=nonstrict")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["case file case_bad.py could not be imported. The other files run.", message], consecutive=True
    )
    assert "Traceback" not in result.stdout.str()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--exportcheck-seed=-1", "--exportcheck-seed takes an integer from 0 to 4294967295, got -1."),
        (f"--exportcheck-seed={2**70}", f"--exportcheck-seed takes an integer from 0 to 4294967295, got {2**70}."),
        ("--exportcheck-threads=-3", "--exportcheck-threads takes a number of threads from 1 to 1024, got -3."),
        (
            f"--exportcheck-threads={2**70}",
            f"--exportcheck-threads takes a number of threads from 1 to 1024, got {2**70}.",
        ),
    ],
)
def test_a_number_out_of_range_is_a_usage_error(echo, run_echo, linear, option, message):
    echo.makepyfile(case_linear=linear)
    result = run_echo(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: exportcheck: {message}"])


HELPER = "exportcheck: case 'Linear' (*{file}:5) is not checked: pytest does not collect this file. Move it to a test module *"


@pytest.mark.parametrize("file", ["helpers.py", "conftest.py"])
def test_a_case_in_a_file_that_is_never_collected_is_named(echo, run_echo, linear, file):
    path = echo.path / file
    path.write_text((path.read_text() if path.exists() else "") + linear)
    echo.makepyfile(case_other=("from helpers import Linear\n" if file == "helpers.py" else "") + LOOP)
    result = run_echo("--exportcheck-modes=nonstrict", "-q")
    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines([HELPER.replace(":5", ":*").format(file=file)])


def test_a_case_of_a_file_that_only_this_run_leaves_out_is_not_named(echo, run_echo, linear):
    echo.makepyfile(case_linear=linear, case_other="import case_linear\n" + LOOP)
    assert "is not checked" not in run_echo("--exportcheck-modes=nonstrict", "case_other.py").stdout.str()
