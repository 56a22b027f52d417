"""What continuous integration reads: junit's XML, and GitHub's annotations and summary page."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

RAISING = "def decompose(self, program, decomp_table=None):\n    raise ValueError('no')"
MODES = "--exportcheck-modes=nonstrict,nonstrict-decompose,nonstrict-decompose-serdes"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch):
    """The tests themselves may run on GitHub."""
    for name in ("GITHUB_ACTIONS", "GITHUB_WORKSPACE", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def on_github(monkeypatch, pytester):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(pytester.path))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "summary.md"))


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "xdist"])
@pytest.mark.parametrize("family", ["xunit1", "xunit2"])
def test_junit_has_properties_of_every_item(pytester, run_faulty, linear, family, workers):
    pytester.makepyfile(case_linear=linear)
    run_faulty(RAISING, MODES, "--junit-xml=junit.xml", "-o", f"junit_family={family}", *workers)
    told = {}
    for case in ElementTree.parse(pytester.path / "junit.xml").iter("testcase"):
        pairs = [(each.get("name"), each.get("value")) for each in case.iter("property")]
        told[case.get("name")] = [pair for pair in pairs if pair[0] != "exportcheck_seconds"]
        assert len(pairs) == len(told[case.get("name")]) + 1
    names = [("exportcheck_case", "Linear"), ("exportcheck_engine", "echo")]
    assert told == {
        "Linear[echo-nonstrict]": [
            *names,
            ("exportcheck_mode", "nonstrict"),
            ("exportcheck_status", "passed"),
        ],
        "Linear[echo-nonstrict-decompose]": [
            *names,
            ("exportcheck_mode", "nonstrict-decompose"),
            ("exportcheck_status", "failed"),
            ("exportcheck_finding", "stage: decompose: raised [broken]"),
        ],
        "Linear[echo-nonstrict-decompose-serdes]": [
            *names,
            ("exportcheck_mode", "nonstrict-decompose-serdes"),
            ("exportcheck_status", "blocked"),
            ("exportcheck_reason", "blocked by nonstrict-decompose"),
        ],
    }


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "xdist"])
def test_github_gets_an_annotation_and_a_page(pytester, run_faulty, linear, on_github, workers):
    pytester.makepyfile(case_linear=linear)
    (pytester.path / "summary.md").write_text("# of another step\n")
    result = run_faulty(RAISING, MODES, *workers)
    commands = [line for line in result.outlines if line.startswith("::")]
    assert commands[0].startswith(
        "::error file=case_linear.py,line=4,title=Linear (echo)%3A decompose raised ValueError::"
        "stage: decompose: raised: expected "
    )
    assert len(commands) == 1
    page = (pytester.path / "summary.md").read_text()
    assert page.startswith("# of another step\n## exportcheck: 1 passed, 1 failed, 1 blocked\n")
    assert page.count("## exportcheck") == 1


def test_a_page_that_cannot_be_written_is_told_and_fails_nothing(echo, run_echo, linear, on_github, monkeypatch):
    echo.makepyfile(case_linear=linear)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(echo.path))
    result = run_echo("--exportcheck-modes=nonstrict")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["exportcheck: GITHUB_STEP_SUMMARY cannot be written: *Is a directory*"])


@pytest.mark.parametrize("how", ["not on GitHub", "turned off"])
def test_elsewhere_or_when_turned_off_nothing_is_printed(pytester, run_faulty, linear, monkeypatch, how):
    pytester.makepyfile(case_linear=linear)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "summary.md"))
    if how == "turned off":
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
    result = run_faulty(RAISING, MODES, *(["-p", "no:exportcheck-github"] if how == "turned off" else []))
    assert not any(line.startswith("::") for line in result.outlines)
    assert not (pytester.path / "summary.md").exists()


FUZZED = """
import torch
from torch.export import Dim
from pytest_exportcheck import export_case

@export_case(
    args=(torch.ones(4, 3),),
    dynamic_shapes={"x": {0: Dim("batch", min=2, max=9)}},
    modes=["nonstrict", "nonstrict-serdes-serdes"],
)
class Net(torch.nn.Module):
    def forward(self, x):
        return x * 2
"""

#: A program that computes something else at other sizes than the example's.
WRONG = """
def export(self, module, args, kwargs=None, **_):
    class Wrong(torch.nn.Module):
        def forward(self, x):
            return module(x) + (x.shape[0] != 4)
    return Program(Wrong())
"""


def test_the_page_shows_modes_that_are_fuzzed_and_modes_that_a_case_adds(pytester, run_faulty, on_github):
    pytester.makepyfile(case_net=FUZZED)
    run_faulty(WRONG, "--exportcheck-fuzz=9", "-p", "no:cacheprovider")
    page = (pytester.path / "summary.md").read_text()
    assert "| echo | nonstrict | nonstrict-fuzz | nonstrict-serdes-serdes | nonstrict-serdes-serdes-fuzz |\n" in page
    assert "| `case_net.py` Net | . | **F** | . | b |\n" in page
