"""The registry of a session: engines, modes and checks, from its options and from hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch

from pytest_exportcheck.checks import CHECKS
from pytest_exportcheck.engines import all_engines, select_engines
from pytest_exportcheck.engines.protocol import Engine
from pytest_exportcheck.errors import EngineError, ExportcheckError, SelectionError, with_message
from pytest_exportcheck.harness._torch import attached_specification
from pytest_exportcheck.modes import (
    AGREE,
    CAPTURES,
    FUZZ,
    GOLDEN,
    Mode,
    ModeTree,
    check_names,
    in_order,
    narrow,
    select,
)
from pytest_exportcheck.options import Options
from pytest_exportcheck.policy import Overrides
from pytest_exportcheck.records import Case, Check, Expectation
from pytest_exportcheck.run.hooks import Hooks
from pytest_exportcheck.run.journal import Journal
from pytest_exportcheck.run.runner import COMPARISON, Runner
from pytest_exportcheck.run.runtime_edges import RuntimeHost, with_runtimes
from pytest_exportcheck.run.selected import check_budgeted, check_required, runtimes_of, shipped_modes, tree_of
from pytest_exportcheck.run.settings import GoldenSettings, Progress
from pytest_exportcheck.runtimes.package_cache import PackageCache

#: Names that an expectation may have in addition to the checks: a stage that raises or edits, a case that cannot be set
#: up, sizes that a program accepts or refuses against the declaration, and a golden program.
OTHER_CHECKS = ("stage", "case", "sizes", "golden")


@dataclass(frozen=True, eq=False)
class Registry:
    """The engines, modes and checks of a session. ``engines`` and ``modes`` are the selected ones; ``asked``: they were
    selected by name, or by a profile that judges engines, so that engines with a second opinion run all modes that they
    can; ``may_add``: a case may add modes that it names in full; ``problems`` are the errors of hooks, in words.
    """

    every_engine: Mapping[str, Engine]
    engines: Sequence[Engine]
    modes: Sequence[Mode]
    may_add: bool
    checks: Mapping[str, Check]
    overrides: Overrides
    problems: Sequence[str]
    fuzz: bool = False
    asked: bool = True
    host: RuntimeHost | None = None

    @property
    def planned_modes(self) -> list[Mode]:
        """Return the selected modes that a selected engine can run, in order, with the fuzzed ones if sizes are
        fuzzed.
        """
        trees = [tree_of(engine) for engine in self.engines]
        return in_order(self._with_fuzzed(mode for mode in self.modes if any(tree.has(mode) for tree in trees)))

    def plan(self, case: Case) -> Iterator[tuple[Engine, Mode]]:
        """Yield the items of a case, prefixes before what builds on them. An item for each capture that several engines
        make comes last: it compares them.
        """
        planned = [(engine, mode) for engine in self.engines for mode in self._modes_of(engine, case)]
        yield from planned
        captures = in_order(mode for _, mode in planned if mode.depth == 1)
        for mode in () if case.rejected_at("capture") else captures:
            if sum(each == mode for _, each in planned) > 1:
                yield COMPARISON, mode

    def compared(self, case: Case, capture: Mode) -> list[str]:
        """Return the names of the engines whose captures of a case are compared."""
        return [engine.name for engine in self.engines if capture in self._modes_of(engine, case)]

    def _modes_of(self, engine: Engine, case: Case) -> list[Mode]:
        """Return the modes in which an engine runs a case, in order."""
        if not any(fnmatchcase(engine.name, glob) for glob in case.engines):
            return []
        own = tree_of(engine)
        given = [mode for mode in self.modes if own.has(mode) and self._wanted(engine, mode)]
        is_fuzzed = self.fuzz and may_be_dynamic(case)
        chosen = narrow(given, case.modes, own, may_add=self.may_add)
        modes = [_up_to_refusal(case, mode) for mode in chosen if is_fuzzed or not mode.is_fuzz]
        if is_fuzzed:
            modes = [mode for mode in self._with_fuzzed(modes) if _up_to_refusal(case, mode) == mode]
        return in_order(modes)

    def _with_fuzzed(self, modes: Iterable[Mode]) -> Iterator[Mode]:
        for mode in modes:
            yield from (mode, mode.unfuzzed.fuzzed) if self.fuzz else (mode,)

    def _wanted(self, engine: Engine, mode: Mode) -> bool:
        return self.asked or not engine.default_modes or str(mode) in engine.default_modes

    def wrong_names(self, case: Case) -> str:
        """Return a message about a mode, an engine or a check that a case names and that does not exist. Empty where
        all exist.
        """
        try:
            check_names(case.modes, self._trees)
            select_engines(self.every_engine, case.engines)
        except SelectionError as error:
            return f"case {case.name!r} ({case.origin}): {error}"
        budgeted = check_budgeted(case.agreement, self.every_engine)
        if budgeted:
            return f"case {case.name!r} ({case.origin}): {budgeted}"
        places = ["capture", *dict.fromkeys(edge for each in self._trees for edge in each.edges), "call"]
        for each in case.rejects:
            if each.at not in places:
                return f"{each.origin}: the stage of a rejection must be one of {', '.join(places)}, got {each.at!r}."
        wrong = ((each.origin, message) for each in case.expect for _, message in self.wrong_keys(each))
        return next((f"{origin}: {message}" for origin, message in wrong), "")

    def wrong_keys(self, entry: Expectation) -> Iterator[tuple[str, str]]:
        """Yield the keys of an expected failure that name something unknown, each with a message."""
        try:
            check_names([entry.mode] if entry.engine != GOLDEN else [], self._trees)
        except SelectionError as error:
            yield "mode", str(error)
        try:
            select_engines(self.every_engine, [entry.engine] if entry.engine not in (AGREE, GOLDEN) else [])
        except SelectionError as error:
            yield "engine", str(error)
        if not any(fnmatchcase(check, entry.check) for check in self.check_names):
            yield "check", f"unknown check {entry.check!r}. Checks: {', '.join(self.check_names)}."

    @property
    def _trees(self) -> list[ModeTree]:
        return [tree_of(engine) for engine in self.every_engine.values()]

    @property
    def check_names(self) -> list[str]:
        """Return the names of checks that an expectation may have."""
        return [*CHECKS, *self.checks, *OTHER_CHECKS]

    def runner(self, options: Options, *, progress: Progress = nullcontext, journal: Journal | None = None) -> Runner:
        """Make a runner of these engines and checks."""
        return Runner(
            self.every_engine,
            profile=options.profile,
            seed=options.seed,
            threads=options.threads,
            overrides=self.overrides,
            checks=self.checks,
            fuzz=options.fuzz,
            progress=progress,
            journal=journal,
            compared=self.compared,
            host=self.host,
            golden=golden_of(options),
        )


def golden_of(options: Options) -> GoldenSettings | None:
    """Return where golden programs are; None in a run without them."""
    if not options.golden:
        return None
    return GoldenSettings(root=Path(options.golden), update=options.update_golden, given=options.golden_given)


def registry_of(options: Options, hooks: Hooks, cache: PackageCache | None = None) -> Registry:
    """Resolve engines and modes. A hook that raises is reported and its contribution is dropped. ``cache`` has the packages
    of earlier runs.

    Raises
    ------
    ExportcheckError
        For a name that does not exist, and for an object of a hook that is not an engine, an edge or a check.
    """
    added_engines, engine_problems = hooks.gather_lists("exportcheck_engines")
    edge_maps, edge_problems = hooks.gather("exportcheck_edges")
    added_runtimes, runtime_problems = hooks.gather_lists("exportcheck_runtimes")
    added_checks, check_problems = hooks.gather_lists("exportcheck_checks")
    problems = [*engine_problems, *edge_problems, *runtime_problems, *check_problems]
    try:
        threads = options.threads or torch.get_num_threads()
        host = RuntimeHost(
            timeout=options.runtime_timeout, threads=threads, cache=cache or PackageCache(), root=options.root
        )
        engines_made = all_engines(added_engines, _edges(edge_maps))
        every = with_runtimes(engines_made, runtimes_of(added_runtimes), host)
        engines = select_engines(every, options.engines)
        check_required(options.required, every)
        return Registry(
            every_engine=every,
            engines=engines,
            modes=select((*options.modes, *shipped_modes(options, every)), [tree_of(engine) for engine in engines]),
            may_add=options.modes == ("default",),
            checks=_checks(added_checks),
            overrides=Overrides.of(options.allow, options.forbid),
            fuzz=options.fuzz is not None,
            asked=bool(options.engines) or options.profile == "conformance",
            problems=problems,
            host=host,
        )
    except ExportcheckError as error:  # a name may be unknown because the hook that adds it raised
        raise with_message(error, "\n".join([str(error), *problems])) from None


def _up_to_refusal(case: Case, mode: Mode) -> Mode:
    """Return the mode, or its part up to a stage that must refuse the case."""
    places = ("capture", *mode.edges)
    refused = [number for number, place in enumerate(places, 1) if case.rejected_at(place)]
    return mode.up_to(min(refused)) if refused else mode


def may_be_dynamic(case: Case) -> bool:
    """Return whether a case may have a dim to fuzz, as far as is known before the case is set up."""
    shapes = case.dynamic_shapes
    if shapes is None:  # a class may have a specification attached to its forward; a factory does not show it
        shapes = attached_specification(getattr(case.build, "func", case.build))
    return shapes is not None and (not isinstance(shapes, (Mapping, Sequence)) or any(_sizes_in(shapes)))


def _sizes_in(spec: Any) -> Iterator[bool]:
    """Yield, for every leaf of a nested spec, whether the leaf is more than a number or None."""
    if isinstance(spec, Mapping):
        spec = list(spec.values())
    if isinstance(spec, (list, tuple)):
        for each in spec:
            yield from _sizes_in(each)
    else:
        yield spec is not None and not isinstance(spec, int)


def _edges(maps: Iterable[Any]) -> dict[str, Any]:
    edges: dict[str, Any] = {}
    for added in maps:
        if not isinstance(added, Mapping):
            raise EngineError(f"exportcheck_edges must return a mapping of names to edges, got {added!r}.")
        for name, edge in added.items():
            if name in (*CAPTURES, FUZZ):
                raise EngineError(f"edge {name!r} has the name of a capture or of fuzzing; rename it.")
            if name in edges:
                raise EngineError(f"two hooks add an edge {name!r}; rename one of them.")
            edges[name] = edge
    return edges


def _checks(added: Iterable[Callable[..., Any]]) -> dict[str, Check]:
    checks: dict[str, Check] = {}
    for check in added:
        name = getattr(check, "__name__", "")
        if not callable(check) or not name.isidentifier():
            raise EngineError(
                f"exportcheck_checks must return functions that take the evidence and return findings, got {check!r}."
            )
        if name in checks or name in (*CHECKS, *OTHER_CHECKS):
            raise EngineError(f"a check {name!r} exists already; rename the function that your hook adds.")
        checks[name] = check
    return checks
