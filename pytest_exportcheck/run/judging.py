"""The judge of the stages of one case: evidence, checks, tolerated losses, and known defects as explanations."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import torch

from pytest_exportcheck.checks import align, deduplicated, judged_refusal, ledger_of, run_checks
from pytest_exportcheck.engines.protocol import Engine, StageArtifact
from pytest_exportcheck.harness.internal import LEDGER, internal_finding, is_own
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.policy import (
    ALIGNMENT,
    column_of,
    contract_for,
    fields_for,
    judge,
    tolerated,
)
from pytest_exportcheck.records import (
    Agreement,
    Alignment,
    Case,
    Evidence,
    FieldSurvival,
    Finding,
    ProgramRecord,
    Raised,
    Record,
)
from pytest_exportcheck.run.grad_modes import held_against_grad, is_as_with_grad
from pytest_exportcheck.run.observed_case import ObservedCase
from pytest_exportcheck.run.recheck import Rechecked
from pytest_exportcheck.run.runtime_edges import COMPILED
from pytest_exportcheck.run.stage import StageResult, raised_finding, unjudged, without_grad_only

RecordOf: TypeAlias = Callable[[Engine, StageArtifact, Mode], Record]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The findings of the checks for the record of a stage, and the evidence that they were made from."""

    evidence: Evidence
    findings: tuple[Finding, ...] = ()
    ledger: tuple[FieldSurvival, ...] = ()
    notes: tuple[str, ...] = ()


class Judge:
    """The judge that compares the stages of one case with the contract."""

    def __init__(self, observed: ObservedCase) -> None:
        self._observed = observed
        self._settings = observed.settings
        self._at = observed.attempts.at

    def of_record(
        self,
        engine: Engine,
        mode: Mode,
        parent: StageResult | None,
        artifact: StageArtifact,
        record: Record,
        findings: Sequence[Finding],
        record_of: RecordOf,
    ) -> Judgement:
        """Judge the record of an artifact, together with findings that its stage led to. ``record_of`` makes the
        records of what other engines read from the same file.
        """
        evidence = self._evidence(engine, mode, parent, record)
        oracle = self._observed.oracles.of(engine.name, mode)
        checked = self._at(
            "values that differ", lambda: oracle.recheck.checked(self._checks, evidence), None
        ) or Rechecked(self._checks(evidence))
        if is_as_with_grad(self._observed, mode, record, checked.findings):
            again = partial(self._evidence, engine, mode, None, record)
            evidence, checked = held_against_grad(
                self._observed, engine.name, mode, checked, evidence=again, check=self._checks
            )
        operators = operators_of(evidence.before.program or evidence.after.program)
        judged = self.judged(engine, mode, [*findings, *checked.findings], operators)
        judged += self._of_other_readers(engine, mode, parent, artifact, record_of, judged)
        return Judgement(
            evidence=evidence,
            findings=tuple(judged),
            ledger=self._at(LEDGER, lambda: ledger_of(evidence, judged), ()),
            notes=(*checked.notes, *unjudged(mode, record), *without_grad_only(mode, judged)),
        )

    def _of_other_readers(
        self,
        engine: Engine,
        mode: Mode,
        parent: StageResult | None,
        artifact: StageArtifact,
        record_of: RecordOf,
        known: Sequence[Finding],
    ) -> list[Finding]:
        """Return the faults of what further engines made of the same file, unless the first one has shown them too."""
        shown = {(*each.identity, each.actual) for each in known}
        found = []
        for reader, other in artifact.other_readers.items():
            operators: Collection[str] = ()
            try:
                evidence = self._evidence(engine, mode, parent, record_of(engine, other, mode))
                operators = operators_of(evidence.before.program or evidence.after.program)
                oracle = self._observed.oracles.of(engine.name, mode)
                raw = oracle.recheck.checked(self._checks, evidence).findings
            except (Exception, SystemExit) as error:
                raw = [failure(mode.last, error)]
            judged = self.judged(engine, mode, raw, operators, maker=reader)
            found += [
                replace(each, place=f"{reader}: {each.place}")
                for each in judged
                if (*each.identity, each.actual) not in shown
            ]
        return found

    def judged(
        self, engine: Engine, mode: Mode, findings: Iterable[Finding], operators: Collection[str], maker: str = ""
    ) -> list[Finding]:
        """Give findings their verdicts. Tolerance comes first: a known defect explains only findings that would be
        broken.
        """
        like, overrides = contract_stage(engine, mode), self._settings.overrides
        judged = tolerated(deduplicated(findings), like, overrides, path=mode.stages)
        maker = maker or engine.delegates_to.get(mode.last, engine.name)
        return judge(judged, engine=maker, stages=mode.stages, torch_version=torch.__version__, operators=operators)

    def refused(self, mode: Mode, raised: Raised | None) -> list[Finding] | None:
        """Find the faults of a stage that must refuse the case; None if the case does not declare a refusal at the
        stage.
        """
        stage = mode.last
        rejections = self._observed.case.rejected_at(stage if mode.parent else "capture")
        found = [judged_refusal(each, stage, raised) for each in rejections]
        return [finding for finding in found if finding is not None] if rejections else None

    def _checks(self, evidence: Evidence) -> list[Finding]:
        return run_checks(evidence, self._settings.checks)

    def _evidence(self, engine: Engine, mode: Mode, parent: StageResult | None, record: Record) -> Evidence:
        observed, edge, like = self._observed, mode.last, contract_stage(engine, mode)
        oracle = observed.oracles.of(engine.name, mode).record
        before = parent.record if parent and parent.record else oracle
        return Evidence(
            case=observed.case.name,
            engine=engine.name,
            mode=str(mode),
            stage=edge,
            before=before,
            after=record,
            contract=contract_for(like, unstable=observed.unstable, path=mode.stages, added=like != edge),
            fields=fields_for(like, self._settings.overrides),
            alignment=self._at(
                "the pairing of nodes",
                lambda: _alignment(like, before.program, record.program, added=like != edge),
                None,
            ),
            module=oracle,
            declared=observed.declared,
            given=observed.given,
            tolerance=observed.case.tolerance,
            agreement=agreement_with(observed.case, engine, mode),
            random=observed.case.random,
        )


def agreement_with(case: Case, engine: Engine, mode: Mode) -> Agreement | None:
    """Return the budget that takes the place of closeness, for a mode that ends in a runtime."""
    return case.agreement_of(mode.last) if contract_stage(engine, mode) == COMPILED else None


def contract_stage(engine: Engine, mode: Mode) -> str:
    """Return the stage by whose contract the last stage of a mode is judged."""
    return contract_stage_of(engine, mode.last)


def contract_stage_of(engine: Engine, stage: str) -> str:
    """Return the stage by whose contract a stage is judged: itself, unless a hook added the edge."""
    return engine.contract_of.get(stage, stage)


def failure(stage: str, error: BaseException, logged: Sequence[str] = ()) -> Finding:
    """Report a stage that raised instead of yielding a program that can be called, or a failure of the plugin
    itself.
    """
    if is_own(error):
        return internal_finding(f"the stage {stage}", error)
    return raised_finding(stage, "a program that can be called", error, logged)


def operators_of(program: ProgramRecord | None) -> frozenset[str]:
    """Return the names of the operators that a program calls."""
    return program.operators if program else frozenset()


def _alignment(
    edge: str, before: ProgramRecord | None, after: ProgramRecord | None, *, added: bool
) -> Alignment | None:
    """Pair the nodes of two programs. An ``added`` edge may keep nodes that name no origin."""
    how = ALIGNMENT.get(column_of(edge))
    how = "kept" if added and how == "origin" else how
    return align(before, after, how) if how and before is not None and after is not None else None
