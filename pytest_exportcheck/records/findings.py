"""Evidence and findings: the input and the output of the checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pytest_exportcheck.records.budgets import Agreement
from pytest_exportcheck.records.cases import Rejection, Tolerance
from pytest_exportcheck.records.difference_origin import DifferenceOrigin
from pytest_exportcheck.records.levels import Levels, MetadataLevel
from pytest_exportcheck.records.observations import CallSite, Leaf, Observation, Raised, Rounding
from pytest_exportcheck.records.programs import Alignment, DeclaredDim, ProgramRecord
from pytest_exportcheck.records.state import CallSpecRecord, StateRecord
from pytest_exportcheck.records.vocabulary import field_of

Verdict: TypeAlias = Literal["broken", "known", "engine_error", "disagreement", "tolerated"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Refusal:
    """The reaction of a program to inputs that it must refuse: what it raised, or None."""

    rejection: Rejection
    raised: Raised | None


@dataclass(frozen=True, eq=False, kw_only=True)
class Record:
    """An artifact (or the eager module) as the checks see it. ``saved`` is a digest of each record of the archive that
    a serdes edge wrote, ``resaved`` of the one that saving its result again writes.

    ``modules`` has the class of every submodule by path, ``claimed`` further classes that graph modules name there, and
    ``untraced`` why operations of a module may have no line of code: "generated", "forward", "hooks" or "inputs".

    ``carries``, of eager in a random case: later outputs depend on the Python values that an earlier call changed; None
    where that is not known.

    ``samples`` are further calls at sampled sizes, if the program is compared with that of another engine.

    ``shows_state``: the state after a call can be read; that of a package of a runtime cannot.
    """

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
    samples: tuple[Observation, ...] | None = None
    shows_state: bool = True


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """The evidence of one stage of one mode, with the records before and after it: all that a check may use.

    ``contract`` is the column of the contract table for this stage: check name -> how strict it is here; ``fields`` the
    same for the keys of node metadata; ``alignment`` pairs the nodes of the two programs. ``module`` is the record of
    the eager module, whatever the stage; ``declared`` and ``given`` are what the case promises of its inputs, and the
    example. ``agreement`` is the budget that takes the place of closeness, where there is one. ``rounding`` is eager's own rounding by the label of the call. It is empty until a comparison needs it;
    ``unmeasured`` says why there is none.
    """

    case: str
    engine: str
    mode: str
    stage: str
    before: Record
    after: Record
    contract: Levels
    fields: Mapping[str, MetadataLevel] = field(default_factory=dict)
    alignment: Alignment | None = None
    module: Record | None = None
    declared: tuple[DeclaredDim, ...] = ()
    given: tuple[Leaf, ...] = ()
    tolerance: Tolerance | None = None
    agreement: Agreement | None = None
    random: bool = False
    rounding: Mapping[str, Rounding] = field(default_factory=dict)
    unmeasured: str = ""


#: The change of the field that a finding is about.
Change: TypeAlias = Literal[
    "accepted",  # inputs that must be refused
    "added",
    "as_json",  # changed to the nearest value that JSON has
    "changed",
    "constant",  # became a constant of the program
    "copied",  # into another storage
    "crashed",  # a check of a hook
    "defaulted",  # taken from the process
    "dropped",
    "dynamic",  # became dynamic
    "edited",  # what a stage was given
    "failed",  # the plugin at its own work
    "gained",
    "missing",
    "moved",  # an interval, to another one
    "narrowed",
    "raised",
    "refused",
    "renamed",
    "reordered",
    "static",  # became static
    "tied",
    "undefined",  # used before it is made
    "unguarded",  # inputs that no declared size describes, accepted
    "unread",  # dropped, and no output depends on it
    "unshared",  # no longer one storage
    "untied",  # no longer one tensor
    "untraced",  # missing because no forward() of the user was running
    "unwrapped",  # a tensor subclass became the tensors that it wraps
    "widened",
    "wrong",
]

CauseKind: TypeAlias = Literal[
    "attribute",  # of the module, that the tensor is in
    "autograd_function",  # that forward() calls
    "buffer_is_region_result",  # the result of this higher-order operator took the place of a buffer
    "builtin_name",  # that a placeholder has
    "fetched_again",  # a result of this operator, by the exporter
    "graph_module_attribute",  # that a name of the module collides with
    "keyword_in_path",  # of the module
    "memory_format",  # of the real result
    "module_not_there",  # a path that is not a submodule
    "node",  # the operator of the node that the finding is about
    "region",  # the higher-order operator in whose subgraph the node is
    "repeated_root",  # a retrace puts its root before the keys of the module stack again
    "result_of",  # the operator that the node takes a result of
    "result_of_region",  # the same, of a higher-order operator
    "root_missing",  # in nn_module_stack, of operations of the program
    "separator_in_path",  # a comma, semicolon or parenthesis in a path of the module
    "shared_argument",  # arguments of the example inputs that are one tensor
    "subclass_output",  # an output of eager that is a tensor subclass
    "subclass_state",  # of the module
    "tracing_tensor",  # the class of a tensor without data that a tracer left
    "undeclared_inputs",  # of the calls: a size, a dtype, a layout or channels_last that the case does not declare
    "untraced",  # why no forward() was running: "inputs", "hooks" or "forward"
    "wrapper_class",  # of torch's exporter, named in a module stack
]


@dataclass(frozen=True)
class Cause:
    """A circumstance that may explain a finding: a known defect needs it, or the user can avoid it."""

    kind: CauseKind
    name: str = ""


@dataclass(frozen=True)
class KnownAs:
    """A known defect of torch or of a runtime, and its public report."""

    id: str
    title: str
    issue: str = ""


@dataclass(frozen=True)
class Culprit:
    """The side that is probably at fault where two engines disagree: an engine, ``model``, or ``undecided``; and the
    facts that say so.
    """

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One difference.

    ``change`` is what happened, ``key`` the field that it happened to: ``dtype``, ``stack_trace``, ``guard``; empty
    where the change needs no field. ``subject`` is the kind of thing that ``place`` is, where that matters:
    ``placeholder``, ``parameter``. ``on`` are the calls that showed it, where it came from calls; ``error`` what was
    raised; ``causes`` what may explain it. ``line`` is the line of user code that it is about; ``known`` the known
    defect that explains it; ``fault_of`` the engine that has an ``engine_error``; ``operators`` are those that it is
    about, None where any operator of the program may be at fault. ``origin`` is where a difference of values starts.

    Of two engines that disagree, ``between`` has the names: ``expected`` is what the first one gave, ``actual`` what the
    second one gave; ``culprit`` is the one that is probably at fault.
    """

    check: str
    place: str
    change: Change
    key: str = ""
    subject: str = ""
    expected: str
    actual: str
    verdict: Verdict = "broken"
    detail: str = ""
    causes: tuple[Cause, ...] = ()
    error: Raised | None = None
    line: str = ""
    known: KnownAs | None = None
    fault_of: str = ""
    on: tuple[CallSite, ...] = ()
    operators: tuple[str, ...] | None = None
    origin: DifferenceOrigin | None = None
    between: tuple[str, ...] = ()
    culprit: Culprit | None = None

    @staticmethod
    def of(check: str) -> FindingsOf:
        """Return the factory for the findings of one check."""
        return FindingsOf(check)

    @property
    def known_as(self) -> str:
        """Return the id of the known defect that explains the finding; empty where none does."""
        return self.known.id if self.known else ""

    @property
    def identity(self) -> Identity:
        """Return the fields that identify the finding within an item."""
        return (self.check, self.place, self.change, self.key)

    @property
    def sort(self) -> Sort:
        """Return the kind of the finding, independent of its place."""
        return (self.check, self.change, self.key)

    @property
    def undeclared(self) -> str:
        """Return how the inputs of the calls differ from those that the case declares; empty for declared inputs."""
        return next((each.name for each in self.causes if each.kind == "undeclared_inputs"), "")

    @property
    def field(self) -> str:
        """Return the name of the field that differs, from the vocabulary."""
        return field_of(self.check, self.change, self.key, self.subject)

    @property
    def name(self) -> str:
        """Return ``check.field``, the finding's name in ini options."""
        return f"{self.check}.{self.field}"


Identity: TypeAlias = tuple[str, str, Change, str]
Sort: TypeAlias = tuple[str, Change, str]


@dataclass(frozen=True)
class FindingsOf:
    """A factory for the findings of one check."""

    check: str

    def at(
        self,
        place: str,
        change: Change,
        key: str,
        expected: object,
        actual: object,
        detail: str = "",
        *,
        subject: str = "",
        causes: tuple[Cause, ...] = (),
        error: Raised | None = None,
        line: str = "",
        on: tuple[CallSite, ...] = (),
        operators: tuple[str, ...] | None = None,
    ) -> Finding:
        """Return a finding about one place."""
        return Finding(
            check=self.check,
            place=place,
            change=change,
            key=key,
            subject=subject,
            expected=str(expected),
            actual=str(actual),
            detail=detail,
            causes=causes,
            error=error,
            line=line,
            on=on,
            operators=operators,
        )


Check: TypeAlias = Callable[[Evidence], Sequence[Finding]]
