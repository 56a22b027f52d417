"""A case in progress: every stage of its modes is made once, and kept until no later mode builds on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from torch.export import ExportedProgram

from pytest_exportcheck.bundles.failure import Failure
from pytest_exportcheck.checks import deduplicated, explained
from pytest_exportcheck.engines.protocol import Engine, ProgramArtifact, Request, StageArtifact
from pytest_exportcheck.errors import InteropError, Unsupported
from pytest_exportcheck.harness.internal import internal_finding, is_own, leaves_a_gap
from pytest_exportcheck.harness.isolation import log_of_torch, raised_from
from pytest_exportcheck.modes import AGREE, GOLDEN, Mode
from pytest_exportcheck.records import Case, Finding, Inputs
from pytest_exportcheck.run.agreement import Agreement, fallen_back_apart
from pytest_exportcheck.run.blocking import blocked, interrupted
from pytest_exportcheck.run.case_sizes import CaseSizes
from pytest_exportcheck.run.failing import level_of
from pytest_exportcheck.run.fallbacks import Fallbacks, refuses_sizes
from pytest_exportcheck.run.fuzz_stage import Compared, FuzzStages
from pytest_exportcheck.run.judging import Judge, Judgement, agreement_with, contract_stage, operators_of
from pytest_exportcheck.run.observed_case import observed_case
from pytest_exportcheck.run.observer import pinned_threads
from pytest_exportcheck.run.origins import Made, asks_for_origin, with_origins
from pytest_exportcheck.run.package_search import package_search
from pytest_exportcheck.run.runtime_calls import RuntimeCalls
from pytest_exportcheck.run.runtime_edges import COMPILED, yields_package
from pytest_exportcheck.run.runtime_facts import errors_of
from pytest_exportcheck.run.samples import Samples
from pytest_exportcheck.run.second_opinion import FIRST, attributed, can_judge, judging_modes, suspects
from pytest_exportcheck.run.settings import Settings
from pytest_exportcheck.run.stage import OBJECTION, StageResult, raise_if_unsupported, raised_finding
from pytest_exportcheck.run.stage_cache import StageCache
from pytest_exportcheck.run.stage_maker import StageMaker


class CaseRunner:
    """The maker and judge of the stages of one case. ``seconds`` has the duration of each, by ``engine-mode``;
    ``notes`` are about eager; ``agreeing`` are the captures in which engines are compared.

    Raises
    ------
    CaseError
        When the case cannot be set up, or the module itself raises on its example inputs.
    """

    def __init__(self, case: Case, settings: Settings, agreeing: frozenset[Mode] = frozenset()) -> None:
        self._case = case
        self._settings = settings
        self.seconds: dict[str, float] = {}
        self._observed = observed_case(case, settings)
        self.notes = self._observed.notes
        self._stages = StageCache(self._observed.weight_bytes)
        self._judge = Judge(self._observed)
        sizes = CaseSizes(self._observed)
        self._samples = Samples(self._observed.observer, sizes)
        self._maker = StageMaker(
            self._observed,
            self._stages,
            self.seconds,
            lambda run, mode: self._samples.observed(run, mode) if mode in agreeing else None,
        )
        self._fuzz = FuzzStages(self._observed, self._judge, self._maker, sizes, self.seconds)
        self._package_calls = RuntimeCalls(self._observed, self._samples, settings.fuzz.also)
        self._fallbacks = Fallbacks(case, partial(CaseRunner, settings=settings, agreeing=agreeing), self.seconds)

    def stage(self, engine: Engine, mode: Mode) -> StageResult:
        """Return the stage at the end of a mode; the stage and everything before it are made if they do not exist
        yet.
        """
        made = self._stages.get(engine.name, mode)
        return made or self._stages.put(engine.name, mode, self._new_stage(engine, mode))

    def agreement(self, capture: Mode) -> StageResult:
        """Compare the captures of several engines, which are made if they do not exist yet."""
        engines = [self._settings.engines[name] for name in self._settings.compared(self._case, capture)]
        stages = [self.stage(engine, capture) for engine in engines]
        others = [self._fallbacks.other_of(engine, capture) for engine in engines]
        if any(others):
            same = others[0] is not None and all(each is others[0] for each in others)
            return others[0].agreement(capture) if others[0] is not None and same else fallen_back_apart(capture)
        with self._settings.watch(self._case, AGREE, capture), pinned_threads(self._settings.threads):
            agreement = Agreement(self._observed, self._judge, self._maker, self._fuzz, self._samples)
            stage = agreement.stage(engines, stages)
        stage.findings = list(dict.fromkeys([*stage.findings, *self._observed.attempts.failed()]))
        return stage

    def golden(self, mode: Mode) -> StageResult:
        """Judge, or write, the golden program of a version of torch."""
        from pytest_exportcheck.run.golden_stage import GoldenStage

        golden = self._settings.golden
        if golden is None:
            return StageResult(mode, unsupported="the run has no folder of golden programs")
        torch_engine = self._settings.engines[FIRST]
        with self._settings.watch(self._case, GOLDEN, mode), pinned_threads(self._settings.threads):
            stage = GoldenStage(
                observed=self._observed,
                samples=self._samples,
                settings=golden,
                today=lambda capture: self.stage(torch_engine, capture),
            )
            return stage.written(mode) if golden.update else stage.judged(mode)

    def failure(self, engine: Engine, stage: StageResult, finding: Finding) -> Failure:
        """Return a finding of a stage with the objects that it was judged by."""
        other = self._fallbacks.other_of(engine, stage.mode) or (
            self._fallbacks.other_of(engine, stage.mode.parent) if stage.mode.parent else None
        )
        if other is not None:
            return other.failure(engine, stage, finding)
        observed, mode = self._observed, stage.mode
        parent = self._stages.get(engine.name, mode.parent) if mode.parent else None
        with pinned_threads(self._settings.threads):
            given = self._maker.revived(engine, parent) if parent else None
        return Failure(
            case=self._case,
            engine=engine.name,
            mode=mode,
            finding=finding,
            level=level_of(engine, mode, finding, observed.unstable),
            prepared=observed.prepared,
            before=None if mode.is_fuzz else given,
            after=given if mode.is_fuzz else stage.artifact,
            series=observed.calls,
            drawn=stage.drawn.get(finding.identity),
            expected=observed.oracles.of(engine.name, mode).record.observations if engine.name != AGREE else (),
            shown_by=partial(self._shows, engine, mode, finding, given.request) if given else None,
        )

    def _shows(
        self, engine: Engine, mode: Mode, finding: Finding, request: Request | None, program: ExportedProgram
    ) -> bool:
        """Return True if the last stage of a mode, made of this program, shows a finding."""
        artifact = StageArtifact(ProgramArtifact(program, request), program=program, request=request)
        with pinned_threads(self._settings.threads):
            stage = self._make(engine, mode, self._given(engine, mode.parent or mode, artifact))
        return any(each.identity == finding.identity and each.verdict != "tolerated" for each in stage.findings)

    def give(self, engine: Engine, mode: Mode, artifact: StageArtifact) -> None:
        """Put an artifact in place of the one that a mode makes; stages are made of it from now on."""
        with pinned_threads(self._settings.threads):
            self._stages.put(engine.name, mode, self._given(engine, mode, artifact))

    def _given(self, engine: Engine, mode: Mode, artifact: StageArtifact) -> StageResult:
        return StageResult(mode, artifact=artifact, record=self._maker.record(engine, artifact, mode))

    def at_call(self, engine: Engine, mode: Mode, call: Inputs, finding: Finding) -> StageResult:
        """Judge a program in one call, at sizes that were drawn before and showed this finding."""
        parent = self.stage(engine, mode.unfuzzed)
        stage = blocked(mode, [parent])
        if stage is not None:
            return stage
        with pinned_threads(self._settings.threads):
            return self._fuzz.at_call(engine, mode, parent, call, finding)

    def release(self, needed: Callable[[str, Mode], bool]) -> None:
        """Drop the stages that are not needed any more, with their artifacts and observations."""
        self._stages.release(needed)
        for other in self._fallbacks.used():
            other.release(needed)

    def _new_stage(self, engine: Engine, mode: Mode) -> StageResult:
        parent = self.stage(engine, mode.parent) if mode.parent else None
        continued = self._fallbacks.continued(engine, mode)
        if continued is not None:
            return continued
        stage = blocked(mode, self._built_on(engine, mode, parent))
        if stage is not None:
            return stage
        before = self._fuzzed_before(engine, mode)
        with self._settings.watch(self._case, engine.name, mode), pinned_threads(self._settings.threads):
            stage = self._made(engine, mode, parent, before)
        at = self._observed.attempts.at
        if refuses_sizes(stage):
            stage = at("the dims that fall back", lambda: self._fallbacks.accepted(engine, mode), None) or stage
        at("the engine at fault", lambda: self._attribute(engine, stage), None)
        stage.findings = list(dict.fromkeys([*stage.findings, *self._observed.attempts.failed()]))
        return stage

    def _built_on(self, engine: Engine, mode: Mode, parent: StageResult | None) -> Iterator[StageResult | None]:
        """Yield the stages that a stage builds on, and before them the one that was interrupted in this run, if there
        is one.
        """
        yield interrupted(mode, self._settings.interrupted(self._case, engine.name, mode))
        yield parent
        yield self._fuzzed_before(engine, mode)

    def _fuzzed_before(self, engine: Engine, mode: Mode) -> StageResult | None:
        """Return the fuzz stage of the program before the last edge, for a fuzz stage."""
        if not mode.is_fuzz or mode.parent is None or mode.parent.parent is None:
            return None
        return self.stage(engine, mode.parent.parent.fuzzed)

    def _made(self, engine: Engine, mode: Mode, parent: StageResult | None, before: StageResult | None) -> StageResult:
        """Make a stage. A part that the plugin could not observe before, in the case or in the stages that this one
        builds on, cannot be compared here either: the stage reports it again.
        """
        if parent is None or not mode.is_fuzz:
            stage = self._make(engine, mode, parent)
        else:
            try:
                stage = self._fuzz.stage(engine, mode, parent, before)
            except Exception as error:
                if not is_own(error) or type(error).__module__.startswith("hypothesis"):
                    raise
                stage = StageResult(mode, findings=[internal_finding(f"fuzzing {parent.mode}", error)])
        unseen = self._observed.unseen if parent is None else [each for each in parent.findings if leaves_a_gap(each)]
        stage.findings = [*stage.findings, *unseen]
        return stage

    def _make(self, engine: Engine, mode: Mode, parent: StageResult | None) -> StageResult:
        """Make a stage that is a capture or an edge, and judge it."""
        stage = StageResult(mode)
        logged: list[str] = []
        try:
            with log_of_torch(logged):
                stage.artifact, findings = self._maker.artifact(engine, mode, parent)
            stage.reader = stage.artifact.reader
            record = self._maker.record(engine, stage.artifact, mode)
            raise_if_unsupported(record)
            stage.record = record
        except Unsupported as error:
            stage.unsupported = str(error) or "the engine gives no reason"
            stage.unsupported_by = mode.last if yields_package(engine, mode.last) else engine.name
        except (Exception, SystemExit) as error:
            if is_own(error):  # an error of the plugin is not about the model, nor is it a refusal
                stage.findings = [internal_finding(f"the stage {mode.last}", error)]
            else:
                self._fail(engine, stage, parent, error, logged)
        else:
            accepted = self._judge.refused(mode, None)
            if accepted:
                stage.findings, stage.record = accepted, None
            else:
                at = self._observed.attempts.at
                at("the record of the stage", lambda: self._hold(engine, stage, parent, findings), None)
                if contract_stage(engine, mode) == COMPILED:
                    at("further calls of the package", lambda: self._call_further(engine, stage, parent), None)
        return stage

    def _call_further(self, engine: Engine, stage: StageResult, parent: StageResult | None) -> None:
        """Call a package with other layouts, dtypes and sizes, unless the example itself shows a fault. A compiler that
        edits its input program may yet make a right package.
        """
        if stage.artifact is None:
            return
        before = parent.record if parent else None
        budget = agreement_with(self._case, engine, stage.mode)
        if before is not None and stage.record is not None:
            stage.facts = {**stage.artifact.facts, **errors_of(before, stage.record, budget)}
        if any(each.verdict == "broken" and each.change != "edited" for each in stage.findings):
            return
        oracle = self._observed.oracles.of(engine.name, stage.mode)
        differing: Compared = {}
        compare = partial(self._fuzz.compared, engine, stage.mode, stage, oracle, {}, differing=differing)
        found, notes = self._package_calls.made(engine, stage.mode, stage.artifact, compare)
        judged = self._judge.judged(engine, stage.mode, found, ())
        located = self._fuzz.located(stage.mode, judged, differing, stage.artifact)
        stage.findings = deduplicated([*stage.findings, *located])
        stage.notes = (*stage.notes, *notes)

    def _fail(
        self, engine: Engine, stage: StageResult, parent: StageResult | None, error: BaseException, logged: list[str]
    ) -> None:
        """Judge a stage that raised."""
        mode = stage.mode
        by_reader = error if isinstance(error, InteropError) else None
        found = self._judge.refused(mode, raised_from(by_reader.error if by_reader else error))
        stage.refused = found == []
        stage.reader = by_reader.reader if by_reader else stage.reader
        if found is None:
            found = [
                _raised_by_reader(mode, by_reader, logged)
                if by_reader
                else self._raised(engine, stage, parent, error, logged)
            ]
        operators = operators_of(parent.record.program if parent and parent.record else None)
        stage.findings = self._judge.judged(engine, mode, found, operators)
        if not by_reader and _is_engine_error(engine, mode, error):
            stage.findings = [
                replace(each, verdict="engine_error", fault_of=engine.name) if each.verdict == "broken" else each
                for each in stage.findings
            ]

    def _raised(
        self, engine: Engine, stage: StageResult, parent: StageResult | None, error: BaseException, logged: list[str]
    ) -> Finding:
        made = "a package" if engine.contract_of.get(stage.mode.last) == COMPILED else "a program"
        what = f"{made} that can be called" if stage.artifact is not None else made
        line = self._maker.last_line(engine, stage.mode, error) if stage.artifact is None and parent is None else ""
        raised = raised_finding(stage.mode.last, what, error, logged, line)
        if isinstance(error, engine.objections):
            raised = replace(raised, key=OBJECTION)
        return explained(raised, self._observed.oracles.with_grad.record) if parent is None else raised

    def _hold(self, engine: Engine, stage: StageResult, parent: StageResult | None, findings: list[Finding]) -> None:
        """Judge the record of a stage."""
        if stage.record is None or stage.artifact is None:
            return
        judgement = self._judge.of_record(
            engine, stage.mode, parent, stage.artifact, stage.record, findings, self._maker.record
        )
        stage.findings, stage.ledger, stage.notes = list(judgement.findings), judgement.ledger, judgement.notes
        stage.findings = self._located(engine, stage, parent, judgement)

    def _located(
        self, engine: Engine, stage: StageResult, parent: StageResult | None, judgement: Judgement
    ) -> list[Finding]:
        """Return the findings of a stage with the places where their differences start."""
        observed, evidence, artifact = self._observed, judgement.evidence, stage.artifact
        if artifact is None or not any(map(asks_for_origin, judgement.findings)):
            return list(judgement.findings)
        if parent is None:
            before = Made(observed.prepared.fresh_module(), None, evidence.before)
        else:
            given = self._maker.revived(engine, parent)
            before = Made(given.callable(), given.program, evidence.before)
        with package_search(artifact, observed.observer.seed) as package:
            return with_origins(
                judgement.findings,
                observer=observed.observer,
                calls=observed.calls,
                mode=stage.mode,
                before=before,
                after=Made(artifact.callable(), artifact.program, evidence.after, package),
                evidence=evidence,
            )

    def _attribute(self, engine: Engine, stage: StageResult) -> None:
        """Blame an engine with a second opinion for the findings that only it has. The first engine's stage is made
        only for that.
        """
        first = self._settings.engines.get(FIRST)
        at_fault = suspects(engine, stage, self._settings.engines) if first else []
        if first is None or not any(at_fault):
            return
        for mode in judging_modes(stage.mode, first):
            judging = self.stage(first, mode)
            judging = judging.blocker or judging
            if judging.interrupted:
                return  # it may have the same findings
            if can_judge(judging):
                same = judging.mode.depth == stage.mode.depth
                stage.findings = attributed(stage.findings, at_fault, judging, same_mode=same)
                return


def _raised_by_reader(mode: Mode, error: InteropError, logged: Sequence[str]) -> Finding:
    """Report the error of an engine that loads what another one saved, with the names of both."""
    what = f"a program that {error.reader} loads from the file that {error.saver} saved"
    raised = raised_finding(mode.last, what, error.error, logged)
    return replace(raised, place=f"{error.reader}: {raised.place}")


def _is_engine_error(engine: Engine, mode: Mode, error: BaseException) -> bool:
    """Return True if an engine failed at its own work, with an error that is not one of its refusals."""
    own = mode.last not in engine.delegates_to
    return bool(engine.refusals) and own and not isinstance(error, engine.refusals)
