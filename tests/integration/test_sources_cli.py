"""Ids, options, globs that overlap, the ini option and the reproducing command of sources."""

from __future__ import annotations

import pytest

FACTORY = """
import torch

def small():
    return torch.nn.Linear(3, 3), (torch.randn(2, 3),)
"""


@pytest.fixture
def shop(echo):
    """A package that pytest can import, whose factory nobody decorated."""
    (echo.mkpydir("shop") / "models.py").write_text(FACTORY)
    echo.makeini("[pytest]\npythonpath = .")
    return echo


def ids(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if "::" in line]


def test_a_factory_is_checked_under_the_name_of_its_module(shop, run_echo):
    result = run_echo("--exportcheck-source=import:shop.models:small", "--exportcheck-modes=nonstrict", "-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["shop.models::small[[]echo-nonstrict[]] PASSED*"])


def test_sources_of_the_ini_file_and_those_of_the_command_line_instead(shop, run_echo):
    shop.makeini("[pytest]\npythonpath = .\nexportcheck_sources = import:shop.models:small exportdb:cond_operands")
    assert ids(run_echo("--exportcheck-modes=nonstrict", "--co", "-q")) == [
        "shop.models::small[echo-nonstrict]",
        "exportdb::cond_operands[echo-nonstrict]",
    ]
    assert ids(
        run_echo("--exportcheck-modes=nonstrict", "--exportcheck-source=exportdb:list_unpack", "--co", "-q")
    ) == ["exportdb::list_unpack[echo-nonstrict]"]


def test_a_case_that_two_globs_name_runs_once(run_echo):
    result = run_echo(
        "--exportcheck-source=exportdb:cond_op*",
        "--exportcheck-source=exportdb:*_operands",
        "--exportcheck-modes=nonstrict",
        "--co",
        "-q",
    )
    assert ids(result) == ["exportdb::cond_operands[echo-nonstrict]"]


def test_what_a_glob_leaves_out_is_said_and_what_is_named_is_refused(run_echo):
    result = run_echo("--exportcheck-source=exportdb:dynamic_shape_*", "--exportcheck-modes=nonstrict", "--co", "-q")
    result.stdout.fnmatch_lines(
        ["exportcheck: exportdb:dynamic_shape_?: 1 of * left out, which torch does not support yet: *_round"]
    )
    refused = run_echo("--exportcheck-source=exportdb:dynamic_shape_round")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(
        [
            "ERROR: exportcheck: exportdb:dynamic_shape_round: torch does not support this example yet, "
            "so there is no program to check. Name another, or exportdb:[*] for all that it supports."
        ]
    )


def test_options_are_part_of_the_id_and_of_the_reproducing_command(run_faulty):
    pytest.importorskip("timm", reason="the zoo extra (timm) is not installed")
    result = run_faulty(
        "def export(self, *args, **rest):\n    raise RuntimeError('no')",
        "--exportcheck-source=timm:test_vi[t],batch=3",
        "--exportcheck-modes=nonstrict",
    )
    result.stdout.fnmatch_lines(
        [
            "Reproduce with: pytest --exportcheck --exportcheck-modes=nonstrict --exportcheck-engines=echo "
            "--exportcheck-only-sources --exportcheck-source=timm:test_vit,batch=3 "
            '"timm::test_vit+batch-3[[]echo-nonstrict[]]"'
        ]
    )


def test_a_reproducing_command_finds_its_item(run_echo):
    pytest.importorskip("timm", reason="the zoo extra (timm) is not installed")
    result = run_echo(
        "--exportcheck-source=timm:test_vit,batch=3", "timm::test_vit+batch-3[echo-nonstrict]", "--co", "-q"
    )
    assert ids(result) == ["timm::test_vit+batch-3[echo-nonstrict]"]
