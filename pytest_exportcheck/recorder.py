"""Keeps what a session learns of its items as a report.

With pytest-xdist the workers only send rows, and the process that reports collects them.
"""

from __future__ import annotations

import platform
import sysconfig
import time
from collections.abc import Generator, Mapping
from datetime import datetime, timezone
from typing import Any

import pytest
import torch

from pytest_exportcheck import __version__
from pytest_exportcheck.items import SESSION, BrokenItem, CaseItem, reason_of
from pytest_exportcheck.options import Options
from pytest_exportcheck.reports.report import ErrorReport, Report, Run, Settings, report_of_runs
from pytest_exportcheck.reports.rows import item_of, plain, properties

_ENDED = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)


class Recorder:
    """Collects rows. On a worker it sends, with the first report, which items were selected: only workers collect."""

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self.config = config
        self._options = options
        self._started = datetime.now(timezone.utc)
        self._clock = time.monotonic()
        self._selected: dict[str, Mapping[str, Any]] | None = None
        self._to_send: list[Mapping[str, Any]] = []
        self._rows: dict[str, Mapping[str, Any]] = {}
        self._errors: list[ErrorReport] = []
        self._stopped = ""
        self._exit_status: int | None = None

    # --- where items run ------------------------------------------------------------------------

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._to_send = [item.report() for item in session.items if isinstance(item, CaseItem)]
        self._selected = {row["nodeid"]: row for row in self._to_send}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        if isinstance(item, CaseItem) and call.when == "call" and item.outcome is not None:
            item.user_properties += properties(item.report())
        report = yield
        if isinstance(item, BrokenItem) and report.failed:
            report.exportcheck_error = plain(item.message)  # type: ignore[attr-defined]
        if hasattr(self.config, "workerinput") and self._to_send:
            report.exportcheck_selected = self._to_send  # type: ignore[attr-defined]
            self._to_send = []
        return report

    # --- where they are reported ----------------------------------------------------------------

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._error(report.nodeid, reason_of(report))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for row in getattr(report, "exportcheck_selected", ()):
            self._selected = {**(self._selected or {}), row["nodeid"]: row}
        row = getattr(report, "exportcheck", None)
        if row is not None:  # of an item whose process is gone it lacks what only the item knew
            known = {**(self._selected or {}).get(report.nodeid, {}), "nodeid": report.nodeid}
            ended = {"worker": getattr(report, "worker_id", ""), "duration": report.duration}
            self._rows[report.nodeid] = {**known, "reason": reason_of(report), **row, **ended}
        elif hasattr(report, "exportcheck_error"):
            self._error(report.nodeid, report.exportcheck_error)
        elif report.failed and report.nodeid in self._rows:
            self._error(report.nodeid, f"{report.when}: {reason_of(report)}")

    def _error(self, nodeid: str, reason: str) -> None:
        error = ErrorReport(nodeid=plain(nodeid), reason=plain(reason))
        if error not in self._errors:  # every worker of pytest-xdist collects, and tells
            self._errors.append(error)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self._stopped = str(excinfo.value) or excinfo.typename

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        self._stopped = self._stopped or str(session.shouldfail or session.shouldstop or "")
        self._exit_status = int(exitstatus)

    def report(self) -> Report:
        """What is known by now."""
        items = [item_of(row) for row in self._rows.values()]
        return report_of_runs([self._run(len(items))], items, self._errors)

    def _run(self, judged: int) -> Run:
        kit = self.config.stash[SESSION].kit
        not_run = [nodeid for nodeid in self._selected or () if nodeid not in self._rows]
        selected: int | None = None if self._selected is None else len(self._selected)
        if self._selected is None and not self._stopped and self._exit_status in _ENDED:
            selected = judged  # nothing of ours came back from any worker, so there was nothing
        return Run(
            settings=self._settings(),
            engines=tuple(engine.name for engine in kit.engines),
            modes=tuple(map(str, kit.planned_modes)),
            started=self._started,
            seconds=round(time.monotonic() - self._clock, 3),
            exit_status=self._exit_status,
            stopped=plain(self._stopped),
            selected=selected,
            not_run=tuple(plain(sorted(not_run))),
        )

    def _settings(self) -> Settings:
        options = self._options
        return Settings(
            exportcheck=__version__,
            torch=str(torch.__version__),
            python=platform.python_version(),
            platform=sysconfig.get_platform(),
            profile=options.profile,
            seed=options.seed,
            threads=options.threads or torch.get_num_threads(),
            allow=tuple(plain(options.allow)),
            forbid=tuple(plain(options.forbid)),
        )
