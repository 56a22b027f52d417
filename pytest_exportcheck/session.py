"""The hooks of a session with ``--exportcheck``: collection, reports and the terminal."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Mapping
from contextlib import nullcontext
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import msgspec
import pytest
import torch

from pytest_exportcheck import __version__
from pytest_exportcheck.collected import NEVER_CASE_FILES, entry_item, never_collected, whole_files
from pytest_exportcheck.declare import cases_in
from pytest_exportcheck.errors import ExportcheckError
from pytest_exportcheck.expectations.keeper import Keeper, Named
from pytest_exportcheck.harness._torch import schema_version_of_torch
from pytest_exportcheck.hooks import Hooks
from pytest_exportcheck.items import (
    SESSION,
    BrokenItem,
    CaseItem,
    CaseModule,
    EntryItem,
    Session,
    SourceCollector,
    items_left,
    items_on,
    report_of,
)
from pytest_exportcheck.journal import Journal
from pytest_exportcheck.kit import kit_of
from pytest_exportcheck.options import Options
from pytest_exportcheck.progress import Progress
from pytest_exportcheck.records import Case
from pytest_exportcheck.reports.terminal import Line, Row, summary
from pytest_exportcheck.selection import HOOK, unmatched
from pytest_exportcheck.sources import cases_from

_TOLD, _REFUSED = "exportcheck_told", "exportcheck_refused"


class ActivePlugin:
    """Registered only where ``--exportcheck`` was given. ``workers`` is how many processes run items beside each other,
    0 for this one alone; ``journal`` is theirs together; ``in_part``: some files are left out of the collection."""

    def __init__(
        self, config: pytest.Config, options: Options, *, journal: Journal, workers: int = 0, in_part: bool = False
    ) -> None:
        self._config = config
        self._in_part = in_part
        self._options = options
        self._journal = journal
        self._workers = workers
        self._rows: dict[str, Row] = {}
        self._order: dict[str, int] = {}
        self._expectations: Keeper | None = None
        self._hooks = Hooks()
        self._left_out: list[str] = []
        self._ignored: list[str] = []
        self._told_by_workers: dict[str, None] = {}
        self._refused_by_workers = ""

    # --- the session ------------------------------------------------------------------------

    def pytest_plugin_registered(self, plugin: object) -> None:
        try:
            self._hooks.adopt(plugin)
        except ExportcheckError as error:
            raise pytest.UsageError(f"exportcheck: {error}") from None
        late = self._hooks.ignored(plugin) if SESSION in self._config.stash else ""
        self._ignored += [late] if late else []

    def pytest_sessionstart(self) -> None:
        """Engines and modes are resolved once; a wrong name ends the session before anything is collected."""
        try:
            kit = kit_of(self._options, self._hooks)
            self._expectations = Keeper(self._options.expectations, update=self._options.update_expectations)
        except ExportcheckError as error:
            raise pytest.UsageError(f"exportcheck: {error}") from None
        options = self._options
        runner = kit.runner(options, progress=Progress(self._write_progress), journal=self._journal)
        self._config.stash[SESSION] = Session(options, kit, runner, self._hooks, self._expectations)
        self._refuse_wrong_entries()

    def _refuse_wrong_entries(self) -> None:
        """An entry of the file that names a mode, an engine or a check that does not exist ends the session."""
        session = self._config.stash[SESSION]
        for entry in session.expectations.file.entries:
            for key, message in session.kit.wrong_keys(entry.expectation):
                text = "\n".join([f"{entry.place_of(key)}: {message}", *session.kit.problems])
                raise pytest.UsageError(f"exportcheck: {text}")

    def pytest_report_header(self) -> str:
        options = self._options
        threads = str(options.threads or torch.get_num_threads())
        threads += f" in each of {self._workers} workers" if self._workers else ""
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
        """Cases that are in no collected file join the session's own children, those that no name of a test module stands
        for join the module's."""
        report = yield
        if report.outcome == "passed":
            more = self._elsewhere(collector) if isinstance(collector, pytest.Session) else items_left(collector)
            report.result = [*(report.result or []), *more]
        return report

    def _elsewhere(self, session: pytest.Session) -> Iterable[pytest.Collector | pytest.Item]:
        named = self._options.named
        for name in self._options.imports:
            yield _collector(session, name, cases_in(self._imported(name)), only=named)
        for spec in self._options.sources:
            try:
                found = cases_from(spec)
            except ExportcheckError as error:
                raise self._refusal(str(error)) from None
            self._left_out += [found.left_out] if found.left_out else []
            alone = {case.name: exact for exact, case in found.cases.items()}
            yield _collector(session, found.label, list(found.cases.values()), alone, only=named)
        cases, problems = self._hooks.gather_lists("exportcheck_cases", config=self._config)
        yield _collector(session, HOOK, [case for case in cases if isinstance(case, Case)], only=named)
        problems += [_no_case_object(each) for each in cases if not isinstance(each, Case)]
        problems = [*self._config.stash[SESSION].kit.problems, *problems]
        for number, problem in enumerate(problems, 1):
            yield BrokenItem.from_parent(session, name=f"exportcheck-hook-{number}", message=problem)

    def _imported(self, name: str) -> ModuleType:
        try:
            return import_module(name)
        except Exception as error:
            raise self._refusal(
                f"exportcheck_import names {name!r}, which cannot be imported "
                f"({type(error).__name__}: {error}). Correct the name, or install what it needs."
            ) from None

    def _is_case_file(self, path: Path) -> bool:
        if path.suffix != ".py" or path.name in NEVER_CASE_FILES:
            return False
        root = self._config.rootpath
        relative = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
        return any(_glob(pattern).fullmatch(relative) for pattern in self._options.files)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """Before anything is deselected: a run that was meant to check and has no case must not go green."""
        found = any(isinstance(item, (CaseItem, BrokenItem)) for item in items)
        missing = unmatched(self._options.named, [item.nodeid for item in items])
        if missing or (not found and not (self._in_part and items)):
            refusal = self._refusal(_nothing_named(missing[0]) if missing else self._no_case())
            if not self._is_xdist_worker():
                raise refusal
            items.clear()  # a worker that raises here has its items given out all the same
        if self._expectations is not None:
            ours = [_named(item) for item in items if isinstance(item, CaseItem)]
            broken = any(isinstance(item, BrokenItem) for item in items)
            self._expectations.collected(ours, self._in_part or broken, whole_files(self._config, items))
            items += [entry_item(session, self._expectations, entry) for entry in self._expectations.unmatched]
        self._ignored += never_collected(self._config, self._options, self._is_case_file)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        ours = [item for item in session.items if isinstance(item, CaseItem)]
        if self._expectations is not None:
            self._expectations.selected([_named(item) for item in ours])
        self._config.stash[SESSION].runner.select((item.case, item.engine, item.mode) for item in ours)

    def pytest_report_collectionfinish(self) -> list[str]:
        """Lists what globs of sources matched that is not a case, and hooks that are ignored."""
        return [f"exportcheck: {line}" for line in (*self._left_out, *self._ignored)]

    def _no_case(self) -> str:
        return (
            "no case found. Decorate a module class or a factory with "
            "@export_case(args=...) in a test module or in a file that matches exportcheck_files "
            f"({' '.join(self._options.files)}), name a module in exportcheck_import, "
            "or name a model: --exportcheck-source torchvision:resnet18."
        )

    def _refusal(self, text: str) -> pytest.UsageError:
        """What ends the session while it collects. Nobody sees what a worker of pytest-xdist writes: its controller tells."""
        if self._is_xdist_worker():
            self._config.workeroutput[_REFUSED] = text  # type: ignore[attr-defined]
        return pytest.UsageError(f"exportcheck: {text}")

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
        if isinstance(item, EntryItem) and call.when == "call":
            report.exportcheck_tally = msgspec.to_builtins(item.tally)  # type: ignore[attr-defined]
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        row = getattr(report, "exportcheck", None)
        if self._expectations is not None:
            self._expectations.add(getattr(report, "exportcheck_tally", None))
        if row is not None:  # a worker of pytest-xdist sends it on after this
            if self._expectations is not None:
                self._expectations.add(row.get("tally"))
            self._rows[report.nodeid] = Row.of(row)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._expectations is None:
            return
        if self._is_xdist_worker():
            self._config.workeroutput[_TOLD] = list(self._told())  # type: ignore[attr-defined]
            return
        if self._refused_by_workers:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        try:
            interrupted = any(row.status == "interrupted" for row in self._rows.values())
            self._expectations.write(ended_early=interrupted or _ended_early(session))
        except ExportcheckError as error:
            self._expectations.tell(str(error))
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Workers report items as they end; the summary has them as they were collected."""
        self._order = {nodeid: number for number, nodeid in enumerate(ids)}

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """What a worker of pytest-xdist has to tell at its end: only workers collect."""
        output = getattr(node, "workeroutput", {})
        self._told_by_workers.update(dict.fromkeys(output.get(_TOLD, ())))
        self._refused_by_workers = output.get(_REFUSED, self._refused_by_workers)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._refused_by_workers:
            terminalreporter.write_line(f"ERROR: exportcheck: {self._refused_by_workers}", red=True)
        if not self._rows:
            return
        terminalreporter.section("exportcheck")
        rows = [self._rows[nodeid] for nodeid in sorted(self._rows, key=lambda each: self._order.get(each, 0))]
        for line in summary(rows, verbose=self._config.get_verbosity() > 0):
            _write(terminalreporter, line)
        for text in dict.fromkeys([*self._told_by_workers, *self._told()]):
            terminalreporter.write_line(text)

    def _told(self) -> Iterable[str]:
        """Lines for the end of the summary. A worker also tells what it left out when it collected."""
        if self._is_xdist_worker():
            yield from self.pytest_report_collectionfinish()
        yield from (f"exportcheck: {line}" for line in self._ignored)
        yield from self._expectations.told() if self._expectations else ()

    def _write_progress(self, text: str) -> None:
        """Called from a timer's thread while a step runs, so that pytest's capture is on and stays so meanwhile."""
        reporter = self._config.pluginmanager.getplugin("terminalreporter")
        capture = self._config.pluginmanager.getplugin("capturemanager")
        if reporter is not None:  # workers of pytest-xdist have none
            with capture.global_and_fixture_disabled() if capture else nullcontext():
                reporter.write_line(text)


def _ended_early(session: pytest.Session) -> bool:
    """Whether items that were selected did not run: after ``-x``, or an interruption."""
    broken_off = (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR)
    return bool(session.shouldstop or session.shouldfail) or session.exitstatus in broken_off


def _named(item: CaseItem) -> Named:
    return Named(item.case_path, item.case.name, item.engine, str(item.mode))


def _nothing_named(name: str) -> str:
    return (
        f"no item is called {name!r}. The ids of items that are in no file: pytest --exportcheck "
        "--exportcheck-only-sources --exportcheck-source=SOURCE:NAME --collect-only -q"
    )


def _no_case_object(value: object) -> str:
    return f"exportcheck_cases returned {value!r}, which is no case; make one with export_case and cases_of."


def _write(reporter: Any, line: Line) -> None:
    for text, colour in line.pieces:
        reporter.write(text, **({colour: True} if colour else {}))
    reporter.write("\n")


def _collector(
    session: pytest.Session,
    name: str,
    cases: list[Case],
    sources: Mapping[str, str] = MappingProxyType({}),
    only: Iterable[str] = (),
) -> SourceCollector:
    collector: SourceCollector = SourceCollector.from_parent(
        session, name=name, nodeid=name, cases=cases, sources=sources, only=tuple(only)
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
    return ".".join(map(str, schema_version_of_torch()))
