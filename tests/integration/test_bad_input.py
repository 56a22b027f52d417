"""Bad input: one clear message each, which says what to do, without a traceback of the plugin."""

from __future__ import annotations

import pytest


def no_traceback(result: pytest.RunResult) -> None:
    text = result.stdout.str() + result.stderr.str()
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    assert "pytest_exportcheck/" not in text


def test_no_case_found(echo, run_echo):
    result = run_echo()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: exportcheck: no case found. Decorate a module class or a factory with*"])
    no_traceback(result)


def test_no_case_in_the_tests_named_by_hand_is_no_error(echo, run_echo):
    echo.makepyfile(test_plain="def test_plain(): pass")
    run_echo("test_plain.py").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "--exportcheck-modes=nonstrct",
            "ERROR: exportcheck: unknown mode 'nonstrct'; did you mean 'nonstrict'[?] A mode is a capture, then edges,*",
        ),
        ("--exportcheck-modes=tri*", "ERROR: exportcheck: unknown mode 'tri[*]'*"),
        (
            "--exportcheck-engines=tensorrt",
            "ERROR: exportcheck: unknown engine 'tensorrt'. Engines: torch, reference, echo.",
        ),
        (
            "--exportcheck-source=hub:bert",
            "ERROR: exportcheck: unknown source 'hub' in 'hub:bert'. Sources: *torchvision*",
        ),
        (
            "--exportcheck-source=torchvision",
            "ERROR: exportcheck: source 'torchvision' names no model: write torchvision:NAME*",
        ),
        (
            "--exportcheck-threads=0",
            "ERROR: exportcheck: --exportcheck-threads takes a number of threads from 1 to 1024, got 0.",
        ),
    ],
)
def test_unknown_names(echo, linear, option, message):
    echo.makepyfile(case_linear=linear)
    result = echo.runpytest("--exportcheck", option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])
    no_traceback(result)


def test_unknown_profile_in_the_ini_file(echo, linear):
    echo.makepyfile(case_linear=linear)
    echo.makeini("[pytest]\nexportcheck_profile = strict")
    result = echo.runpytest("--exportcheck")
    result.stderr.fnmatch_lines(
        ["ERROR: exportcheck: exportcheck_profile must be one of ship, conformance, got 'strict'."]
    )


def test_module_to_import_that_is_not_there(echo, run_echo):
    echo.makeini("[pytest]\nexportcheck_import = shop.models")
    result = run_echo()
    result.stderr.fnmatch_lines(
        ["ERROR: exportcheck: exportcheck_import names 'shop.models', which cannot be imported*"]
    )
    no_traceback(result)


CASE = """
import torch
from torch.export import Dim
from pytest_exportcheck import export_case

def raising():
    return (undefined_name,)

{decorator}
{body}
"""

NET = "class Net(torch.nn.Module):\n    def forward(self, x):\n        return x + 1"


@pytest.mark.parametrize(
    ("decorator", "body", "message"),
    [
        (
            "@export_case(args=raising)",
            NET,
            "case 'Net' (*case_bad.py:*): its args callable raised NameError: name 'undefined_name' is not defined",
        ),
        (
            "@export_case(args=lambda: torch.ones(2))",
            NET,
            "case 'Net' (*): args must be a tuple of positional arguments, got Tensor. For one argument write (x,).",
        ),
        (
            "@export_case(args=(torch.ones(2),))",
            "def net():\n    return 5",
            "case 'net' (*): its factory must return an nn.Module, or (module, args[[], kwargs]), got int 5.",
        ),
        (
            "@export_case(args=(torch.ones(2),))",
            "def net():\n    raise OSError('no weights')",
            "case 'net' (*): its factory raised OSError: no weights",
        ),
        (
            "@export_case(args=(torch.ones(2),), dynamic_shapes={'y': {0: Dim('b')}})",
            NET,
            "case 'Net' (*): dynamic_shapes names 'y', which Net.forward does not take. Its arguments: x.",
        ),
        (
            "@export_case(args=(torch.ones(2), torch.ones(2)))",
            NET,
            "case 'Net' (*): the module itself raises on its example inputs, before anything is exported: TypeError:*",
        ),
        (
            "@export_case(args=(torch.ones(2),), device='nosuch')",
            NET,
            "case 'Net' (*): the module cannot be put into device='nosuch': RuntimeError: *",
        ),
        (
            "@export_case(args=(torch.ones(2, 3),))",
            "def net():\n    return torch.nn.LazyLinear(4)",
            "case 'net' (*): weight, bias of LazyLinear is not initialised. Call a lazy module once in a factory*",
        ),
    ],
    ids=[
        "args raise",
        "args no tuple",
        "no module",
        "factory raises",
        "dynamic_shapes",
        "eager raises",
        "device",
        "lazy module",
    ],
)
def test_case_that_cannot_be_set_up(echo, run_echo, decorator, body, message):
    echo.makepyfile(case_bad=CASE.format(decorator=decorator, body=body))
    result = run_echo("-rs")
    result.assert_outcomes(failed=1, skipped=9)
    result.stdout.fnmatch_lines([message])
    result.stdout.fnmatch_lines(["SKIPPED [[]9[]]*blocked: the case could not be set up (see *[[]echo-nonstrict[]])"])
    no_traceback(result)


def test_two_cases_of_one_name(echo, run_echo):
    body = "@export_case(args=(torch.ones(3),), name='Net')\n" + NET.replace("Net", "Another")
    echo.makepyfile(case_bad=CASE.format(decorator="@export_case(args=(torch.ones(2),))", body=NET) + body)
    result = run_echo()
    result.assert_outcomes(passed=10, failed=1)
    result.stdout.fnmatch_lines(
        ["two cases are called 'Net': the one at *case_bad.py:* runs, the one at *case_bad.py:* does not. Give one*"]
    )
    no_traceback(result)


@pytest.mark.parametrize("arguments", [[], ["case_bad.py", "case_linear.py"]], ids=["found", "named"])
def test_case_file_that_fails_to_import_lets_the_others_run(echo, run_echo, linear, arguments):
    echo.makepyfile(case_linear=linear, case_bad="import does_not_exist")
    result = run_echo(*arguments)
    result.assert_outcomes(passed=10, failed=1)
    result.stdout.fnmatch_lines(
        ["case file case_bad.py could not be imported. The other files run.", "*No module named 'does_not_exist'*"]
    )


def test_wrong_declaration_names_its_line(echo, run_echo, linear):
    echo.makepyfile(
        case_linear=linear,
        case_bad="import torch\nfrom pytest_exportcheck import export_case\nexport_case(args=(), name='a b')(torch.nn.ReLU)",
    )
    result = run_echo()
    result.assert_outcomes(passed=10, failed=1)
    result.stdout.fnmatch_lines(["*case_bad.py:3: the name of a case is part of a pytest id *got 'a b'. Pass name=."])
    no_traceback(result)


def test_engine_without_export(pytester, linear):
    pytester.makepyfile(case_linear=linear)
    pytester.makeconftest("class E:\n    name = 'e'\ndef exportcheck_engines():\n    return [E()]")
    result = pytester.runpytest("--exportcheck")
    result.stderr.fnmatch_lines(["ERROR: exportcheck: engine 'e' lacks export(module, args, kwargs=None, *"])
    no_traceback(result)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("modes=['nonstrct']", "case 'Net' (*case_bad.py:*): unknown mode 'nonstrct'; did you mean 'nonstrict'[?]*"),
        ("engines=['torhc']", "case 'Net' (*): unknown engine 'torhc'. Engines: torch, reference, echo."),
        ("expect=[expect_failure('strct*', reason='r')]", "*case_bad.py:*: unknown mode 'strct[*]'*"),
        (
            "expect=[expect_failure(check='output', reason='r')]",
            "*case_bad.py:*: unknown check 'output'. Checks: outputs, effects, aliasing, gradients, *, stability, stage, case, sizes, golden.",
        ),
        ("modes=5", "*case_bad.py:*: modes takes a sequence of names or globs, got 5."),
        ("tags='abc'", "*case_bad.py:*: tags takes a sequence of names or globs, got 'abc'."),
        ("seed='x'", "*case_bad.py:*: seed takes an integer from 0 to 4294967295, got 'x'."),
        ("context=torch.no_grad()", "*write context=torch.no_grad, not torch.no_grad(). Got *"),
    ],
)
def test_a_case_that_names_what_does_not_exist_fails_visibly(echo, run_echo, linear, argument, message):
    text = CASE.format(decorator=f"@export_case(args=(torch.ones(2),), {argument})", body=NET)
    text = text.replace("import export_case", "import expect_failure, export_case")
    echo.makepyfile(case_linear=linear, case_bad=text)
    result = run_echo("--exportcheck-modes=nonstrict")
    assert result.parseoutcomes()["failed"] >= 1
    result.stdout.fnmatch_lines([message])
    no_traceback(result)


def test_a_factory_may_skip_its_case(echo, run_echo):
    echo.makepyfile(
        case_skip="""
            import pytest, torch
            from pytest_exportcheck import export_case

            @export_case(args=lambda: (torch.ones(2),))
            def needs_gpu():
                pytest.skip("needs a GPU")
        """
    )
    result = run_echo("--exportcheck-modes=nonstrict,strict", "-rs")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(
        ["  needs_gpu  s          s", "signs: s skipped by the case itself", "SKIPPED [[]2[]]*needs a GPU"]
    )


def test_an_error_of_the_plugin_itself_is_shown_once_and_asks_for_a_report(echo, run_echo, linear, monkeypatch):
    import pytest_exportcheck.run.observed_case as observed_case

    def broken(*_):
        raise ZeroDivisionError("of our own")

    monkeypatch.setattr(observed_case, "set_up", broken)
    echo.makepyfile(case_linear=linear)
    result = run_echo()
    result.assert_outcomes(failed=1, skipped=9)
    result.stdout.fnmatch_lines(
        ["internal error of pytest-exportcheck; please report it with this text:", "ZeroDivisionError: of our own"]
    )
    assert "/pluggy/" not in result.stdout.str()
