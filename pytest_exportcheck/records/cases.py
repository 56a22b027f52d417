"""Cases: the data that a user declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from pytest_exportcheck.records.budgets import Agreement

#: The largest seed that every random generator accepts, also after a few are added.
LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Origin:
    """The place of a declaration."""

    module: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """The largest allowed distance of outputs: ``|got - expected| <= atol + rtol * max|expected|`` per tensor.

    Parameters
    ----------
    rtol
        The part of the largest absolute expected value of the tensor, without a unit.
    atol
        The absolute part, in the unit of the tensor.
    """

    rtol: float
    atol: float


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """A declared, reasoned, strict expected failure of (engine, mode, check, torch versions).

    ``case`` is a glob on ``path::name`` or on the name only, empty where the expectation is part of the case; ``mode``,
    ``engine`` and ``check`` are globs; ``error`` a regular expression that is searched for in the text of a finding;
    ``torch`` a version specifier such as ``<2.15``. ``form`` is how it is written in its file.
    """

    reason: str
    origin: Origin
    case: str = ""
    mode: str = "*"
    engine: str = "*"
    check: str = "*"
    error: str = ""
    torch: str = ""
    form: str = "expect_failure"

    @property
    def names_several(self) -> bool:
        """Return whether it may name more than one item."""
        return any(sign in glob for glob in (self.case, self.mode, self.engine) for sign in "*?[")

    @property
    def place(self) -> str:
        """Return the text to delete, and where it is."""
        words = f"{self.form}({self.mode!r}, ...)" if self.form == "expect_failure" else self.form
        return f"{words} at {self.origin}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Rejection:
    """A refusal that must happen: ``at`` is ``capture``, an edge, or ``call``; a call is made with ``args`` and
    ``kwargs``.

    ``kind`` is the kind of error, ``*`` any; ``error`` a regular expression that is searched for in ``Type: message``.
    """

    at: str
    origin: Origin
    kind: str = "*"
    error: str = ""
    args: object = None
    kwargs: object = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Fallback:
    """A case that a source checks instead if a capture refuses the dynamic dims that the source gave a model by
    default.

    ``note`` says what is dynamic then: "length from 4 to 32".
    """

    case: Case
    note: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A model, example inputs, dynamic shapes and the expectations on them.

    ``agreement`` has budgets by the name of the runtime, ``*`` for all others; ``samples`` are named inputs.
    ``fallbacks`` are for dynamic dims that a source chose for this model; the first one that a capture accepts is used.
    """

    name: str
    build: Callable[[], object]
    origin: Origin
    args: object = None
    kwargs: object = None
    dynamic_shapes: object = None
    modes: tuple[str, ...] = ()
    engines: tuple[str, ...] = ("*",)
    tolerance: Tolerance | None = None
    agreement: Mapping[str, Agreement] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    seed: int = 0
    context: Callable[[], AbstractContextManager[Any]] | None = None
    train: bool | None = False
    device: str | None = None
    random: bool = False
    expect: tuple[Expectation, ...] = ()
    rejects: tuple[Rejection, ...] = ()
    inputs: Callable[..., Any] | None = None
    sizes: tuple[Mapping[str, int], ...] = ()
    samples: Mapping[str, object] = field(default_factory=dict)
    fallbacks: tuple[Fallback, ...] = ()

    def rejected_at(self, place: str) -> tuple[Rejection, ...]:
        """Return the refusals that must happen at ``capture``, at an edge, or at a ``call``."""
        return tuple(each for each in self.rejects if each.at == place)

    def agreement_of(self, runtime: str) -> Agreement | None:
        """Return the budget of a runtime, None where its outputs must be close."""
        return self.agreement.get(runtime, self.agreement.get("*"))
