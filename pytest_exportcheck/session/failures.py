"""Failures as the terminal shows them: in colour, and a finding of several modes of a case once.

pytest keeps the whole text of every failed item; only what its terminal reporter prints at the end is replaced.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from _pytest._code.code import ReprExceptionInfo
from _pytest._io import TerminalWriter

from pytest_exportcheck.records import Outcome
from pytest_exportcheck.reports.failure import failure_lines, failure_text
from pytest_exportcheck.reports.lines import Line, folded
from pytest_exportcheck.session.messages import message_of


@dataclass(eq=False)
class FailureRepr(ReprExceptionInfo):
    """The representation of a failed item in pytest, with styles. ``reprtraceback`` keeps the whole text."""

    lines: Sequence[Line] = ()

    def toterminal(self, tw: TerminalWriter) -> None:
        """Write the lines: in a terminal with styles and folded to its width, in files as they are."""
        for line in self.lines:
            for part in folded(line, tw.fullwidth) if tw.hasmarkup else (line,):
                write_line(tw, part)
        super(ReprExceptionInfo, self).toterminal(tw)


def write_line(writer: TerminalWriter, line: Line) -> None:
    """Write a line with the styles of its pieces, if the terminal has any."""
    for text, styles in line.pieces:
        writer.write(text, **dict.fromkeys(styles.split(), True))
    writer.write("\n")


def fold_failures(config: pytest.Config) -> None:
    """Make the terminal reporter show every finding of a case once. With ``-vv`` every item shows all of its
    findings.
    """
    reporter: Any = config.pluginmanager.getplugin("terminalreporter")
    if reporter is None:  # -p no:terminal, and workers of pytest-xdist
        return
    verbose = config.get_verbosity() > 1
    reports = reporter.stats.get("failed", [])
    shown = {id(report): outcome for report in reports if (outcome := _shown_of(report, verbose))}
    among = () if verbose else tuple(shown.values())
    reports[:] = [
        _folded(report, shown[id(report)], verbose, among) if id(report) in shown else report for report in reports
    ]


def _shown_of(report: Any, verbose: bool) -> Outcome | None:
    """Return the outcome that a report shows; None where the report shows something else: an internal error, or a
    timeout.
    """
    message = message_of(report)
    if message.outcome is None or not isinstance(report.longrepr, ReprExceptionInfo):
        return None
    text = failure_text(message.outcome, reproduce=message.reproduce, verbose=verbose)
    return message.outcome if str(report.longrepr).strip() == text.strip() else None


def _folded(report: Any, outcome: Outcome, verbose: bool, among: Sequence[Outcome]) -> Any:
    whole: ReprExceptionInfo = report.longrepr
    reproduce = message_of(report).reproduce
    lines = tuple(failure_lines(outcome, reproduce=reproduce, verbose=verbose, among=among))
    replaced = copy.copy(report)
    replaced.longrepr = FailureRepr(whole.reprtraceback, whole.reprcrash, lines)
    replaced.longrepr.sections = whole.sections
    return replaced
