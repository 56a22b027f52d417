"""The frozen data that passes between the layers. Standard library only.

Tensors appear here as ``Any``: a record may hold one, but no record knows torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Verdict: TypeAlias = Literal["broken", "known", "lost"]
Status: TypeAlias = Literal["passed", "known", "failed", "expected", "stale", "blocked", "unsupported", "error"]
StateKind: TypeAlias = Literal["parameter", "buffer", "attribute"]

# --- what a user declares -------------------------------------------------------------------


@dataclass(frozen=True)
class Origin:
    """Where something was declared."""

    module: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """How far outputs may lie apart: ``|got - expected| <= atol + rtol * max|expected|`` per tensor."""

    rtol: float
    atol: float


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """A declared, reasoned, strict expected failure of (engine, mode, check, torch versions).

    ``mode``, ``engine`` and ``check`` are globs; ``torch`` is a version specifier such as ``<2.15``.
    """

    mode: str
    engine: str
    check: str
    reason: str
    torch: str
    origin: Origin


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A model, example inputs, dynamic shapes and what is expected of them."""

    name: str
    build: Callable[[], object]
    origin: Origin
    args: object = None
    kwargs: object = None
    dynamic_shapes: object = None
    modes: tuple[str, ...] = ()
    engines: tuple[str, ...] = ("*",)
    tolerance: Tolerance | None = None
    tags: tuple[str, ...] = ()
    seed: int = 0
    context: Callable[[], AbstractContextManager[Any]] | None = None
    train: bool | None = False
    device: str | None = None
    random: bool = False
    expect: tuple[Expectation, ...] = ()
    doc: str = ""


# --- what a run did -------------------------------------------------------------------------


@dataclass(frozen=True)
class Inputs:
    """The arguments of one call, and what to call them in a message."""

    label: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


@dataclass(frozen=True)
class TensorFacts:
    """What a tensor is besides its values. ``stride`` is None for layouts that have none."""

    type: str
    shape: tuple[int, ...]
    dtype: str
    device: str
    layout: str
    stride: tuple[int, ...] | None
    requires_grad: bool
    has_grad_fn: bool


@dataclass(frozen=True, eq=False)
class Leaf:
    """One leaf of a pytree. ``value`` is a detached clone of a tensor, or the Python object itself."""

    place: str
    value: Any
    facts: TensorFacts | None = None


@dataclass(frozen=True)
class Raised:
    """An exception as text. ``where`` is the last line outside torch and this plugin, if there is one."""

    type: str
    message: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" + (f"\n(raised at {self.where})" if self.where else "")


@dataclass(frozen=True, eq=False, kw_only=True)
class Observation:
    """What one call of a callable did.

    ``inputs`` holds the input leaves whose values changed, as they were after the call; ``state`` the state
    tensors that differ from before the first call; ``aliases`` pairs of places that share storage;
    ``generator`` a digest of the default generators' state after the call.
    """

    label: str
    structure: Any = None
    outputs: tuple[Leaf, ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)
    aliases: frozenset[tuple[str, str]] = frozenset()
    generator: str = ""
    raised: Raised | None = None


# --- what an artifact carries ---------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class StateEntry:
    """One named tensor of a module. ``tied_to`` and ``shares_with`` are the first name of the same tensor
    object, and of the same storage."""

    name: str
    kind: StateKind
    persistent: bool
    value: Any
    facts: TensorFacts
    tied_to: str
    shares_with: str


@dataclass(frozen=True, eq=False)
class StateRecord:
    """All named tensors of a module, and the keys of its ``state_dict()`` in order."""

    entries: Mapping[str, StateEntry]
    order: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class CallSpecRecord:
    """How a callable is called and what it returns: pytree specs of ``(args, kwargs)`` and of the outputs.

    ``names`` are the names under which the program takes its inputs, None where it does not say.
    """

    inputs: Any
    outputs: Any
    names: tuple[str, ...] | None


@dataclass(frozen=True, eq=False, kw_only=True)
class Record:
    """An artifact (or the eager module) as the checks see it."""

    observations: tuple[Observation, ...]
    state: StateRecord | None = None
    call_spec: CallSpecRecord | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """All that a check may look at: one stage of one mode, with the records before and after it.

    ``contract`` is the row of the contract table for this stage: check name -> how strict it is here.
    """

    case: str
    engine: str
    mode: str
    stage: str
    before: Record
    after: Record
    contract: Mapping[str, str]
    tolerance: Tolerance | None = None
    random: bool = False


# --- what is reported -----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One difference. ``(check, place, kind)`` identifies it within an item.

    ``on`` names the calls that showed it, where it came from calls; ``known_as`` the known defect that explains it.
    """

    check: str
    place: str
    kind: str
    expected: str
    actual: str
    verdict: Verdict = "broken"
    detail: str = ""
    known_as: str = ""
    on: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.check, self.place, self.kind)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one item: what the reports read."""

    case: str
    engine: str
    mode: str
    status: Status
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)


Check: TypeAlias = Callable[[Evidence], Sequence[Finding]]
