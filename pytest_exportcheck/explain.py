"""``exportcheck explain NAME``: a known defect of torch with the project's report of it, or a check and how strict it
is.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path, PurePosixPath

from pytest_exportcheck.errors import UnknownNameError
from pytest_exportcheck.policy import CONTRACT, KNOWN, KnownDefect
from pytest_exportcheck.policy.contract import JUDGED
from pytest_exportcheck.records import Finding, KnownAs
from pytest_exportcheck.reports.explain import defect_lines
from pytest_exportcheck.reports.lines import WIDTH, wrapped
from pytest_exportcheck.reports.wording import kind_of

_PACKAGE = Path(__file__).parent
#: Folder of the reports: in a wheel, else in a checkout.
_REPORTS = (_PACKAGE / "known_defect_reports", _PACKAGE.parent / "docs" / "known-defects")
#: Checks without a separate file.
_ELSEWHERE = {
    "stage": (
        "Stage: every stage succeeds, and leaves the module, its input program and torch's global modes as they were."
    ),
    "agree": (
        "Agreement (the items CASE[agree-CAPTURE]): the programs that several engines captured of a case have the same "
        "signature, ranges and operators, accept the same sizes and compute the same. Each difference names the likely "
        "culprit: an engine, the model, or undecided."
    ),
    "golden": (
        "Golden programs (the items CASE[golden-VERSION], --exportcheck-golden): torch and the reference reader load the program "
        "that a version of torch wrote, and compute the stored outputs; today's capture has the same inputs, outputs, ranges "
        "and guards."
    ),
    "sizes": "Sizes (--exportcheck-fuzz): a program accepts the sizes that the case declares, and refuses others.",
}


def explained(name: str) -> Iterator[str]:
    """Return the lines that explain a known defect or a check.

    Raises
    ------
    UnknownNameError
        With the nearest names, if it is neither.
    """
    row = next((each for each in KNOWN if each.id == name), None)
    checks = (*JUDGED, *_ELSEWHERE)
    if row is not None:
        return _defect_lines(row)
    if name in checks:
        return _check_lines(name)
    near = difflib.get_close_matches(name, [*(each.id for each in KNOWN), *checks], n=3)
    names = " or ".join(map(repr, near))
    raise UnknownNameError(
        f"no known defect or check is called {name!r}"
        + (f"; did you mean {names}? " if near else ". ")
        + f"Checks: {', '.join(dict.fromkeys(checks))}. The ids of known defects are in the summary of a run and in "
        "docs/verdicts.md in the project's repository."
    )


def _defect_lines(row: KnownDefect) -> Iterator[str]:
    return defect_lines(
        KnownAs(row.id, row.title, row.issue),
        torch=row.torch,
        explains=list(_findings_of(row)),
        stages=row.stages,
        engines=row.engines,
        always_fails=row.always_fails,
        report=report_of(row.issue),
    )


def _findings_of(row: KnownDefect) -> Iterator[str]:
    """Name the kinds of findings that a row explains."""
    if not row.changes:
        yield row.check
    for change, key, subject in product(row.changes, row.keys or ("",), row.subjects or ("",)):
        example = Finding(check=row.check, place="", change=change, key=key, subject=subject, expected="", actual="")
        yield f"{row.check}: {kind_of(example)}"


def report_of(issue: str) -> str | None:
    """Return the text of a report of this project; None for a public issue, and where the reports are not installed."""
    if "://" in issue:
        return None
    pages = (folder / PurePosixPath(issue).name for folder in _REPORTS)
    page = next((page for page in pages if page.is_file()), None)
    return None if page is None else page.read_text(encoding="utf-8")


def _check_lines(name: str) -> Iterator[str]:
    yield from (line.text for line in wrapped(_ELSEWHERE.get(name) or _docstring(name), WIDTH, indent=""))
    levels = ", ".join(f"{column} {level}" for column, level in CONTRACT.get(name, {}).items() if level != "-")
    if levels:
        yield ""
        yield from (line.text for line in wrapped(f"Judged at: {levels}.", WIDTH, indent=""))
    yield "docs/contract.md in the project's repository explains the levels."


def _docstring(name: str) -> str:
    """Return the first paragraph of a check's module, which is read and not imported: an import would load torch."""
    tree = ast.parse((_PACKAGE / "checks" / f"{name}.py").read_text(encoding="utf-8"))
    text = (ast.get_docstring(tree) or name).partition("\n\n")[0]
    return re.sub(r"\s+", " ", text).replace("``", "")
