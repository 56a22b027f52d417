"""The hooks of a session with ``--exportcheck``: collection, reports and the terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Generator, Iterable
from contextlib import nullcontext
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_exportcheck import __version__
from pytest_exportcheck import modes as lattice
from pytest_exportcheck.declare import cases_in
from pytest_exportcheck.engines import all_engines, select_engines
from pytest_exportcheck.errors import ExportcheckError
from pytest_exportcheck.hooks import Hooks
from pytest_exportcheck.items import (
    SESSION,
    BrokenItem,
    CaseItem,
    CaseModule,
    Session,
    SourceCollector,
    items_on,
    report_of,
)
from pytest_exportcheck.modes import Lattice, Mode
from pytest_exportcheck.options import Options
from pytest_exportcheck.policy import Overrides
from pytest_exportcheck.progress import Progress
from pytest_exportcheck.records import Case
from pytest_exportcheck.reports.terminal import Line, Row, summary
from pytest_exportcheck.runner import Runner
from pytest_exportcheck.sources import cases_from

NEVER_CASE_FILES = ("conftest.py", "__init__.py")


class ActivePlugin:
    """Registered only where ``--exportcheck`` was given."""

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self._config = config
        self._options = options
        self._rows: list[Row] = []
        self._hooks = Hooks()

    # --- the session ------------------------------------------------------------------------

    def pytest_plugin_registered(self, plugin: object) -> None:
        try:
            self._hooks.adopt(plugin)
        except ExportcheckError as error:
            raise pytest.UsageError(f"exportcheck: {error}") from None

    def pytest_sessionstart(self) -> None:
        """Engines and modes are resolved once; a wrong name ends the session before anything is collected."""
        try:
            added = [engine for group in self._hooks.hook.exportcheck_engines() for engine in group]
            every = all_engines(added)
            engines = select_engines(every, self._options.engines)
            lattices = [Lattice.of(engine.captures, engine.edges) for engine in engines]
            modes = lattice.select(self._options.modes, lattices)
            overrides = Overrides.of(self._options.allow, self._options.forbid)
        except ExportcheckError as error:
            raise pytest.UsageError(f"exportcheck: {error}") from None
        options = self._options
        runner = Runner(
            every,
            profile=options.profile,
            seed=options.seed,
            threads=options.threads,
            progress=Progress(self._write_progress),
            overrides=overrides,
        )
        self._config.stash[SESSION] = Session(options, engines, modes, runner, self._hooks, every)

    def pytest_report_header(self) -> str:
        options = self._options
        threads = options.threads or torch.get_num_threads()
        return (
            f"exportcheck: {__version__}, torch {torch.__version__}, export schema {_schema_version()}, "
            f"profile {options.profile}, seed {options.seed}, threads {threads}"
        )

    # --- collection -------------------------------------------------------------------------

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """Case files that pytest itself would not collect."""
        if not self._is_case_file(file_path) or _is_pytests_own(file_path, parent):
            return None
        module: CaseModule = CaseModule.from_parent(parent, path=file_path)
        return module

    def pytest_pycollect_makemodule(self, module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
        """Case files that pytest collects too: their tests and their cases come from one module object."""
        if not self._is_case_file(module_path):
            return None
        module: CaseModule = CaseModule.from_parent(parent, path=module_path)
        module.tests_too = True
        return module

    @pytest.hookimpl(tryfirst=True)
    def pytest_pycollect_makeitem(self, collector: Any, obj: object) -> Any:
        return items_on(collector, obj) if isinstance(collector, pytest.Module) else None

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Cases that are in no collected file join the session's own children."""
        report = yield
        if isinstance(collector, pytest.Session) and report.outcome == "passed":
            report.result = [*(report.result or []), *self._elsewhere(collector)]
        return report

    def _elsewhere(self, session: pytest.Session) -> Iterable[pytest.Collector]:
        for name in self._options.imports:
            yield self._imported(session, name)
        for spec in self._options.sources:
            try:
                cases = cases_from(spec)
            except ExportcheckError as error:
                raise pytest.UsageError(f"exportcheck: {error}") from None
            yield _collector(session, spec.partition(":")[0], cases, [f"--exportcheck-source={spec}"])
        for cases in self._hooks.hook.exportcheck_cases(config=self._config):
            yield _collector(session, "exportcheck_cases", cases)

    def _imported(self, session: pytest.Session, name: str) -> pytest.Collector:
        try:
            module = import_module(name)
        except Exception as error:
            raise pytest.UsageError(
                f"exportcheck: exportcheck_import names {name!r}, which cannot be imported "
                f"({type(error).__name__}: {error}). Correct the name, or install what it needs."
            ) from None
        return _collector(session, name, cases_in(module))

    def _is_case_file(self, path: Path) -> bool:
        if path.suffix != ".py" or path.name in NEVER_CASE_FILES:
            return False
        root = self._config.rootpath
        relative = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
        return any(_glob(pattern).fullmatch(relative) for pattern in self._options.files)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Before anything is deselected: a run that was meant to check and has no case must not go green."""
        found = any(isinstance(item, (CaseItem, BrokenItem)) for item in items)
        chosen_by_hand = self._config.args_source is pytest.Config.ArgsSource.ARGS
        if not found and not self._is_xdist_worker() and not (chosen_by_hand and items):
            raise pytest.UsageError(self._no_case())

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        ours = [item for item in session.items if isinstance(item, CaseItem)]
        self._config.stash[SESSION].runner.select((item.case, item.engine, item.mode) for item in ours)

    def _no_case(self) -> str:
        return (
            "exportcheck: no case found. Decorate a module class or a factory with "
            "@export_case(args=...) in a test module or in a file that matches exportcheck_files "
            f"({' '.join(self._options.files)}), name a module in exportcheck_import, "
            "or name a model: --exportcheck-source torchvision:resnet18."
        )

    def _is_xdist_worker(self) -> bool:
        return hasattr(self._config, "workerinput")

    # --- reports ----------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        ended = call.when == "call" or (call.when == "setup" and not report.passed)
        row = report_of(item, report) if ended else None
        if row is not None:
            report.exportcheck = row  # type: ignore[attr-defined]
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        row = getattr(report, "exportcheck", None)
        if row is not None:
            self._rows.append(Row.of(row))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self._rows:
            return
        terminalreporter.section("exportcheck")
        session = self._config.stash[SESSION]
        lattices = [Lattice.of(engine.captures, engine.edges) for engine in session.engines]
        order = [str(mode) for each in lattices for mode in each.order(_in(each, session.modes))]
        for line in summary(self._rows, order=order, verbose=self._config.get_verbosity() > 0):
            _write(terminalreporter, line)

    def _write_progress(self, text: str) -> None:
        """Called from a timer's thread while a step runs, so that pytest's capture is on and stays so meanwhile."""
        reporter = self._config.pluginmanager.getplugin("terminalreporter")
        capture = self._config.pluginmanager.getplugin("capturemanager")
        if reporter is not None:  # workers of pytest-xdist have none
            with capture.global_and_fixture_disabled() if capture else nullcontext():
                reporter.write_line(text)


def _in(own: Lattice, modes: Iterable[Mode]) -> list[Mode]:
    return [mode for mode in modes if own.has(mode)]


def _write(reporter: Any, line: Line) -> None:
    for text, colour in line.pieces:
        reporter.write(text, **({colour: True} if colour else {}))
    reporter.write("\n")


def _collector(session: pytest.Session, name: str, cases: list[Case], arguments: Iterable[str] = ()) -> SourceCollector:
    collector: SourceCollector = SourceCollector.from_parent(
        session, name=name, nodeid=name, cases=cases, arguments=list(arguments)
    )
    return collector


def _is_pytests_own(path: Path, parent: pytest.Collector) -> bool:
    """Whether pytest makes a module of this file itself: named on the command line, or matching python_files."""
    patterns = parent.config.getini("python_files")
    return parent.session.isinitpath(path) or any(path.match(pattern) for pattern in patterns)


@lru_cache(maxsize=64)
def _glob(pattern: str) -> re.Pattern[str]:
    """A glob on paths: ``*`` stays within a folder, ``**/`` spans folders; it may begin in any folder."""
    parts = re.split(r"(\*\*/|\*|\?)", pattern)
    table = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return re.compile("(?:.*/)?" + "".join(table.get(part, re.escape(part)) for part in parts))


def _schema_version() -> str:
    schema = sys.modules.get("torch._export.serde.schema") or import_module("torch._export.serde.schema")
    return ".".join(map(str, schema.SCHEMA_VERSION))
