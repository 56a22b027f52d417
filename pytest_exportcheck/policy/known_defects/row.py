"""A row of the known defects: the conditions on the findings that it explains."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_exportcheck.records import CauseKind, Change

#: Stages that capture a program.
STRICT = ("strict", "strict_postdispatch")
NONSTRICT = ("nonstrict", "nonstrict_postdispatch")
TRAINING = ("nonstrict", "strict")
POSTDISPATCH = ("nonstrict_postdispatch", "strict_postdispatch")
CAPTURES = (*NONSTRICT, *STRICT)

#: Any engine: the code at fault is torch's, and all engines use it.
ANY_ENGINE = ()


@dataclass(frozen=True)
class Names:
    """Names, or the beginnings of names where torch has many of one kind. Without any, every name is one of them."""

    exact: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()

    def has(self, name: str) -> bool:
        """Return True if a name is one of them."""
        any_name = not self.exact and not self.prefixes
        return any_name or name in self.exact or (bool(self.prefixes) and name.startswith(self.prefixes))


ANY_NAME = Names()


def named(*names: str) -> Names:
    """Return names that match exactly these."""
    return Names(frozenset(names))


def beginning(*prefixes: str) -> Names:
    """Return names that match every name with one of these prefixes."""
    return Names(prefixes=prefixes)


@dataclass(frozen=True)
class Because:
    """A cause that a finding must have, of one of these kinds."""

    kinds: tuple[CauseKind, ...]
    names: Names = ANY_NAME


def because(kind: CauseKind, *names: str) -> Because:
    """Return a cause of this kind, with one of these names if any is given."""
    return Because((kind,), named(*names) if names else ANY_NAME)


def about(operators: Names) -> Because:
    """Return the condition that the node of the finding calls one of these operators."""
    return Because(("node",), operators)


@dataclass(frozen=True, kw_only=True)
class KnownDefect:
    """A genuine defect of torch or of a runtime: the findings that it explains are ``known``. Of a tuple any entry must
    match; an empty one matches everything.

    ``issue`` is the public report of the defect, ``runtime`` the distribution that has it, with its versions
    (``executorch>=1.4``), where that is not torch. ``stages`` are names of stages or of columns of the contract;
    ``after`` of the stage before; ``loaded``: an earlier stage saved and loaded the program. ``sizes`` are sizes of
    which a call that showed it must have one. ``operators`` are those of which the program before the stage (at a
    capture: the captured one) must have one. ``error_type``, ``error_contains`` (all of these texts) and
    ``error_function`` (of torch, that raised) are about what was raised, ``logged_contains`` about what torch logged
    before. ``together_with`` is the id of a row that must explain another finding of the same item. ``always_fails``:
    under every profile, because there is no program to ship and the model has a remedy.
    """

    id: str
    title: str
    issue: str
    torch: str
    runtime: str = ""
    check: str
    changes: tuple[Change, ...] = ()
    keys: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    engines: tuple[str, ...] = ("torch",)
    stages: tuple[str, ...] = ()
    captures: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    loaded: bool = False
    expected: tuple[str, ...] = ()
    actual: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    operators: Names = ANY_NAME
    causes: tuple[Because, ...] = ()
    error_type: str = ""
    error_contains: tuple[str, ...] = ()
    error_function: str = ""
    logged_contains: str = ""
    together_with: str = ""
    always_fails: bool = False
