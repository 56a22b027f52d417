"""The fallbacks of a case: for dynamic dims that its source gave by default, and that a stage refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_exportcheck.engines.protocol import Engine
from pytest_exportcheck.errors import CaseError
from pytest_exportcheck.expectations.refusal_kinds import is_of_kind
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.records import Case, Fallback
from pytest_exportcheck.run.stage import StageResult

if TYPE_CHECKING:
    from pytest_exportcheck.run.case_runner import CaseRunner


class Fallbacks:
    """The runs of a case with other dynamic dims. ``run`` sets a case up; a run that makes a stage also makes
    everything after the stage.
    """

    def __init__(self, case: Case, run: Callable[[Case], CaseRunner], seconds: dict[str, float]) -> None:
        self._case = case
        self._run = run
        self._seconds = seconds
        self._others: dict[Fallback, CaseRunner | None] = {}
        self._instead: dict[tuple[str, Mode | None], CaseRunner] = {}

    def accepted(self, engine: Engine, mode: Mode) -> StageResult | None:
        """Use the first fallback that a stage accepts, for the stage and all that comes after it; None if it accepts
        none. The choice depends only on the mode, not on what other modes accept or what ran before.
        """
        for fallback in self._case.fallbacks:
            other = self._other(fallback)
            stage = self._made_by(other, engine, mode) if other else None
            if stage is not None and stage.record is not None:
                note = (
                    f"{mode}: {mode.last} refuses the default dynamic dims of this source; checked with {fallback.note}"
                )
                return replace(stage, notes=(note, *stage.notes))
        return None

    def continued(self, engine: Engine, mode: Mode) -> StageResult | None:
        """Make a stage by the run that made the stage before it; None if no fallback made that."""
        other = self._instead.get((engine.name, mode.parent))
        return self._made_by(other, engine, mode) if other else None

    def other_of(self, engine: Engine, mode: Mode) -> CaseRunner | None:
        """Return the run with other dynamic dims that made a stage; None if the case itself did."""
        return self._instead.get((engine.name, mode))

    def used(self) -> Iterator[CaseRunner]:
        """Yield the runs that were set up."""
        yield from filter(None, self._others.values())

    def _other(self, fallback: Fallback) -> CaseRunner | None:
        """Return the run with this fallback; None if it cannot be set up."""
        if fallback not in self._others:
            try:
                self._others[fallback] = self._run(fallback.case)
            except CaseError:
                self._others[fallback] = None
        return self._others[fallback]

    def _made_by(self, other: CaseRunner, engine: Engine, mode: Mode) -> StageResult:
        stage = other.stage(engine, mode)
        self._seconds.update(other.seconds)
        if stage.record is not None or mode.is_fuzz:
            self._instead[engine.name, mode] = other
        return stage


def refuses_sizes(stage: StageResult) -> bool:
    """Return True if a stage raised, or refused the case, because of its dynamic dims."""
    texts = [each.actual for each in stage.findings if (each.check, each.change) == ("stage", "raised")]
    return (
        stage.record is None
        and not stage.mode.is_fuzz
        and any(is_of_kind("constraint", text) for text in (stage.unsupported, *texts))
    )
