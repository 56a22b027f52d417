"""Sentences about the reduction of a bundle: what was tried, what is left, and what was not possible."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_exportcheck.records import Finding
from pytest_exportcheck.reports.lines import count
from pytest_exportcheck.reports.wording import kind_of


def gone_text(folder: str, shown: int, tries: int) -> str:
    """Return the error for a finding that does not show in each of the first tries."""
    if not shown:
        return (
            f"{folder}: the finding does not show in any of {tries} tries, so there is nothing to reduce. exportcheck replay "
            f"{folder} says what happens instead."
        )
    return (
        f"{folder}: the finding is flaky: it shows in {shown} of {tries} tries. Make the model deterministic first (seed, "
        "threads, uninitialised memory)."
    )


def total_text(before: int, after: int, tries: int, seconds: float, *, complete: bool) -> str:
    """Return the line that sums up the search."""
    ended = "" if complete else "; the budget ended the search: --tries and --seconds raise it"
    return f"nodes: {before} -> {after} after {tries} tries, {seconds:.0f} s{ended}"


def script_text(lines: int, engine: str) -> str:
    """Return the line about a script that shows the finding."""
    needs = "torch only" if not engine else f"torch and {engine.partition(':')[0]}"
    return f"repro.py: {count(lines, 'line')}, needs {needs}, exits with 1"


def loaded_script_text(reason: str) -> str:
    """Return the line about a script that loads the program."""
    return f"repro.py loads program.pt2: {reason}"


#: Stages in torch's own words.
_STAGES: Mapping[str, str] = {
    "decompose": "run_decompositions()",
    "serdes": "torch.export.save and load",
    "retrace": "a second torch.export.export",
    "unflatten": "torch.export.unflatten",
    "nonstrict": "torch.export.export",
    "strict": "torch.export.export(strict=True)",
    "nonstrict_postdispatch": "a capture with pre_dispatch=False",
    "strict_postdispatch": "a strict capture with pre_dispatch=False",
}


def title_of(finding: Finding, stage: str, version: str) -> str:
    """Return the first line of a script: the finding in a few words, with the stage and the version of torch."""
    return f"{finding.check}: {kind_of(finding)} after {_STAGES.get(stage, stage)} (torch {version})"


def capture_text(possible: bool) -> str:
    """Return the line about a finding of a capture, which compares eager with a program."""
    if possible:
        return (
            "a capture is compared with eager: the operators that torch captured of the model take the place of its "
            "source. What the source does besides (Python state, control flow, hooks) is not part of the reduced finding."
        )
    return (
        "the finding depends on the source of the model: the operators that torch captures of it do not show the finding "
        "when they are captured again. Shorten forward() by hand, and run exportcheck replay after each change."
    )
