"""The two sides of a comparison: what each engine's program is, and what it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pytest_exportcheck.records import CallSite, Culprit, Evidence, Finding, KnownAs, Raised, Record

UNDECIDED = "undecided"


@dataclass(frozen=True, eq=False, kw_only=True)
class Side:
    """An engine, the record of its capture, and the findings of this capture when it was compared with eager."""

    engine: str
    record: Record
    own: Sequence[Finding]

    def failing(self, *checks: str) -> list[Finding]:
        """Return the findings of these checks that are not tolerated."""
        return [each for each in self.own if each.check in checks and each.verdict != "tolerated"]


@dataclass(frozen=True, eq=False, kw_only=True)
class SizedPair:
    """One call at sampled sizes by both programs, and by eager where the two differ.

    ``about`` names the dims that have another size than in the example; ``declared`` is None where the case leaves the
    sizes to the capture, and ``below`` says that they are below a declared bound. ``raised`` is what each side raised,
    ``own`` how each side differs from eager, and ``between`` how the two differ from each other.
    """

    about: str
    site: CallSite
    declared: bool | None
    below: bool = False
    raised: tuple[Raised | None, Raised | None]
    eager_raised: Raised | None = None
    own: tuple[Sequence[Finding], Sequence[Finding]] = ((), ())
    between: Sequence[Finding] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Pair:
    """Two sides, as the evidence of an edge from the first one to the second one; ``sized`` are calls at other sizes,
    of which ``sampled`` were made.
    """

    one: Side
    other: Side
    evidence: Evidence
    sized: Sequence[SizedPair] = ()
    sampled: int = 0

    @property
    def names(self) -> tuple[str, str]:
        """Return the names of the engines."""
        return (self.one.engine, self.other.engine)

    def finding(self, finding: Finding, name: str, reason: str, known: KnownAs | None = None) -> Finding:
        """Return a difference between the two sides, with the likely culprit, and the known defect of it."""
        return replace(
            finding,
            verdict="known" if known else "disagreement",
            known=known,
            between=self.names,
            culprit=Culprit(name, reason),
        )
