"""The recorder of a session: it collects the outcomes of items, and makes a report of them.

With pytest-xdist the workers only send messages, and the process that reports collects them.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from pytest_exportcheck.options import Options
from pytest_exportcheck.records import Outcome, Report, Run, RunError
from pytest_exportcheck.reports.encoding import printable
from pytest_exportcheck.reports.junit import properties
from pytest_exportcheck.reports.report import report_of_runs
from pytest_exportcheck.session.items import SESSION, BrokenItem, CaseItem, EntryItem, reason_of
from pytest_exportcheck.session.messages import Message, attach, message_of, outbox
from pytest_exportcheck.session.relative_paths import RelativePaths
from pytest_exportcheck.session.run_settings import run_settings

_ENDED = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)


class Recorder:
    """The one store of a session's outcomes: attaches messages to the reports of items where they run, and collects the
    messages where they are reported. A worker sends, with its first report, which items were selected: only workers
    collect.
    """

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self.config = config
        self._options = options
        self._started = datetime.now(timezone.utc)
        self._clock = time.monotonic()
        self._selected: dict[str, Outcome] | None = None
        self._to_send: tuple[Outcome, ...] = ()
        self._order: dict[str, int] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._errors: list[RunError] = []
        self.bundles: dict[str, str] = {}
        self._stopped = ""
        self._exit_status: int | None = None

    # --- where items run ------------------------------------------------------------------------

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._to_send = tuple(item.planned for item in session.items if isinstance(item, CaseItem))
        self._selected = {each.nodeid: each for each in self._to_send}
        self._order = {item.nodeid: number for number, item in enumerate(session.items)}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        if isinstance(item, CaseItem) and call.when == "call" and item.outcome is not None:
            item.user_properties += properties(item.outcome)
        report = yield
        message = _message(item, report)
        if outbox(self.config) is not None:
            message, self._to_send = replace(message, selected=self._to_send), ()
        attach(report, message)
        return report

    # --- where they are reported ----------------------------------------------------------------

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._error(report.nodeid, reason_of(report))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        self._order = {nodeid: number for number, nodeid in enumerate(ids)}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        message = message_of(report)
        if message.selected:
            self._selected = {**(self._selected or {}), **{each.nodeid: each for each in message.selected}}
        if message.outcome is not None:
            self._outcomes[report.nodeid] = self._completed(message, message.outcome, report)
            if message.bundle:
                self.bundles[report.nodeid] = message.bundle
        elif message.error:
            self._error(report.nodeid, message.error)
        elif report.failed and report.nodeid in self._outcomes:
            self._error(report.nodeid, f"{report.when}: {reason_of(report)}")

    def _completed(self, message: Message, outcome: Outcome, report: pytest.TestReport) -> Outcome:
        """Add what only the process that reports knows. An item whose process ended cannot report where its case is."""
        planned = (self._selected or {}).get(report.nodeid)
        if planned is not None and not outcome.file:
            outcome = replace(outcome, file=planned.file, line=planned.line)
        worker, duration = getattr(report, "worker_id", ""), round(report.duration, 6)
        return replace(outcome, worker=worker, duration=duration, reproduce=message.reproduce)

    def _error(self, nodeid: str, reason: str) -> None:
        reason = RelativePaths(self.config.rootpath).of(reason)
        error = RunError(nodeid=printable(nodeid), reason=printable(reason))
        if error not in self._errors:  # every worker of pytest-xdist collects, and reports it
            self._errors.append(error)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self._stopped = str(excinfo.value) or excinfo.typename

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        self._stopped = self._stopped or str(session.shouldfail or session.shouldstop or "")
        self._exit_status = int(exitstatus)

    @property
    def outcomes(self) -> list[Outcome]:
        """Return the outcomes that are known by now, in the order in which their items were collected."""
        return [self._outcomes[nodeid] for nodeid in sorted(self._outcomes, key=lambda each: self._order.get(each, 0))]

    @property
    def selected(self) -> list[str]:
        """Return the ids of the items of this run, as far as they are known."""
        return [*(self._selected or ())]

    @property
    def durations(self) -> dict[str, float]:
        """Return the seconds of each item that is done."""
        return {nodeid: outcome.duration for nodeid, outcome in self._outcomes.items()}

    def report(self) -> Report:
        """Make a report of the outcomes so far."""
        return report_of_runs([self._run(len(self._outcomes))], self._outcomes.values(), self._errors)

    def _run(self, judged: int) -> Run:
        registry = self.config.stash[SESSION].registry
        not_run = [nodeid for nodeid in self._selected or () if nodeid not in self._outcomes]
        selected: int | None = None if self._selected is None else len(self._selected)
        if self._selected is None and not self._stopped and self._exit_status in _ENDED:
            selected = judged  # no message of the plugin came back from any worker, so there was nothing
        return Run(
            settings=run_settings(self._options),
            engines=tuple(engine.name for engine in registry.engines),
            modes=tuple(map(str, registry.planned_modes)),
            started=self._started,
            seconds=round(time.monotonic() - self._clock, 3),
            exit_status=self._exit_status,
            stopped=printable(self._stopped),
            selected=selected,
            not_run=tuple(map(printable, sorted(not_run))),
        )


def _message(item: pytest.Item, report: pytest.TestReport) -> Message:
    """Return the message of an item of the plugin for this report; an empty one unless the item ended."""
    if isinstance(item, CaseItem) and (report.when == "call" or (report.when == "setup" and not report.passed)):
        return Message(
            outcome=item.ended(report),
            delta=item.delta if item.outcome else None,
            reproduce=item.reproduce if report.failed else "",
            bundle=item.bundle if report.when == "call" else "",
        )
    delta = item.delta if isinstance(item, EntryItem) and report.when == "call" else None
    return Message(delta=delta, error=item.message if isinstance(item, BrokenItem) and report.failed else "")
