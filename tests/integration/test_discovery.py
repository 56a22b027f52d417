"""Where cases are found, and how their items are called."""

from __future__ import annotations

import pytest

ALL_ECHO_MODES = 9  # both captures, one postdispatch, and the edges of the default set without unflatten and interop


def ids(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if "::" in line]


def test_case_file_is_found_and_ids_name_path_case_engine_and_mode(echo, run_echo, linear):
    echo.makepyfile(case_linear=linear)
    result = run_echo("--co", "-q", "--exportcheck-modes=nonstrict,nonstrict-serdes")
    assert ids(result) == ["case_linear.py::Linear[echo-nonstrict]", "case_linear.py::Linear[echo-nonstrict-serdes]"]


def test_default_set_without_what_the_engine_lacks(echo, run_echo, linear):
    echo.makepyfile(case_linear=linear)
    assert ids(run_echo("--co", "-q")) == [
        f"case_linear.py::Linear[echo-{mode}]"
        for mode in (
            "nonstrict",
            "nonstrict-decompose",
            "nonstrict-decompose-serdes",
            "nonstrict-serdes",
            "nonstrict-serdes-retrace",
            "nonstrict-retrace",
            "nonstrict_postdispatch",
            "strict",
            "strict-serdes",
            "strict-retrace",
        )
    ]


@pytest.mark.parametrize("path", ["cases/deep/any.py", "my_cases.py", "pkg/case_one.py"])
def test_default_patterns_of_case_files(echo, run_echo, linear, path):
    file = echo.path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(linear)
    assert ids(run_echo("--co", "-q", "--exportcheck-modes=nonstrict")) == [f"{path}::Linear[echo-nonstrict]"]


@pytest.mark.parametrize("path", ["models.py", "cases/__init__.py", "cases/conftest.py"])
def test_other_files_are_left_alone(echo, run_echo, linear, path):
    file = echo.path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(linear)
    assert ids(run_echo("--co", "-q")) == []


def test_ini_names_other_case_files(echo, run_echo, linear):
    echo.makeini("[pytest]\nexportcheck_files = zoo/*.py")
    (echo.path / "zoo").mkdir()
    (echo.path / "zoo" / "one.py").write_text(linear)
    assert ids(run_echo("--co", "-q", "--exportcheck-modes=strict")) == ["zoo/one.py::Linear[echo-strict]"]


def test_test_modules_are_scanned_and_their_tests_still_run(echo, run_echo, linear):
    echo.makepyfile(test_linear=linear + "\ndef test_plain():\n    assert True\n")
    result = run_echo("--exportcheck-modes=nonstrict")
    result.assert_outcomes(passed=2)


def test_a_module_is_imported_once(echo, run_echo, linear):
    echo.makepyfile(case_linear=linear + "\nopen('imports.txt', 'a').write('x')\n")
    run_echo("case_linear.py").assert_outcomes(passed=10)
    assert (echo.path / "imports.txt").read_text() == "x"


def test_imported_module_named_in_the_ini_file(echo, run_echo, linear):
    package = echo.mkpydir("shop")
    (package / "models.py").write_text(linear)
    echo.makeini("[pytest]\nexportcheck_import = shop.models\npythonpath = .")
    result = run_echo("--exportcheck-modes=nonstrict", "-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["shop.models::Linear[[]echo-nonstrict[]] PASSED*"])


def test_a_case_that_a_file_only_imports_belongs_to_its_own_file(echo, run_echo, linear):
    echo.makepyfile(case_linear=linear, case_other="from case_linear import Linear")
    assert ids(run_echo("--co", "-q", "--exportcheck-modes=nonstrict")) == ["case_linear.py::Linear[echo-nonstrict]"]


def test_production_code_needs_no_decorator(echo, run_echo):
    echo.makepyfile(
        shop="import torch\nclass Net(torch.nn.Identity): pass",
        case_shop="""
            import torch, shop
            from pytest_exportcheck import export_case

            @export_case(args=lambda: (torch.randn(2),))
            def net():
                return shop.Net()
        """,
    )
    assert ids(run_echo("--co", "-q", "--exportcheck-modes=nonstrict")) == ["case_shop.py::net[echo-nonstrict]"]


def test_several_cases_on_one_object_by_name(echo, run_echo):
    echo.makepyfile(
        case_two="""
            import torch
            from pytest_exportcheck import export_case

            @export_case(name="small", args=lambda: (torch.randn(2),))
            @export_case(name="large", args=lambda: (torch.randn(200),))
            class Net(torch.nn.Identity):
                pass
        """
    )
    result = run_echo("--exportcheck-modes=nonstrict", "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*small*", "*large*"])


def test_a_subclass_does_not_inherit_the_case(echo, run_echo, linear):
    echo.makepyfile(case_linear=linear + "\nclass Child(Linear):\n    pass\n")
    assert len(ids(run_echo("--co", "-q", "--exportcheck-modes=nonstrict"))) == 1


def test_factory_may_return_module_args_and_kwargs(echo, run_echo):
    echo.makepyfile(
        case_factory="""
            import torch
            from pytest_exportcheck import export_case

            @export_case()
            def scaled():
                class Scaled(torch.nn.Module):
                    def forward(self, x, *, by):
                        return x * by
                return Scaled(), (torch.randn(3),), {"by": torch.randn(3)}
        """
    )
    run_echo().assert_outcomes(passed=10)


def test_hook_adds_cases(echo, run_echo, linear):
    conftest = (echo.path / "conftest.py").read_text()
    (echo.path / "registry.py").write_text(linear)
    (echo.path / "conftest.py").write_text(
        conftest
        + "\ndef exportcheck_cases(config):\n"
        + "    import registry\n    from pytest_exportcheck.declare import cases_in\n    return cases_in(registry)\n"
    )
    result = run_echo("--exportcheck-modes=nonstrict", "-v")
    result.stdout.fnmatch_lines(["exportcheck_cases::Linear[[]echo-nonstrict[]] PASSED*"])
