"""The text of ``exportcheck explain`` about a known defect of torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_exportcheck.records import KnownAs
from pytest_exportcheck.reports.lines import WIDTH, wrapped

REPOSITORY = "in the project's repository"


def defect_lines(
    defect: KnownAs,
    *,
    torch: str,
    explains: Sequence[str],
    stages: Sequence[str],
    engines: Sequence[str],
    always_fails: bool,
    report: str | None,
    width: int = WIDTH,
) -> Iterator[str]:
    """Yield the lines. ``explains`` are the kinds of findings that the defect explains, ``report`` is the text of the
    project's report of the defect, None if it is not installed.
    """
    facts = {
        "torch": torch,
        "explains": ", ".join(dict.fromkeys(explains)),
        "at": ", ".join(stages) or "every stage",
        "engines": ", ".join(engines) or "every engine",
        "verdict": "fails: there is no program to ship" if always_fails else "",
        "reported": _link(defect.issue, report),
    }
    yield from (line.text for line in wrapped(f"{defect.id}: {defect.title}", width))
    yield ""
    for name, text in facts.items():
        if text:
            yield from (line.text for line in wrapped(f"{name + ':':<10}{text}", width, indent=" " * 10))
    if report is not None:
        yield ""
        yield from report.splitlines()


def _link(issue: str, report: str | None) -> str:
    if "://" in issue:
        return issue
    return f"{issue} {REPOSITORY}" if report is None else f"{issue} {REPOSITORY}, printed below"
