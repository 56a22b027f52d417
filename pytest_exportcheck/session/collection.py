"""The hooks by which a session starts and collects its items."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Mapping
from contextlib import nullcontext
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import pytest

from pytest_exportcheck.declare import cases_in
from pytest_exportcheck.errors import ExportcheckError
from pytest_exportcheck.expectations.store import ExpectationStore
from pytest_exportcheck.options import Options
from pytest_exportcheck.records import Case
from pytest_exportcheck.run.hooks import Hooks
from pytest_exportcheck.run.journal import Journal
from pytest_exportcheck.run.registry import golden_of, registry_of
from pytest_exportcheck.run.settings import Progress
from pytest_exportcheck.runtimes.owned_folders import sweep
from pytest_exportcheck.session.bundles import BundleWriter
from pytest_exportcheck.session.collected import NEVER_CASE_FILES, never_collected
from pytest_exportcheck.session.golden_plan import GoldenPlan
from pytest_exportcheck.session.items import (
    SESSION,
    BrokenItem,
    CaseItem,
    CaseModule,
    Session,
    SourceCollector,
    items_left,
    items_on,
)
from pytest_exportcheck.session.messages import inbox, outbox
from pytest_exportcheck.session.packages import package_cache
from pytest_exportcheck.session.selection import HOOK, unmatched
from pytest_exportcheck.sources import cases_from

_REFUSED = "exportcheck_refused"


class CollectionPlugin:
    """The plugin that makes the session's :class:`Session`, and collects cases. All processes of a run share
    ``journal``; ``progress`` reports steps that take long; ``in_part``: some files are left out of the collection.
    """

    def __init__(
        self,
        config: pytest.Config,
        options: Options,
        *,
        journal: Journal,
        progress: Progress = nullcontext,
        in_part: bool = False,
    ) -> None:
        self._config = config
        self._in_part = in_part
        self._options = options
        self._journal = journal
        self._progress = progress
        self._hooks = Hooks()
        self._left_out: list[str] = []
        self._ignored: list[str] = []
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
        """Resolve engines and modes once; a wrong name ends the session before anything is collected."""
        try:
            registry = registry_of(self._options, self._hooks, package_cache(self._config, self._options))
            expectations = ExpectationStore(self._options.expectations, update=self._options.update_expectations)
        except ExportcheckError as error:
            raise pytest.UsageError(f"exportcheck: {error}") from None
        options = self._options
        runner = registry.runner(options, progress=self._progress, journal=self._journal)
        bundles = BundleWriter(self._config, options) if options.repro_dir else None
        golden = GoldenPlan.of(golden_of(options))
        self._config.stash[SESSION] = Session(options, registry, runner, self._hooks, expectations, bundles, golden)
        self._refuse_wrong_entries()

    def _refuse_wrong_entries(self) -> None:
        """End the session for an entry of the file that names a mode, an engine or a check that does not exist."""
        session = self._config.stash[SESSION]
        for entry in session.expectations.file.entries:
            for key, message in session.registry.wrong_keys(entry.expectation):
                text = "\n".join([f"{entry.place_of(key)}: {message}", *session.registry.problems])
                raise pytest.UsageError(f"exportcheck: {text}")

    # --- collection -------------------------------------------------------------------------

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """Return a collector for a case file that pytest itself would not collect."""
        if not self._is_case_file(file_path) or _is_pytests_own(file_path, parent):
            return None
        module: CaseModule = CaseModule.from_parent(parent, path=file_path)
        return module

    def pytest_pycollect_makemodule(self, module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
        """Return a collector for a case file that pytest collects too: its tests and its cases come from one module
        object.
        """
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
        """Add cases that are in no collected file to the session's own children, and cases without a name in a test
        module to the children of that module.
        """
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
        problems = [*self._config.stash[SESSION].registry.problems, *problems]
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
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Refuse a run without the requested cases before anything is deselected: a run that was meant to check and has
        no case must not pass.
        """
        found = any(isinstance(item, (CaseItem, BrokenItem)) for item in items)
        missing = unmatched(self._options.named, [item.nodeid for item in items])
        if missing or (not found and not (self._in_part and items)):
            refusal = self._refusal(_nothing_named(missing[0]) if missing else self._no_case())
            if outbox(self._config) is None:
                raise refusal
            items.clear()  # xdist would still distribute the items of a worker that raises here
        self._ignored += never_collected(self._config, self._options, self._is_case_file)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        ours = [item for item in session.items if isinstance(item, CaseItem)]
        self._config.stash[SESSION].runner.select((item.case, item.engine, item.mode) for item in ours)

    def pytest_report_collectionfinish(self) -> list[str]:
        """List what globs of sources matched that is not a case, and hooks that are ignored."""
        return [f"exportcheck: {line}" for line in (*self._left_out, *self._ignored)]

    def told(self) -> list[str]:
        """Return the lines that the summary repeats."""
        return [f"exportcheck: {line}" for line in self._ignored]

    def _no_case(self) -> str:
        return (
            "no case found. Decorate a module class or a factory with "
            "@export_case(args=...) in a test module or in a file that matches exportcheck_files "
            f"({' '.join(self._options.files)}), name a module in exportcheck_import, "
            "or name a model: --exportcheck-source torchvision:resnet18."
        )

    def _refusal(self, text: str) -> pytest.UsageError:
        """Build the error that aborts collection. On a worker of pytest-xdist, whose output is not shown, also send the
        text to the controller.
        """
        box = outbox(self._config)
        if box is not None:
            box[_REFUSED] = text
        return pytest.UsageError(f"exportcheck: {text}")

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._refused_by_workers = inbox(node).get(_REFUSED, self._refused_by_workers)

    @pytest.hookimpl(tryfirst=True)
    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        sweep()  # the folders of workers that were killed
        if self._refused_by_workers:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._refused_by_workers:
            terminalreporter.write_line(f"ERROR: exportcheck: {self._refused_by_workers}", red=True)


def _nothing_named(name: str) -> str:
    return (
        f"no item is called {name!r}. To list the ids of items from sources: pytest --exportcheck "
        "--exportcheck-only-sources --exportcheck-source=SOURCE:NAME --collect-only -q"
    )


def _no_case_object(value: object) -> str:
    return f"exportcheck_cases returned {value!r}, which is not a case. Make cases with cases_of from what export_case decorates."


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
    """Return whether pytest makes a module of this file itself: named on the command line, or matching python_files."""
    patterns = parent.config.getini("python_files")
    return parent.session.isinitpath(path) or any(path.match(pattern) for pattern in patterns)


@lru_cache(maxsize=64)
def _glob(pattern: str) -> re.Pattern[str]:
    """Compile a glob on paths: ``*`` stays within a folder, ``**/`` spans folders; the glob may begin in any folder."""
    parts = re.split(r"(\*\*/|\*|\?)", pattern)
    table = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return re.compile("(?:.*/)?" + "".join(table.get(part, re.escape(part)) for part in parts))
