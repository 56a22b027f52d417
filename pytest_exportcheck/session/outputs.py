"""Outputs of a report: the files of ``--exportcheck-json`` and ``--exportcheck-html``, and GitHub where a workflow runs.
Workers write nothing.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_exportcheck.errors import ReportError
from pytest_exportcheck.options import Options
from pytest_exportcheck.records import Report
from pytest_exportcheck.reports.github import workflow_commands
from pytest_exportcheck.reports.job_summary import job_summary
from pytest_exportcheck.reports.json_report import write_report
from pytest_exportcheck.session.messages import outbox
from pytest_exportcheck.session.recorder import Recorder

#: The names of the files in messages.
_NAMES = {"json": "report", "html": "page"}

_EVERY = 10.0  # seconds between two updates while the session runs: torch may end the process at any time


def register_outputs(config: pytest.Config, options: Options, recorder: Recorder) -> None:
    """Add the outputs to a session. Each can be turned off by name: ``-p no:exportcheck-github``."""
    if outbox(config) is not None or config.option.collectonly:
        return
    if options.json:
        output = FileOutput(recorder, "json", options.json, write=write_report, every=_EVERY)
        config.pluginmanager.register(output, "exportcheck-json")
    if options.html:
        output = FileOutput(recorder, "html", options.html, write=_write_page, every=math.inf)
        config.pluginmanager.register(output, "exportcheck-html")
    if os.environ.get("GITHUB_ACTIONS") == "true":
        config.pluginmanager.register(GitHubOutput(recorder), "exportcheck-github")


def _write_page(path: Path, report: Report) -> None:
    """Write the page of a report. jinja2 is imported only where a page is wanted."""
    from pytest_exportcheck.reports.html.report_page import write_report_page

    write_report_page(path, report)


class FileOutput:
    """The writer of one file of the report. It writes once at the start, so that a path that cannot be written is
    reported before anything runs and no old report remains; then, if ``every`` so many seconds have passed; finally when
    the session ends.
    """

    def __init__(
        self, recorder: Recorder, kind: str, given: str, *, write: Callable[[Path, Report], None], every: float
    ) -> None:
        self._recorder = recorder
        self._kind = kind
        self._path = recorder.config.invocation_params.dir / given
        self._given = _shown_path(recorder.config, given)
        self._writer = write
        self._every = every
        self._written = 0.0
        self._problem = ""

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        try:
            self._write()
        except ReportError as error:
            raise pytest.UsageError(f"exportcheck: --exportcheck-{self._kind}: {error}") from None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        self._try_to_write()  # a process that dies in its first item leaves the names of all

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self) -> None:
        if time.monotonic() - self._written > self._every:
            self._try_to_write()

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self._try_to_write()
        if self._problem and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._problem:
            terminalreporter.write(f"exportcheck: {self._problem}\n", red=True)
        else:
            terminalreporter.write(f"exportcheck: {_NAMES[self._kind]} written to {self._given}\n")

    def _write(self) -> None:
        self._writer(self._path, self._recorder.report())
        self._written = time.monotonic()

    def _try_to_write(self) -> None:
        try:
            self._write()
            self._problem = ""
        except ReportError as error:
            self._problem = str(error)


def _shown_path(config: pytest.Config, given: str) -> str:
    """Return a path as it is printed: relative to where pytest was called, if the ini file's folder is below it."""
    path, folder = Path(given), config.invocation_params.dir
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else given


class GitHubOutput:
    """The writer of annotations on the lines of a pull request, and of the job's summary page."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        report = self._recorder.report()
        root = self._recorder.config.rootpath
        workspace = Path(os.environ.get("GITHUB_WORKSPACE") or root)
        for line in workflow_commands(report, root=root, workspace=workspace):
            terminalreporter.write_line(line)
        page = os.environ.get("GITHUB_STEP_SUMMARY")
        if page:
            try:
                with Path(page).open("a", encoding="utf-8") as file:
                    file.write(job_summary(report))
            except OSError as error:
                terminalreporter.write_line(f"exportcheck: GITHUB_STEP_SUMMARY cannot be written: {error}")
