"""The pytest collectors and the item."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from _pytest._code.code import ReprEntryNative, ReprExceptionInfo, ReprFileLocation, ReprTraceback

from pytest_exportcheck.bundles.failure import Failure
from pytest_exportcheck.declare import cases_in, cases_on
from pytest_exportcheck.errors import DeclarationError, ExportcheckError, internal_error_text
from pytest_exportcheck.expectations.baseline import ExpectationDelta, accepted, delta_of
from pytest_exportcheck.expectations.store import ExpectationStore
from pytest_exportcheck.harness.isolation import stopped_text
from pytest_exportcheck.modes import GOLDEN, Mode
from pytest_exportcheck.options import Options
from pytest_exportcheck.records import Case, Judgement, Origin, Outcome, Status
from pytest_exportcheck.reports.encoding import printable
from pytest_exportcheck.reports.failure import failure_text, summary_line
from pytest_exportcheck.run.hooks import Hooks
from pytest_exportcheck.run.registry import Registry
from pytest_exportcheck.run.runner import Runner
from pytest_exportcheck.session.bundles import BundleWriter
from pytest_exportcheck.session.golden_plan import GoldenPlan
from pytest_exportcheck.session.prompt import announce, stop_with
from pytest_exportcheck.session.relative_paths import RelativePaths
from pytest_exportcheck.session.reproduce import command, id_from_here, paths_given
from pytest_exportcheck.session.selection import named_by


@dataclass(frozen=True, eq=False)
class Session:
    """The state that all items of a pytest session share."""

    options: Options
    registry: Registry
    runner: Runner
    hooks: Hooks
    expectations: ExpectationStore
    bundles: BundleWriter | None = None
    golden: GoldenPlan | None = None

    def planned(self, case: Case) -> Iterator[tuple[str, Mode]]:
        """Yield the engines and modes of the items of a case; those of golden programs come last."""
        if self.golden is None or not self.golden.update:
            yield from ((engine.name, mode) for engine, mode in self.registry.plan(case))
        yield from ((GOLDEN, mode) for mode in (self.golden.modes(case) if self.golden else ()))

    def wrong(self, case: Case) -> Iterator[str]:
        """Yield why a case has no items for golden programs where it should have some."""
        text = self.golden.problem(case) if self.golden else ""
        if text:
            yield text

    def expecting(self, case: Case, path: str) -> Case:
        """Return the case with the entries of the file of expected failures for it, in addition to its own."""
        listed = self.expectations.file.of(path, case.name)
        return replace(case, expect=(*case.expect, *listed)) if listed else case


SESSION = pytest.StashKey[Session]()
SEEN = pytest.StashKey[set[tuple[str, int, str]]]()


class CheckFailed(Exception):
    """Carrier of a failing outcome from ``runtest`` to ``repr_failure``."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class HookFailed(Exception):
    """A hook that received an outcome raised."""


def failed_text(text: str, summary: str, origin: Origin) -> ReprExceptionInfo:
    """Return a text as pytest shows it, with the line for its short summary. pytest sends both to the controller of
    workers.
    """
    crash = ReprFileLocation(origin.file, origin.line, printable(summary))
    return ReprExceptionInfo(ReprTraceback([ReprEntryNative([printable(text) + "\n"])], None, "native"), crash)


class CaseItem(pytest.Item):
    """One item: (case, engine, mode)."""

    def __init__(self, *, case: Case, engine: str, mode: Mode, parent: pytest.Collector, **rest: Any) -> None:
        name = f"{case.name}[{engine}-{mode}]"
        # The id as text: pytest 9.2 finds the brackets in it, as it does in the ids that --lf has kept as text.
        super().__init__(name=name, parent=parent, nodeid=f"{parent.nodeid}::{name}", **rest)
        self.case = case
        self.engine = engine
        self.mode = mode
        self.outcome: Outcome | None = None
        self.delta = ExpectationDelta()
        self.bundle = ""
        self.add_marker(pytest.mark.exportcheck(engine=engine, capture=mode.capture, edge=mode.edge))
        for tag in case.tags:
            self.extra_keyword_matches.add(tag)

    def runtest(self) -> None:
        session = self.config.stash[SESSION]
        judgement, failure = self._judged(session)
        outcome = judgement.outcome
        if session.options.update_expectations:
            store = session.expectations
            self.delta = delta_of(judgement, self.case_path, store.partial)
            outcome = accepted(judgement, store.file.path, store.partial)
        outcome = self.outcome = self._identified(outcome)
        if judgement.statistics:
            self.hypothesis_statistics = judgement.statistics  # hypothesis's own plugin shows it
        _, problems = session.hooks.gather("exportcheck_outcome", self.path, outcome=outcome)
        if problems:
            raise HookFailed(f"{problems[0]}\nThe outcome of the item itself is: {outcome.status}.")
        if outcome.status is Status.EXPECTED:
            pytest.xfail(printable(outcome.reason))
            raise CheckFailed(outcome)  # under --runxfail
        if outcome.status.fails:
            stop_with(CheckFailed(outcome), failure)
        if not outcome.status.judged:
            raise pytest.skip.Exception(printable(outcome.reason), _use_item_location=True)

    def _judged(self, session: Session) -> tuple[Judgement, Failure | None]:
        """Judge the item, and write the bundle of one that fails. The live objects are returned only if pdb will show
        them: pytest keeps the frame that raises until the next item.
        """
        failures: list[Failure] = []
        at_prompt = announce(self.config)
        failed = failures.append if session.bundles or at_prompt else None
        judgement = self._paths.of_judgement(session.runner.judge(self.case, self.engine, self.mode, failed))
        failing = judgement.outcome.status is Status.FAILED and not session.options.update_expectations
        if session.bundles and failures and failing:
            self.bundle = session.bundles.written(failures[0], self._identified(judgement.outcome))
        return judgement, failures[0] if failures and at_prompt else None

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, CheckFailed):
            outcome, verbose = excinfo.value.outcome, self.config.get_verbosity() > 1
            text = failure_text(outcome, reproduce=self.reproduce, verbose=verbose)
            return failed_text(text, summary_line(outcome), self.case.origin)
        if isinstance(excinfo.value, HookFailed):
            return str(excinfo.value)
        if isinstance(excinfo.value, Exception):
            return internal_error_text(excinfo.value)
        if not isinstance(excinfo.value, pytest.fail.Exception):
            return super().repr_failure(excinfo, style)
        where = stopped_text(traceback.extract_tb(excinfo.tb))  # pytest-timeout calls pytest.fail where an item is
        return failed_text(f"{excinfo.exconly()}\n{where}", excinfo.exconly(), self.case.origin)

    @property
    def reproduce(self) -> str:
        """Return the command that runs only this item, from where pytest was called."""
        arguments = self.config.stash[SESSION].options.arguments
        if not isinstance(self.parent, SourceCollector):
            return command(self.config, arguments, id_from_here(self))
        source = self.parent.sources.get(self.case.name)
        named = [f"--exportcheck-source={source}"] if source else []
        paths = paths_given(self.config)
        return command(self.config, [*arguments, "--exportcheck-only-sources", *named, *paths], self.nodeid)

    @property
    def case_path(self) -> str:
        """Return the file of the case, as in the item's id, or the name of its source."""
        return self.nodeid.partition("::")[0]

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, self.case.origin.line - 1, self.name

    @property
    def planned(self) -> Outcome:
        """Return the outcome as long as the item has not run to its end."""
        return self._identified(
            Outcome(case=self.case.name, engine=self.engine, mode=str(self.mode), status=Status.INTERRUPTED)
        )

    def _identified(self, outcome: Outcome) -> Outcome:
        """Add to an outcome the names by which pytest knows the item, and where its case is declared."""
        origin = self.case.origin
        file = _from_root(self.config, origin.file)
        named = replace(outcome, nodeid=self.nodeid, path=self.case_path, file=file, line=origin.line)
        return self._paths.of_outcome(named)

    @property
    def _paths(self) -> RelativePaths:
        return RelativePaths(self.config.rootpath)

    def ended(self, report: pytest.TestReport) -> Outcome:
        """Return the outcome once pytest reports the item. An item that ended outside the plugin was skipped, by the
        case's own code for example, or interrupted.
        """
        if self.outcome is not None:
            return self.outcome
        status = Status.SKIPPED if report.skipped else Status.INTERRUPTED
        return replace(self.planned, status=status, reason=self._paths.of(reason_of(report)))


class BrokenItem(pytest.Item):
    """An item for something that could not be collected as a case: it fails, and everything else runs."""

    def __init__(self, *, message: str, **rest: Any) -> None:
        super().__init__(**rest)
        self.message = message
        self.add_marker(pytest.mark.exportcheck(engine=None, capture=None, edge=None))

    def runtest(self) -> None:
        raise DeclarationError(self.message)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, DeclarationError):
            lines = str(excinfo.value).splitlines() or [""]
            return failed_text(
                str(excinfo.value), lines[-1 if self.name == "import" else 0], Origin("", str(self.path), 1)
            )
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.name


class EntryItem(BrokenItem):
    """An item for an entry of the expectations file that matches no case: it fails, unless the run deletes the
    entry.
    """

    def __init__(self, *, line: int, **rest: Any) -> None:
        super().__init__(**rest)
        self.delta = ExpectationDelta(stale=(line,))

    def runtest(self) -> None:
        if not self.config.stash[SESSION].options.update_expectations:
            super().runtest()


class CaseModule(pytest.Module):
    """A case file: imported as pytest imports test modules. Anything that it raises becomes a failing item."""

    tests_too: bool = False
    imported: bool = False

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        try:
            module = self.obj
        except (Exception, SystemExit) as error:
            message = f"case file {self.nodeid} could not be imported. The other files run.\n{_import_text(error)}"
            return [BrokenItem.from_parent(self, name="import", message=message)]
        self.imported = True
        return super().collect() if self.tests_too else items_of(self, cases_in(module))


class SourceCollector(pytest.Collector):
    """A collector of cases that no collected file holds: from a source, an imported module or a hook. ``sources``: the
    name of a case -> the argument of ``--exportcheck-source`` that names only this case; ``only``: the ids that the
    command line names, empty for all.
    """

    def __init__(
        self, *, cases: Sequence[Case], sources: Mapping[str, str], only: Sequence[str] = (), **rest: Any
    ) -> None:
        super().__init__(**rest)
        self.cases = cases
        self.sources = sources
        self.only = only

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        items = items_of(self, self.cases)
        return [item for item in items if not self.only or any(named_by(item.nodeid, each) for each in self.only)]


def items_of(parent: pytest.Collector, cases: Sequence[Case]) -> list[pytest.Item | pytest.Collector]:
    """Return the items of these cases. A case with the name of another case of the same parent becomes an item that
    fails.
    """
    session = parent.config.stash[SESSION]
    seen = parent.config.stash.setdefault(SEEN, set())
    names: dict[str, Case] = parent.stash.setdefault(_NAMES, {})
    items: list[pytest.Item | pytest.Collector] = []
    for case in cases:
        first = names.setdefault(case.name, case)
        if first is not case:
            items.append(BrokenItem.from_parent(parent, name=f"duplicate-{case.name}", message=_same_name(first, case)))
            continue
        key = _key(case)
        if key in seen and isinstance(parent, SourceCollector):
            continue  # collected already, from its file
        seen.add(key)
        wrong = session.registry.wrong_names(case)
        if wrong:
            items.append(BrokenItem.from_parent(parent, name=f"declaration-{case.name}", message=wrong))
        case = session.expecting(case, parent.nodeid.partition("::")[0])
        for engine, mode in session.planned(case):
            items.append(CaseItem.from_parent(parent, case=case, engine=engine, mode=mode))
        items += [
            BrokenItem.from_parent(parent, name=f"golden-{case.name}", message=text) for text in session.wrong(case)
        ]
    return items


def _key(case: Case) -> tuple[str, int, str]:
    return (case.origin.file, case.origin.line, case.name)


def is_collected(config: pytest.Config, case: Case) -> bool:
    """Return True if a case has items, of any file or source."""
    return _key(case) in config.stash.get(SEEN, set())


def _same_name(first: Case, case: Case) -> str:
    if first.origin == case.origin:  # in a loop, or in a function that is called twice
        return (
            f"two cases that are declared at {case.origin} are called {case.name!r}: the first runs, the other does not. "
            "Give each a name with export_case(name=...), such as one that includes the variable of the loop."
        )
    return (
        f"two cases are called {case.name!r}: the one at {first.origin} runs, the one at {case.origin} "
        "does not. Give one of them another name with export_case(name=...)."
    )


_NAMES = pytest.StashKey[dict[str, Case]]()


def items_on(collector: pytest.Module, value: object) -> list[pytest.Item | pytest.Collector] | None:
    """Return the items of the cases that an object of a collected module carries; None where it carries none."""
    module: ModuleType = collector.obj
    known = collector.stash.setdefault(_CARRIED, set())
    cases = [case for case in cases_on(value, module.__name__) if id(case) not in known]
    known.update(id(case) for case in cases)
    return items_of(collector, cases) if cases else None


def items_left(collector: pytest.Collector) -> list[pytest.Item | pytest.Collector]:
    """Return the items of the cases that a test module declares and no object of its namespace carries: those of a
    loop, for example.
    """
    if not isinstance(collector, pytest.Module) or type(collector).__name__ == "DoctestModule":
        return []
    if isinstance(collector, CaseModule) and not (collector.tests_too and collector.imported):
        return []
    known = collector.stash.get(_CARRIED, set())
    return items_of(collector, [case for case in cases_in(collector.obj) if id(case) not in known])


_CARRIED = pytest.StashKey[set[int]]()


def _import_text(error: BaseException) -> str:
    if isinstance(error, ExportcheckError):
        return str(error)
    if isinstance(error, pytest.Collector.CollectError):
        text = str(error.args[0] if error.args else error)
        hint = "\nOr let files share a basename: pytest --import-mode=importlib." if "file mismatch" in text else ""
        return text + hint
    excinfo = pytest.ExceptionInfo.from_exception(error)
    return str(excinfo.getrepr(style="short"))


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return pytest's reason for an item that ended outside the plugin: the message, not the traceback. Empty where
    there is none.
    """
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash else report.longrepr or "")


def _from_root(config: pytest.Config, file: str) -> str:
    """Return a file's path as node ids have it, below pytest's root folder; the whole path where the file is
    elsewhere.
    """
    path = Path(file)
    return path.relative_to(config.rootpath).as_posix() if path.is_relative_to(config.rootpath) else path.as_posix()
