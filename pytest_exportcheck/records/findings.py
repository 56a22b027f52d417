"""What the checks look at, and what they report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pytest_exportcheck.records.cases import Rejection, Tolerance
from pytest_exportcheck.records.observations import Leaf, Observation, Raised, Rounding
from pytest_exportcheck.records.programs import Alignment, DeclaredDim, ProgramRecord
from pytest_exportcheck.records.state import CallSpecRecord, StateRecord

Verdict: TypeAlias = Literal["broken", "known", "gap", "lost"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Refusal:
    """What a program did with inputs that it must refuse: what it raised, or None."""

    rejection: Rejection
    raised: Raised | None


@dataclass(frozen=True, eq=False, kw_only=True)
class Record:
    """An artifact (or the eager module) as the checks see it. ``saved`` is a digest of each record of the archive that
    a serdes edge wrote, ``resaved`` of the one that saving its result again writes.

    ``modules`` has the class of every submodule by path, ``claimed`` further classes that graph modules name there, and
    ``untraced`` why operations of a module may have no line of code: "generated", "forward", "hooks" or "inputs".

    ``carries``, of eager in a random case: later outputs depend on the Python values that an earlier call changed; None where
    that is not known."""

    observations: tuple[Observation, ...]
    state: StateRecord | None = None
    call_spec: CallSpecRecord | None = None
    program: ProgramRecord | None = None
    modules: Mapping[str, str] = field(default_factory=dict)
    claimed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    untraced: Mapping[str, str] = field(default_factory=dict)
    saved: Mapping[str, str] = field(default_factory=dict)
    resaved: Mapping[str, str] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()
    carries: bool | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """All that a check may look at: one stage of one mode, with the records before and after it.

    ``contract`` is the column of the contract table for this stage: check name -> how strict it is here; ``fields`` the
    same for the keys of node metadata; ``alignment`` pairs the nodes of the two programs. ``module`` is the record of the
    eager module, whatever the stage; ``declared`` and ``given`` are what the case promises of its inputs, and the example.
    ``rounding`` is eager's own rounding by the label of the call. It is empty until a comparison needs it; ``unmeasured`` says
    why there is none.
    """

    case: str
    engine: str
    mode: str
    stage: str
    before: Record
    after: Record
    contract: Mapping[str, str]
    fields: Mapping[str, str] = field(default_factory=dict)
    alignment: Alignment | None = None
    module: Record | None = None
    declared: tuple[DeclaredDim, ...] = ()
    given: tuple[Leaf, ...] = ()
    tolerance: Tolerance | None = None
    random: bool = False
    rounding: Mapping[str, Rounding] = field(default_factory=dict)
    unmeasured: str = ""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One difference. ``(check, place, kind)`` identifies it within an item.

    ``field`` is what the policy goes by, with the check: ``metadata.stack_trace``; empty where the kind says it.
    ``line`` is the line of user code that it is about; ``on`` names the calls that showed it, where it came from calls;
    ``known_as`` the known defect that explains it; ``fault_of`` the engine that has a ``gap``; ``operators`` are those that it is
    about, None where any operator of the program may be at fault.
    """

    check: str
    place: str
    kind: str
    expected: str
    actual: str
    field: str = ""
    verdict: Verdict = "broken"
    detail: str = ""
    line: str = ""
    known_as: str = ""
    fault_of: str = ""
    on: tuple[str, ...] = ()
    operators: tuple[str, ...] | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.check, self.place, self.kind)

    @property
    def text(self) -> str:
        """All that it says, as a pattern may look for it."""
        return "\n".join([f"{self.place}: {self.kind}", self.expected, self.actual, *filter(None, [self.detail])])

    @property
    def name(self) -> str:
        """``check.field``: what ini options and policy rows call it."""
        return f"{self.check}.{self.field or self.kind.replace(' ', '_')}"


Check: TypeAlias = Callable[[Evidence], Sequence[Finding]]
