"""Entries of expected failures: validation, and matching with items and findings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from pytest_exportcheck.modes import AGREE, GOLDEN
from pytest_exportcheck.records import Expectation, Finding
from pytest_exportcheck.reports.wording import text_of


def problems(entry: Expectation) -> Iterator[tuple[str, str]]:
    """Yield the problems of an entry: the key, and a message."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    if not entry.reason.strip():
        yield "reason", f"{entry.form} needs a reason. Write why the failure is expected."
    try:
        SpecifierSet(entry.torch)
    except InvalidSpecifier:
        yield "torch", f"torch={entry.torch!r} is not a version specifier. Write for example torch='>=2.13,<2.15'."
    try:
        re.compile(entry.error)
    except re.error as error:
        yield (
            "error",
            f"error={entry.error!r} is not a valid regular expression: {error}. "
            "It is searched for in the text of a finding; escape literal text with a backslash.",
        )


def names_engine(entry: Expectation, engine: str) -> bool:
    """Return whether the entry is about items of this engine. Globs name engines only: the items that compare engines
    and those of golden programs have entries with their own names.
    """
    return entry.engine == engine if engine in (AGREE, GOLDEN) else fnmatchcase(engine, entry.engine)


def names_item(entry: Expectation, *, engine: str, mode: str, torch_version: str) -> bool:
    """Return whether the entry is about this item of its case."""
    from packaging.specifiers import SpecifierSet

    return (
        fnmatchcase(mode, entry.mode)
        and names_engine(entry, engine)
        and SpecifierSet(entry.torch).contains(torch_version, prereleases=True)
    )


def excuses(entry: Expectation, finding: Finding) -> bool:
    """Return whether the entry excuses the finding. A tolerated finding needs no excuse, and a failure of the plugin
    itself has none.
    """
    return (
        finding.verdict != "tolerated"
        and finding.check != "internal"
        and fnmatchcase(finding.check, entry.check)
        and (not entry.error or re.search(entry.error, text_of(finding)) is not None)
    )
