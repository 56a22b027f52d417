"""The comparison of the captures that several engines made of one case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch

from pytest_exportcheck.checks.agreement import Pair, Side, SizedPair, disagreements, shared_faults
from pytest_exportcheck.checks.agreement.values import between
from pytest_exportcheck.engines.protocol import Engine
from pytest_exportcheck.harness.internal import call_foreign
from pytest_exportcheck.harness.isolation import quiet
from pytest_exportcheck.harness.process_state import preserved_globals
from pytest_exportcheck.modes import AGREE, Mode
from pytest_exportcheck.policy import BLOCKING, agreement_for, judge, loosest, tolerated
from pytest_exportcheck.records import Change, Evidence, Finding, Observation, Record
from pytest_exportcheck.run.fuzz_stage import FuzzStages
from pytest_exportcheck.run.judging import Judge
from pytest_exportcheck.run.observed_case import ObservedCase
from pytest_exportcheck.run.samples import Samples, SizedCall
from pytest_exportcheck.run.stage import StageResult
from pytest_exportcheck.run.stage_maker import StageMaker


def fallen_back_apart(capture: Mode) -> StageResult:
    """Return the result for engines of which one refused the default dynamic dims of a source: there is not one case
    that both captured.
    """
    return StageResult(capture, unsupported="the engines captured the model with different dynamic dims")


class Agreement:
    """The comparison of one case. Calls are made only at sizes that the captures were not called at yet, and of eager
    only where two programs differ.
    """

    def __init__(
        self, observed: ObservedCase, judge: Judge, maker: StageMaker, fuzz: FuzzStages, samples: Samples
    ) -> None:
        self._observed = observed
        self._judge = judge
        self._maker = maker
        self._fuzz = fuzz
        self._samples = samples

    def stage(self, engines: Sequence[Engine], stages: Sequence[StageResult]) -> StageResult:
        """Compare the capture of the first engine with that of each other one. A capture that was not made has nothing to
        compare.
        """
        capture = stages[0].mode
        without = [(engine, stage) for engine, stage in zip(engines, stages, strict=True) if stage.record is None]
        made = [(engine, stage) for engine, stage in zip(engines, stages, strict=True) if stage.record is not None]
        if len(made) < 2:
            return _nothing(capture, *without[0])
        result = StageResult(capture)
        for other in made[1:]:
            pair = self._pair(capture, made[0], other)
            found = disagreements(pair)
            judged = [_known(each, capture) for each in found]
            result.findings += tolerated(judged, AGREE, self._observed.settings.overrides)
            result.notes += shared_faults(pair, found)
        return result

    def _pair(self, capture: Mode, one: tuple[Engine, StageResult], other: tuple[Engine, StageResult]) -> Pair:
        sides = [self._side(engine, stage) for engine, stage in (one, other)]
        evidence = self._evidence(one[0], capture, sides[0].record, sides[1].record)
        sampled = [side.record.samples or () for side in sides]
        rows = list(zip(self._samples.calls, *sampled, strict=False))
        sized = [
            self._sized(capture, (one, other), call, before, after, evidence)
            for call, before, after in rows
            if _differ(before, after, self._at_size(evidence, before, after))
        ]
        return Pair(one=sides[0], other=sides[1], evidence=evidence, sized=sized, sampled=len(rows))

    def _side(self, engine: Engine, stage: StageResult) -> Side:
        record = stage.record or Record(observations=())
        if record.samples is None:
            record = replace(record, samples=self._sampled(engine, stage))
        return Side(engine=engine.name, record=record, own=stage.findings)

    def _sampled(self, engine: Engine, stage: StageResult) -> tuple[Observation, ...]:
        """Call the program of a capture that was made before it was known that it is compared."""
        with preserved_globals(), quiet(), self._observed.observer.weights_intact():
            run = call_foreign(self._maker.revived(engine, stage).callable)
            return self._samples.observed(run, stage.mode)

    def _evidence(self, engine: Engine, capture: Mode, before: Record, after: Record) -> Evidence:
        observed = self._observed
        return Evidence(
            case=observed.case.name,
            engine=AGREE,
            mode=str(capture),
            stage=AGREE,
            before=before,
            after=after,
            contract=agreement_for(capture.last, unstable=observed.unstable),
            module=observed.oracles.of(engine.name, capture).record,
            declared=observed.declared,
            tolerance=observed.case.tolerance,
            random=observed.case.random,
        )

    def _at_size(self, evidence: Evidence, before: Observation, after: Observation) -> list[Finding]:
        """Return the differences between two programs in one call."""
        contract = loosest([evidence.mode], BLOCKING, unstable=self._observed.unstable)
        return between(
            replace(
                evidence,
                before=replace(evidence.before, observations=(before,)),
                after=replace(evidence.after, observations=(after,)),
                contract=contract,
            )
        )

    def _sized(
        self,
        capture: Mode,
        sides: Sequence[tuple[Engine, StageResult]],
        call: SizedCall,
        before: Observation,
        after: Observation,
        evidence: Evidence,
    ) -> SizedPair:
        """Call eager at the sizes at which two programs differ."""
        oracle = self._observed.oracles.of(sides[0][0].name, capture)
        observer = self._observed.observer
        with preserved_globals(), quiet(), observer.weights_intact():
            eager = observer.caller(self._observed.prepared.fresh_module(), oracle.mode)(call.inputs)
        own: list[Sequence[Finding]] = []
        for (engine, stage), got in zip(sides, (before, after), strict=True):
            compare = partial(self._fuzz.compared, engine, capture, stage, oracle, {})
            differing = () if eager.raised or got.raised else compare(call.inputs, eager, got)
            own.append([each for each in differing if each.verdict != "tolerated"])
        return SizedPair(
            about=call.about,
            site=before.site,
            declared=call.declared,
            below=call.below,
            raised=(before.raised, after.raised),
            eager_raised=eager.raised,
            own=(own[0], own[1]),
            between=() if before.raised or after.raised else self._at_size(evidence, before, after),
        )


def _known(finding: Finding, capture: Mode) -> Finding:
    """Return a difference in the accepted sizes as known if a known defect explains what the culprit does."""
    if finding.check != "sizes" or finding.culprit is None:
        return finding
    refuses = finding.culprit.name == finding.between[finding.change == "narrowed"]
    change: Change = "narrowed" if refuses else "accepted" if finding.key == "lower_bound" else "widened"
    (judged,) = judge(
        [replace(finding, change=change)],
        engine=finding.culprit.name,
        stages=(*capture.stages, AGREE),
        torch_version=torch.__version__,
    )
    return replace(judged, change=finding.change)


def _differ(before: Observation, after: Observation, values: Sequence[Finding]) -> bool:
    return bool(before.raised) != bool(after.raised) or (not before.raised and bool(values))


def _nothing(capture: Mode, engine: Engine, stage: StageResult) -> StageResult:
    """Return the result where an engine has no program to compare."""
    if stage.unsupported:
        return StageResult(capture, unsupported=f"{engine.name} has no program to compare: {stage.unsupported}")
    return StageResult(capture, blocker=stage.blocker or stage)
