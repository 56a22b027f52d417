"""Outputs of a report: the file of ``--exportcheck-json``, and GitHub where a workflow runs. Workers write nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_exportcheck.errors import ReportError
from pytest_exportcheck.options import Options
from pytest_exportcheck.reports.github import workflow_commands
from pytest_exportcheck.reports.job_summary import job_summary
from pytest_exportcheck.reports.json_report import write_report
from pytest_exportcheck.session.messages import outbox
from pytest_exportcheck.session.recorder import Recorder

_EVERY = 10.0  # seconds between two updates while the session runs: torch may end the process at any time


def register_outputs(config: pytest.Config, options: Options, recorder: Recorder) -> None:
    """Add the outputs to a session. Either can be turned off by name: ``-p no:exportcheck-github``."""
    if outbox(config) is not None or config.option.collectonly:
        return
    if options.json:
        config.pluginmanager.register(JsonOutput(recorder, Path(options.json)), "exportcheck-json")
    if os.environ.get("GITHUB_ACTIONS") == "true":
        config.pluginmanager.register(GitHubOutput(recorder), "exportcheck-github")


class JsonOutput:
    """The writer of the report's file. It writes once at the start, so that a path that cannot be written is reported
    before anything runs and no old report remains; then from time to time; finally when the session ends.
    """

    def __init__(self, recorder: Recorder, path: Path) -> None:
        self._recorder = recorder
        self._path = path if path.is_absolute() else recorder.config.invocation_params.dir / path
        self._given = path
        self._written = 0.0
        self._problem = ""

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        try:
            self._write()
        except ReportError as error:
            raise pytest.UsageError(f"exportcheck: --exportcheck-json: {error}") from None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        self._try_to_write()  # a process that dies in its first item leaves the names of all

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self) -> None:
        if time.monotonic() - self._written > _EVERY:
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
            terminalreporter.write(f"exportcheck: report written to {self._given}\n")

    def _write(self) -> None:
        write_report(self._path, self._recorder.report())
        self._written = time.monotonic()

    def _try_to_write(self) -> None:
        try:
            self._write()
            self._problem = ""
        except ReportError as error:
            self._problem = str(error)


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
