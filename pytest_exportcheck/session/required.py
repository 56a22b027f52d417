"""The engines, modes and runtimes of ``--exportcheck-require``: a run in which one was not judged for a case fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from pytest_exportcheck.modes import Mode
from pytest_exportcheck.records import Outcome
from pytest_exportcheck.session.messages import outbox
from pytest_exportcheck.session.recorder import Recorder

#: Reasons why nothing was judged, where no item has one: by whether there was an item.
_LACKING = {False: "none of its items was selected", True: "a known defect keeps its last stage from making anything"}


class RequiredPlugin:
    """The plugin that fails the run. Workers of pytest-xdist leave that to the process that reports."""

    def __init__(self, config: pytest.Config, names: Sequence[str], recorder: Recorder) -> None:
        self._config = config
        self._names = names
        self._recorder = recorder
        self._missing: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if outbox(self._config) is not None or session.config.option.collectonly:
            return
        self._missing = list(missing(self._names, self._recorder.outcomes))
        for text in self._missing:
            self._recorder.error("--exportcheck-require", text)
        if self._missing and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for text in self._missing:
            terminalreporter.write_line(f"exportcheck: required: {text}", red=True)


def missing(names: Sequence[str], outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield a line for every name and case that nothing was judged for, with the reason."""
    cases: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        cases.setdefault((outcome.path, outcome.case), []).append(outcome)
    if not cases:
        yield f"{', '.join(names)} did not run: there is no case."
    for (path, case), rows in cases.items():
        for name in names:
            about = [row for row in rows if _is_about(row, name)]
            if not any(row.status.judged and not _ended_early(row) for row in about):
                reason = next((row.reason for row in about if row.reason), _LACKING[bool(about)])
                yield f"{name} did not run for {path}::{case}: {reason.rstrip('.')}."


def _ended_early(outcome: Outcome) -> bool:
    """Return True if a known defect kept the last stage from making anything: nothing was called."""
    return any(
        each.check == "stage" and each.change == "raised" and each.verdict == "known" for each in outcome.findings
    )


def _is_about(outcome: Outcome, name: str) -> bool:
    """Return True if an item is of an engine, of a mode, or ends in a stage of this name."""
    return name in (outcome.engine, outcome.mode, Mode.parse(outcome.mode).last)
