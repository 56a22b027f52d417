"""The failure that a bundle is made of: the live objects of a failing item."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.export import ExportedProgram

from pytest_exportcheck.engines.protocol import StageArtifact
from pytest_exportcheck.harness.setup import PreparedCase
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.records import Case, Finding, Inputs, Observation


@dataclass(frozen=True, eq=False, kw_only=True)
class Failure:
    """A failing item with the objects that it was judged by. They exist as long as this does.

    ``mode`` is the one that the findings are about: the item's own, or the one that blocks it. ``before`` is None for a
    capture and for drawn sizes, which are compared with eager; ``after`` is None where the stage raised. ``drawn`` are
    the drawn inputs that show the finding, where sizes were drawn; ``series`` the calls of every other stage. ``expected`` is what eager did in the other calls.
    ``shown_by`` makes the stage of another program, and returns True if it shows the finding too.
    """

    case: Case
    engine: str
    mode: Mode
    finding: Finding
    level: str
    prepared: PreparedCase
    before: StageArtifact | None
    after: StageArtifact | None
    series: Sequence[Inputs]
    drawn: Inputs | None = None
    expected: Sequence[Observation] = ()
    shown_by: Callable[[ExportedProgram], bool] | None = None

    @property
    def calls(self) -> tuple[Inputs, ...]:
        """Return the series of calls in which the finding showed: state carries over from call to call."""
        return (self.drawn,) if self.drawn else tuple(self.series)

    @property
    def inputs(self) -> Inputs:
        """Return the arguments of the call that shows the finding."""
        labels = [site.label for site in self.finding.on]
        return next((call for call in self.calls if call.label in labels), self.calls[0])

    @property
    def program_before(self) -> Any:
        """Return the program that the stage was given; None for a capture."""
        return self.before.program if self.before else None

    @property
    def program_after(self) -> Any:
        """Return the program that the stage made, or the module of a stage that makes no program; None if it raised."""
        if self.after is None:
            return None
        return self.after.callable() if self.after.program is None else self.after.program

    @property
    def module(self) -> torch.nn.Module:
        """Return the module of the case, with the weights that the stages share."""
        return self.prepared.fresh_module()
