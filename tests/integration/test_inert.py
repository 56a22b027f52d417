"""Without ``--exportcheck`` the plugin costs nothing and imports nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "hypothesis", "sympy", "numpy", "msgspec", "jinja2", "pytest_exportcheck.session.items")


def heavy_imports(pytester: pytest.Pytester, *arguments: str) -> set[str]:
    pytester.makeconftest(
        "import sys\n"
        "def pytest_unconfigure(config):\n"
        f"    print('loaded:', *(name for name in {HEAVY!r} if name in sys.modules))\n"
    )
    # hypothesis's own pytest plugin, which comes with it, imports hypothesis by itself
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:hypothesispytest", *arguments]
    done = subprocess.run(command, cwd=pytester.path, capture_output=True, text=True, check=False)
    line = next(line for line in done.stdout.splitlines() if line.startswith("loaded:"))
    return set(line.split()[1:])


def test_nothing_heavy_is_imported_without_the_option(pytester):
    pytester.makepyfile(test_plain="def test_plain(): pass", case_one="raise RuntimeError('not to be imported')")
    assert heavy_imports(pytester) == set()


def test_the_same_probe_sees_torch_with_the_option(pytester):
    pytester.makepyfile(test_plain="def test_plain(): pass")
    assert "torch" in heavy_imports(pytester, "--exportcheck")


def test_the_package_imports_neither_torch_nor_pytest():
    program = (
        "import sys, pytest_exportcheck\n"
        "pytest_exportcheck.export_case, pytest_exportcheck.Case\n"
        "print([name for name in ('torch', 'pytest', '_pytest') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_decorated_test_module_is_an_ordinary_one_without_the_option(pytester, linear):
    pytester.makepyfile(test_linear=linear + "\ndef test_plain():\n    pass\n")
    pytester.runpytest().assert_outcomes(passed=1)
