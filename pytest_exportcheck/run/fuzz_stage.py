"""The fuzz stage of a mode: sizes drawn for the program at its end."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import TypeAlias

from hypothesis.errors import DeadlineExceeded
from torch.export import ExportedProgram

from pytest_exportcheck.checks import run_checks
from pytest_exportcheck.engines.protocol import Engine, StageArtifact
from pytest_exportcheck.errors import CaseError
from pytest_exportcheck.fuzz.captured import Captured
from pytest_exportcheck.fuzz.fuzzer import FuzzTarget, at_call, fuzz
from pytest_exportcheck.fuzz.setup import Ground
from pytest_exportcheck.harness.internal import call_foreign
from pytest_exportcheck.harness.isolation import quiet
from pytest_exportcheck.harness.process_state import preserved_globals
from pytest_exportcheck.modes import FUZZ, Mode, stage_name
from pytest_exportcheck.policy import BLOCKING, loosest
from pytest_exportcheck.records import CallSite, Evidence, Finding, Inputs, Observation
from pytest_exportcheck.run.blocking import blocked
from pytest_exportcheck.run.case_sizes import CaseSizes
from pytest_exportcheck.run.judging import Judge, agreement_with, contract_stage_of, failure, operators_of
from pytest_exportcheck.run.observed_case import ObservedCase
from pytest_exportcheck.run.oracle import Oracle
from pytest_exportcheck.run.origins import Made, asks_for_origin, with_origins
from pytest_exportcheck.run.package_calls import converting, package_caller
from pytest_exportcheck.run.package_search import package_search
from pytest_exportcheck.run.recheck import Recheck
from pytest_exportcheck.run.runtime_edges import COMPILED
from pytest_exportcheck.run.stage import StageResult, raised_finding
from pytest_exportcheck.run.stage_maker import StageMaker

#: The calls that differed first and last, with the evidence.
Compared: TypeAlias = dict[CallSite, tuple[Inputs, Evidence]]
_KEPT = 4


class FuzzStages:
    """The maker of the fuzz stages of one case. The first of them reports the faults of the case about sizes."""

    def __init__(
        self, observed: ObservedCase, judge: Judge, maker: StageMaker, sizes: CaseSizes, seconds: dict[str, float]
    ) -> None:
        self._observed = observed
        self._observer = observed.observer
        self._judge = judge
        self._maker = maker
        self._seconds = seconds
        self._sizes = sizes
        self._unsound: StageResult | None = None

    def stage(self, engine: Engine, mode: Mode, parent: StageResult, before: StageResult | None) -> StageResult:
        """Fuzz the program of ``parent``, the stage before the last one. ``before`` is the fuzz stage of the program
        before the last edge.
        """
        unsound = blocked(mode, [self._unsound])
        if unsound is not None:
            return unsound
        try:
            ground = self._sizes.ground
        except CaseError as error:
            self._unsound = StageResult(mode, findings=[_unsound_sizes(error)])
            return self._unsound
        started = time.perf_counter()
        try:
            progress = self._observed.settings.progress(f"fuzzing {engine.name}-{parent.mode}")
            settings = self._observed.settings
            with (
                preserved_globals(),
                quiet(),
                progress,
                self._observer.weights_intact(),
                settings.fuzz_time.part() as part,
            ):
                return self._fuzzed(engine, mode, parent, ground, before.captured if before else None, part)
        except CaseError as error:  # the case's own way to make inputs
            return StageResult(mode, findings=[_unsound_sizes(error)])
        finally:
            self._seconds[stage_name(engine.name, mode)] = time.perf_counter() - started

    def at_call(self, engine: Engine, mode: Mode, parent: StageResult, call: Inputs, finding: Finding) -> StageResult:
        """Judge the program of ``parent`` in one call, as fuzzing did when it found this finding."""
        try:
            ground = self._sizes.ground
        except CaseError as error:
            return StageResult(mode, findings=[_unsound_sizes(error)])
        with preserved_globals(), quiet(), self._observer.weights_intact():
            try:
                artifact = self._maker.revived(engine, parent)
                target = self._target(engine, mode, parent, artifact, _captured_by(artifact), {}, {})
            except (Exception, SystemExit) as error:
                return StageResult(mode, findings=self._judge.judged(engine, mode, [failure(FUZZ, error)], ()))
            return StageResult(mode, findings=list(at_call(ground, target, call, finding)))

    def _fuzzed(
        self,
        engine: Engine,
        mode: Mode,
        parent: StageResult,
        ground: Ground,
        captured: Captured | None,
        seconds: float | None,
    ) -> StageResult:
        """Fuzz the program for so many seconds; ``captured`` are the facts of the program before the last edge about
        sizes, for an edge that yields no program.
        """
        notes: dict[str, None] = {}
        compared: Compared = {}
        try:
            artifact = self._maker.revived(engine, parent)
            captured = _captured_by(artifact) or captured
            target = self._target(engine, mode, parent, artifact, captured, notes, compared)
        except (Exception, SystemExit) as error:
            return StageResult(mode, findings=self._judge.judged(engine, mode, [failure(FUZZ, error)], ()))
        try:
            options = self._observed.settings.fuzz
            result = fuzz(ground, target, key=self._key(engine, mode), options=options, seconds=seconds)
        except DeadlineExceeded as error:
            found = [raised_finding(FUZZ, "examples within the deadline of hypothesis's profile", error, [])]
            return StageResult(mode, findings=self._judge.judged(engine, mode, found, ()))
        return StageResult(
            mode,
            findings=list(self.located(mode, result.findings, compared, artifact)),
            ledger=result.ledger,
            sizes=result.sizes,
            notes=(*result.notes, *(*notes,)[:1]),
            statistics=result.statistics,
            examples=result.examples,
            captured=captured,
            drawn=result.calls,
        )

    def _target(
        self,
        engine: Engine,
        mode: Mode,
        parent: StageResult,
        artifact: StageArtifact,
        captured: Captured | None,
        notes: dict[str, None],
        compared: Compared,
    ) -> FuzzTarget:
        oracle = self._observed.oracles.of(engine.name, mode)
        target = FuzzTarget(
            eager=self._observer.caller(self._observed.prepared.fresh_module(), oracle.mode),
            run=self._observer.caller(call_foreign(artifact.callable), mode),
            compare=partial(self.compared, engine, mode, parent, oracle, notes, differing=compared),
            judge=lambda findings: self._judge.judged(engine, mode, findings, ()),
            captured=captured,
        )
        if contract_stage_of(engine, parent.mode.last) != COMPILED:
            return target
        run = package_caller(self._observer, artifact, mode, oracle.record)
        compare = converting(target.compare, target.eager, self._observed.prepared.example, lambda _: None)
        return replace(target, run=run, compare=compare, may_refuse_variations=True)

    def located(
        self, mode: Mode, findings: Sequence[Finding], compared: Compared, artifact: StageArtifact
    ) -> Iterator[Finding]:
        """Yield the findings with the places where their differences start, at the sizes that were found."""
        with package_search(artifact, self._observer.seed) as package:
            for site, group in groupby(findings, lambda finding: finding.on[0] if finding.on else None):
                call, evidence = compared.get(site, (None, None)) if site else (None, None)
                if call is None or evidence is None:
                    yield from group
                    continue
                before = Made(self._observed.prepared.fresh_module(), None, evidence.before)
                after = Made(artifact.callable(), artifact.program, evidence.after, package)
                yield from with_origins(
                    list(group),
                    observer=self._observer,
                    calls=[call],
                    mode=mode,
                    before=before,
                    after=after,
                    evidence=evidence,
                )

    def _key(self, engine: Engine, mode: Mode) -> str:
        case = self._observed.case
        return f"{case.origin.module}::{case.name}[{engine.name}-{mode}]"

    def compared(
        self,
        engine: Engine,
        mode: Mode,
        parent: StageResult,
        oracle: Oracle,
        notes: dict[str, None],
        call: Inputs,
        before: Observation,
        after: Observation,
        differing: Compared | None = None,
    ) -> Sequence[Finding]:
        """Return the differences between eager and the program, as strictly as the loosest stage on the way allows.
        ``differing`` gets the calls that differ.
        """
        record = parent.record or oracle.record
        eager = replace(oracle.record, observations=(before,))
        stages = [contract_stage_of(engine, each) for each in parent.mode.stages]
        evidence = Evidence(
            case=self._observed.case.name,
            engine=engine.name,
            mode=str(mode),
            stage=FUZZ,
            before=eager,
            after=replace(record, observations=(after,)),
            contract=loosest(stages, BLOCKING, unstable=self._observed.unstable),
            module=eager,
            tolerance=self._observed.case.tolerance,
            agreement=agreement_with(self._observed.case, engine, parent.mode),
            random=self._observed.case.random,
        )
        checked = Recheck(oracle.again, eager, (call,)).checked(run_checks, evidence)
        notes.update(dict.fromkeys(checked.notes))
        judged = self._judged(engine, mode, parent, checked.findings, operators_of(record.program))
        if differing is not None and any(map(asks_for_origin, judged)):  # the sizes found last are the smallest
            differing[before.site] = (call, evidence)
            for oldest in [*differing][1:-_KEPT]:
                del differing[oldest]
        return judged

    def _judged(
        self, engine: Engine, mode: Mode, parent: StageResult, findings: Sequence[Finding], operators: Collection[str]
    ) -> list[Finding]:
        """Judge findings of a drawn call. What a runtime may do at the example, such as choose the layout of its outputs,
        it may do at other sizes.
        """
        judged = self._judge.judged(engine, mode, findings, operators)
        if contract_stage_of(engine, parent.mode.last) != COMPILED:
            return judged
        at_example = self._judge.judged(engine, parent.mode, findings, operators)
        return [shown if shown.verdict == "tolerated" else each for each, shown in zip(judged, at_example, strict=True)]


def _captured_by(artifact: StageArtifact) -> Captured | None:
    """Return the facts of an artifact's program about sizes; None if it has no program."""
    return Captured.of(artifact.program) if isinstance(artifact.program, ExportedProgram) else None


def _unsound_sizes(error: CaseError) -> Finding:
    return Finding.of("case").at("sizes", "wrong", "sizes", "sizes to fuzz", error)
