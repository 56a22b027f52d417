"""Annotations for GitHub: workflow commands that put a message on a line of the pull request.

The format and its escapes: docs.github.com, "Workflow commands for GitHub Actions". GitHub shows ten errors and ten
warnings of a step. Therefore one annotation covers all modes in which one case breaks at one stage, the worst come
first, and what is left out is counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_exportcheck.modes import Mode
from pytest_exportcheck.records import Outcome, Report, RunError, Status
from pytest_exportcheck.reports.failure import headline
from pytest_exportcheck.reports.lines import count
from pytest_exportcheck.reports.wording import culprit_text, kind_of, values_text

SHOWN = 10  # of each level, by GitHub
_FINDINGS = 3  # of one annotation
_LONGEST = 200  # characters of one line of a message
_USER_LINE = re.compile(r"(?P<file>.+?):(?P<line>\d+) in ")
_FOREIGN = {"site-packages", "dist-packages"}


def workflow_commands(report: Report, *, root: Path, workspace: Path) -> Iterator[str]:
    """Yield the lines to print. ``root`` is pytest's root folder, to which the report's files are relative;
    ``workspace`` GitHub's, to which those of annotations are.
    """
    places = _Places(root, workspace)
    errors = [_of_error(error, places) for error in report.errors]
    failed = [item for item in report.items if item.status.fails]
    errors += [_of_items("error", group, places) for group in _groups(failed)]
    known = [item for item in report.items if item.status in (Status.KNOWN, Status.DISAGREEMENT)]
    warnings = [_of_items("warning", group, places) for group in _groups(known)]
    for lines, noun in ((errors, "error"), (warnings, "warning")):
        yield from lines[:SHOWN]
        if len(lines) > SHOWN:
            more = f"{count(len(lines) - SHOWN, f'more {noun}')}: see the log of this step"
            yield _command("notice", "exportcheck", more)


def _groups(items: Sequence[Outcome]) -> list[list[Outcome]]:
    """Return one group per case, engine and broken stage; the worst first, else in the order of ids."""
    groups: dict[tuple[str, str, str, str], list[Outcome]] = {}
    for item in items:
        stage = Mode.parse(item.mode).last
        groups.setdefault((item.path, item.case, item.engine, stage), []).append(item)
    return sorted(groups.values(), key=lambda group: min(map(_importance, group)))


def _importance(item: Outcome) -> tuple[int, bool]:
    return (item.status.rank, not any(finding.check in ("stage", "outputs", "effects") for finding in item.findings))


def _of_items(level: str, group: Sequence[Outcome], places: _Places) -> str:
    first = min(group, key=lambda item: (_importance(item), Mode.parse(item.mode).depth, item.mode))
    findings = [each for each in first.findings if each.verdict != "tolerated"]
    lines = [
        f"{each.check}: {each.place}: {kind_of(each)}: {values_text(each, _short(each.expected), _short(each.actual))}"
        + (f"; {culprit_text(each)}" if each.culprit else "")
        for each in findings[:_FINDINGS]
    ]
    lines += [f"and {count(len(findings) - _FINDINGS, 'more finding')}"] if len(findings) > _FINDINGS else []
    lines = lines or [_short(line) for line in first.reason.splitlines()[:_FINDINGS]]
    lines += [f"modes: {', '.join(item.mode for item in group)}"]
    return _command(level, f"{first.case} ({first.engine}): {_title(first)}", "\n".join(lines), places.of_item(first))


def _title(item: Outcome) -> str:
    words = {
        Status.ERROR: "could not be set up",
        Status.STALE: "an expected failure is gone",
        Status.INTERRUPTED: "interrupted",
    }
    if item.status in words:
        return words[item.status]
    known = dict.fromkeys(each.known_as for each in item.findings if each.known_as)
    if item.status is Status.KNOWN:
        return f"known defect: {', '.join(known)}"
    return headline(item).removesuffix(":")


def _of_error(error: RunError, places: _Places) -> str:
    lines = "\n".join(_short(line) for line in error.reason.splitlines()[: 2 * _FINDINGS])
    return _command("error", f"exportcheck: {error.nodeid}", lines, places.of(error.nodeid.partition("::")[0], 0))


def _short(text: str) -> str:
    line = text.partition("\n")[0]
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


class _Places:
    """The places of annotations, as ``file`` and ``line`` of a workflow command."""

    def __init__(self, root: Path, workspace: Path) -> None:
        self._root = root
        self._workspace = workspace

    def of_item(self, item: Outcome) -> dict[str, str]:
        """Return the line of user code that a finding is about where it is in the repo, else where the case is
        declared.
        """
        for finding in item.findings:
            line = _USER_LINE.match(finding.line)
            if line and (place := self.of(line["file"], int(line["line"]))):
                return place
        return self.of(item.file, item.line)

    def of(self, file: str, line: int) -> dict[str, str]:
        path = self._root / file
        inside = path.is_relative_to(self._workspace) and _FOREIGN.isdisjoint(path.parts)
        if not inside or not path.is_file():
            return {}
        place = {"file": path.relative_to(self._workspace).as_posix()}
        return {**place, "line": str(line)} if line > 0 else place


def _command(level: str, title: str, message: str, place: dict[str, str] | None = None) -> str:
    pairs = {**(place or {}), "title": title}
    return f"::{level} {','.join(f'{name}={_property(text)}' for name, text in pairs.items())}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
