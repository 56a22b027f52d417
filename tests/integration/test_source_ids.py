"""Items of sources by their ids, sources without files, and the command that runs an item again, which is really run."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

FACTORY = """
import torch
from pytest_exportcheck import export_case

def small():
    return torch.nn.Linear(3, 3), (torch.randn(2, 3),)

class Net(torch.nn.Module):
    def forward(self, x):
        return x + 1

def bare():
    return torch.nn.ReLU()

@export_case(args=lambda: (torch.randn(2, 3),))
def declared():
    return torch.nn.ReLU()
"""
BROKEN = "def export(self, *args, **rest):\n    raise RuntimeError('no')"
SOURCE = "--exportcheck-source=import:shop.models:*"
HINT = "exportcheck: *[[]*-nonstrict[]] is an item of pytest-exportcheck: add --exportcheck."


@pytest.fixture
def shop(echo, linear):
    """A package in the current folder that pytest's own path does not lead to, and a case file."""
    (echo.mkpydir("shop") / "models.py").write_text(FACTORY)
    echo.makepyfile(case_linear=linear)
    return echo


def ids(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if "::" in line]


def collect(run_echo, *arguments: str) -> list[str]:
    return ids(run_echo("--exportcheck-modes=nonstrict,strict", "--co", "-q", *arguments))


@pytest.mark.parametrize(
    ("name", "case"), [("small", "small"), ("Net,shape=2x3", "Net+shape-2x3"), ("bare,shape=3", "bare+shape-3")]
)
def test_what_nobody_decorated_is_found_in_the_current_folder(shop, run_echo, monkeypatch, name, case):
    import sys as here

    monkeypatch.setattr(here, "path", [each for each in here.path if each not in ("", str(shop.path))])
    result = run_echo(
        f"--exportcheck-source=import:shop.models:{name}",
        f"shop.models::{case}",
        "--exportcheck-modes=nonstrict",
        "--import-mode=importlib",
        "-v",
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"shop.models::{case}[[]echo-nonstrict[]] PASSED*"])


def test_an_id_of_a_source_selects_its_item_and_collects_no_file(shop, run_echo):
    named = "shop.models::declared[echo-strict]"
    assert collect(run_echo, SOURCE, named) == [named]
    assert collect(run_echo, SOURCE, "shop.models::declared") == [
        "shop.models::declared[echo-nonstrict]",
        "shop.models::declared[echo-strict]",
    ]
    assert collect(run_echo, SOURCE, named, "case_linear.py::Linear[echo-strict]") == [
        "case_linear.py::Linear[echo-strict]",
        named,
    ]


def test_an_id_says_which_model_of_a_source_it_is_about(shop, run_echo):
    named = "exportdb::cond_operands[echo-strict]"
    assert collect(run_echo, named) == [named]


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "xdist"])
def test_an_id_that_no_item_has_is_a_usage_error(shop, run_echo, workers):
    if workers:
        pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    result = run_echo(SOURCE, "shop.models::declard[echo-strict]", *workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    told = result.stdout if workers else result.stderr
    told.fnmatch_lines(
        [
            "ERROR: exportcheck: no item is called 'shop.models::declard[[]echo-strict[]]'. To list the ids of items "
            "from sources: pytest --exportcheck --exportcheck-only-sources --exportcheck-source=SOURCE:NAME --collect-only -q"
        ]
    )


def test_sources_alone_collect_no_file(shop, run_echo):
    assert collect(run_echo, SOURCE, "--exportcheck-only-sources") == [
        "shop.models::declared[echo-nonstrict]",
        "shop.models::declared[echo-strict]",
    ]


def test_sources_alone_and_an_item_of_a_file_contradict_each_other(shop, run_echo):
    result = run_echo("--exportcheck-only-sources", "case_linear.py::Linear")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: exportcheck: --exportcheck-only-sources collects no file, got 'case_linear.py::Linear'. Leave out one of "
            "the two."
        ]
    )


@pytest.mark.parametrize("named", ["case_linear.py::Linear[torch-nonstrict]", "timm::test_vit[torch-nonstrict]"])
def test_an_id_without_the_option_hints_at_it(shop, named):
    result = shop.runpytest(named)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines([HINT])


def test_an_id_of_another_test_gets_no_hint(shop):
    shop.makepyfile(test_plain="def test_a(): pass")
    result = shop.runpytest("test_plain.py::test_b[strict-nonstrict]")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "add --exportcheck" not in shop.runpytest("test_plain.py::test_b[1]").stdout.str()


def rerun(result: pytest.RunResult, folder) -> str:
    """Runs the command that the result prints, as a user would, and gives what it prints."""
    (line,) = {line for line in result.outlines if line.startswith("Reproduce with: ")}
    words = shlex.split(line.removeprefix("Reproduce with: "))
    assert words[0] == "pytest"
    command = [sys.executable, "-c", "import sys, pytest; sys.path.remove(''); sys.exit(pytest.main())", *words[1:]]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("below", "arguments", "item"),
    [
        ("below", ["case_linear.py"], "case_linear.py::Linear[[]echo-nonstrict[]]"),
        ("", [SOURCE, "--exportcheck-only-sources"], "shop.models::declared[[]echo-nonstrict[]]"),
        (
            "below",
            ["-o", "exportcheck_import=shop.models", "-k", "declared"],
            "shop.models::declared[[]echo-nonstrict[]]",
        ),
    ],
    ids=["file", "source", "import"],
)
def test_the_reproducing_command_runs_that_item_alone(shop, run_faulty, monkeypatch, below, arguments, item):
    shop.makeini("[pytest]\npythonpath = .")
    folder = shop.mkdir("below") if below else shop.path
    monkeypatch.chdir(folder)
    paths = [f"../{each}" if below and each.endswith(".py") else each for each in arguments]
    result = run_faulty(
        BROKEN, *paths, *([".."] if below and paths == arguments else []), "--exportcheck-modes=nonstrict"
    )
    result.assert_outcomes(failed=1, deselected=1 if "-k" in arguments else 0)
    pytest.LineMatcher(rerun(result, folder).splitlines()).fnmatch_lines(
        ["collected 1 item", f"FAILED *{item.rpartition('/')[2]}*", "=* 1 failed*in *"]
    )
