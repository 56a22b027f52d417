"""The runner: runs items in any order, keeps one case at a time, and judges each item."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from types import MappingProxyType
from typing import TypeAlias

import torch

from pytest_exportcheck.bundles.failure import Failure
from pytest_exportcheck.engines.protocol import Engine
from pytest_exportcheck.errors import CaseError, internal_error_text
from pytest_exportcheck.modes import AGREE, GOLDEN, Mode
from pytest_exportcheck.options import Fuzzing
from pytest_exportcheck.policy import NO_OVERRIDES, Overrides
from pytest_exportcheck.records import Case, Check, Judgement, Outcome
from pytest_exportcheck.run.blocking import blocked, interrupted
from pytest_exportcheck.run.case_runner import CaseRunner
from pytest_exportcheck.run.fuzz_time import FuzzTime
from pytest_exportcheck.run.journal import Journal
from pytest_exportcheck.run.runtime_edges import RuntimeHost
from pytest_exportcheck.run.second_opinion import FIRST
from pytest_exportcheck.run.settings import (
    Compared,
    GoldenSettings,
    Progress,
    Settings,
    nothing_compared,
    nothing_interrupted,
    unwatched,
)
from pytest_exportcheck.run.stage import StageResult
from pytest_exportcheck.run.verdicts import ItemContext, judgement_of, not_set_up

#: A function that is given the live objects of a failing item.
Failed: TypeAlias = Callable[[Failure], object]

#: The owner of the items that compare engines.
COMPARISON = Engine(name=AGREE, captures={}, edges={})


class Runner:
    """A session's runner. It holds the captures of the case that ran last, and releases them with the case."""

    def __init__(
        self,
        engines: Mapping[str, Engine],
        *,
        profile: str = "ship",
        seed: int = 0,
        threads: int | None = None,
        progress: Progress = nullcontext,
        overrides: Overrides = NO_OVERRIDES,
        checks: Mapping[str, Check] = MappingProxyType({}),
        journal: Journal | None = None,
        fuzz: Fuzzing | None = None,
        compared: Compared = nothing_compared,
        host: RuntimeHost | None = None,
        golden: GoldenSettings | None = None,
    ) -> None:
        self._host = host
        self._engines = engines
        self._profile = profile
        threads = threads or torch.get_num_threads()
        self._settings = Settings(
            seed=seed,
            threads=threads,
            progress=progress,
            overrides=overrides,
            checks=checks,
            watch=journal.running if journal else unwatched,
            interrupted=journal.blocker if journal else nothing_interrupted,
            engines=engines,
            fuzz=fuzz or Fuzzing(),
            fuzz_time=FuzzTime(fuzz or Fuzzing()),
            compared=compared,
            golden=golden,
        )
        self._selected: dict[int, set[tuple[str, Mode]]] = {}
        self._remaining: dict[int, set[tuple[str, Mode]]] = {}
        self._current: tuple[Case, CaseRunner] | None = None
        self._not_set_up: dict[int, tuple[tuple[str, Mode], str]] = {}

    def select(self, wanted: Iterable[tuple[Case, str, Mode]]) -> None:
        """Set the items of this run: they decide what counts as blocked, and when artifacts are released."""
        for case, engine, mode in wanted:
            self._selected.setdefault(id(case), set()).add((engine, mode))
            self._remaining.setdefault(id(case), set()).add((engine, mode))
            self._settings.fuzz_time.select(mode.is_fuzz)

    def run(self, case: Case, engine: str, mode: Mode) -> Outcome:
        """Run one item, as :meth:`judge` does, and return only its outcome."""
        return self.judge(case, engine, mode).outcome

    def judge(self, case: Case, engine: str, mode: Mode, failed: Failed | None = None) -> Judgement:
        """Run one item. Faults of the case or the engine are in the outcome, and are not raised. ``failed`` is given the
        live objects of an item that fails for a finding of a stage.
        """
        try:
            return self._judged(case, engine, mode, failed)
        finally:
            if mode.is_fuzz:
                self._settings.fuzz_time.judged()

    def _judged(self, case: Case, engine: str, mode: Mode, failed: Failed | None) -> Judgement:
        if id(case) in self._not_set_up:
            return self._judge_without_case(case, engine, mode)
        stage = blocked(mode, [interrupted(mode, self._settings.interrupted(case, engine, mode))])
        if stage:
            return judgement_of(self._item(case, engine, mode), stage)
        try:
            run = self._case_run(case)
        except Exception as error:
            text = str(error) if isinstance(error, CaseError) else internal_error_text(error)
            self._not_set_up[id(case)] = ((engine, mode), text)
            return self._judge_without_case(case, engine, mode)
        judgement = self._judge(run, case, engine, mode, failed)
        self._done(case, engine, mode, run)
        return judgement

    def _judge(self, run: CaseRunner, case: Case, engine: str, mode: Mode, failed: Failed | None) -> Judgement:
        known_seconds = set(run.seconds)
        stage = self._stage(run, engine, mode)
        item = replace(
            self._item(case, engine, mode),
            notes=(*run.notes, *stage.notes),
            facts=stage.facts,
            examples=stage.examples,
            seconds={name: value for name, value in run.seconds.items() if name not in known_seconds},
        )
        judgement = judgement_of(item, stage)
        failing = judgement.outcome.failing_findings
        if failed is not None and failing and engine != GOLDEN:  # a golden program is a reproduction already
            by = COMPARISON if engine == AGREE else self._engines[engine]
            failed(run.failure(by, stage.blocker or stage, failing[0]))
        return replace(judgement, statistics=stage.statistics)

    def _stage(self, run: CaseRunner, engine: str, mode: Mode) -> StageResult:
        if engine == AGREE:
            return run.agreement(mode)
        return run.golden(mode) if engine == GOLDEN else run.stage(self._engines[engine], mode)

    def _item(self, case: Case, engine: str, mode: Mode) -> ItemContext:
        return ItemContext(
            case=case,
            engine=engine,
            mode=mode,
            profile=self._profile,
            torch_version=torch.__version__,
            selected=frozenset(each for name, each in self._selected.get(id(case), ()) if name == engine),
        )

    def _case_run(self, case: Case) -> CaseRunner:
        if self._current is None or self._current[0] is not case:
            self._end_case()  # released before the next case is built
            with self._settings.watch(case):
                agreeing = frozenset(mode for name, mode in self._selected.get(id(case), ()) if name == AGREE)
                self._current = (case, CaseRunner(case, self._settings, agreeing))
        return self._current[1]

    def _done(self, case: Case, engine: str, mode: Mode, run: CaseRunner) -> None:
        remaining = self._remaining.get(id(case), set())
        remaining.discard((engine, mode))
        if remaining:
            run.release(lambda name, made: any(_builds_on(made, name, each) for each in remaining))
        else:
            self._end_case()

    def _end_case(self) -> None:
        self._current = None
        if self._host is not None:
            self._host.close()

    def _judge_without_case(self, case: Case, engine: str, mode: Mode) -> Judgement:
        first, message = self._not_set_up[id(case)]
        told_by = "" if first == (engine, mode) else f"{case.name}[{first[0]}-{first[1]}]"
        return not_set_up(self._item(case, engine, mode), message, told_by)


def _builds_on(made: Mode, engine: str, item: tuple[str, Mode]) -> bool:
    """Return True if an item needs a stage of an engine. Golden programs are compared with captures of torch."""
    if item[0] == GOLDEN:
        return engine == FIRST and made.depth == 1
    return item[0] in (engine, AGREE) and made.is_prefix_of(item[1])
