"""The matching of findings with the rows of known defects."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from pytest_exportcheck.policy.contract import column_of
from pytest_exportcheck.policy.known_defects.row import ANY_NAME, KnownDefect
from pytest_exportcheck.records import Finding, KnownAs

#: Stages that save a program and load it.
_LOADING = ("serdes", "interop")


def judge_by(
    rows: Iterable[KnownDefect],
    findings: Iterable[Finding],
    *,
    engine: str,
    stages: Sequence[str],
    torch_version: str,
    operators: Collection[str] = (),
) -> list[Finding]:
    """Return the findings of the last of the stages with their verdicts: a finding that a row explains becomes ``known``,
    unless it is tolerated.
    """
    findings = list(findings)
    if not findings:
        return []
    rows = [
        row
        for row in rows
        if _is_for(row, engine, stages) and SpecifierSet(row.torch).contains(torch_version, prereleases=True)
    ]
    first = [_judged(finding, [row for row in rows if not row.together_with], operators) for finding in findings]
    found = {finding.known_as for finding in first if finding.verdict == "known"}
    return [_judged(finding, [row for row in rows if row.together_with in found], operators) for finding in first]


def _is_for(row: KnownDefect, engine: str, stages: Sequence[str]) -> bool:
    *path, last = stages
    return (
        _has(row.engines, engine)
        and any(_has(row.stages, stage) for stage in (last, column_of(last)))
        and _has(row.captures, stages[0])
        and (not row.after or (bool(path) and path[-1] in row.after))
        and (not row.loaded or any(stage in _LOADING for stage in path[1:]))
        and (not row.runtime or is_installed(row.runtime))
    )


def is_installed(requirement: str) -> bool:
    """Return True if a distribution is installed in a version that a requirement such as ``executorch>=1.4`` allows."""
    wanted = Requirement(requirement)
    try:
        version = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return wanted.specifier.contains(version, prereleases=True)


def _judged(finding: Finding, rows: Iterable[KnownDefect], operators: Collection[str]) -> Finding:
    """Return the verdict of a row on a finding. A tolerated finding stays tolerated, and names the row; a known one
    stays known.
    """
    if finding.verdict not in ("broken", "disagreement", "tolerated") or finding.known:
        return finding
    about = operators if finding.operators is None else finding.operators
    row = next((row for row in rows if explains(row, finding) and _is_about(row, about)), None)
    if row is None:
        return finding
    return replace(
        finding,
        verdict="tolerated" if finding.verdict == "tolerated" else "known",
        known=KnownAs(row.id, row.title, row.issue),
    )


def _is_about(row: KnownDefect, operators: Collection[str]) -> bool:
    return row.operators == ANY_NAME or any(row.operators.has(each) for each in operators)


def explains(row: KnownDefect, finding: Finding) -> bool:
    """Return True if the row describes the finding, for any program and stage."""
    sizes = {size for site in finding.on for _, size in site.sizes}
    return (
        finding.check == row.check
        and _has(row.changes, finding.change)
        and _has(row.keys, finding.key)
        and _has(row.subjects, finding.subject)
        and _has(row.expected, finding.expected)
        and _has(row.actual, finding.actual)
        and (not row.sizes or not sizes.isdisjoint(row.sizes))
        and all(
            any(cause.kind in needed.kinds and needed.names.has(cause.name) for cause in finding.causes)
            for needed in row.causes
        )
        and _raised(row, finding)
    )


def _raised(row: KnownDefect, finding: Finding) -> bool:
    """Return True if the error matches the row, as far as the row describes an error."""
    if not (row.error_type or row.error_contains or row.error_function or row.logged_contains):
        return True
    error = finding.error
    return (
        error is not None
        and row.error_type in ("", error.type)
        and all(text in error.message for text in row.error_contains)
        and row.error_function in ("", error.function)
        and (not row.logged_contains or any(row.logged_contains in line for line in error.logged))
    )


def _has(allowed: Collection[object], value: object) -> bool:
    return not allowed or value in allowed
