"""Defects that appear only at sizes other than those of the example."""

from __future__ import annotations

from pytest_exportcheck.policy.known_defects.row import ANY_ENGINE, STRICT, KnownDefect

#: Sizes are drawn by the fuzzer, and sampled where two engines are compared.
_STAGES = ("fuzz", "agree")

ROWS: tuple[KnownDefect, ...] = (
    KnownDefect(
        id="guards-refuse-zero-and-one",
        title="guards refuse a declared size of 0 or 1: capture assumes that every dynamic dim is at least 2",
        issue="https://github.com/pytorch/pytorch/issues/181097",
        torch=">=2.13",
        engines=ANY_ENGINE,  # module() makes the guards
        stages=_STAGES,
        check="sizes",
        changes=("narrowed",),
        error_type="AssertionError",
        error_contains=("Guard failed:",),
        sizes=(0, 1),
    ),
    KnownDefect(
        id="unflatten-refuses-zero",
        title="a module made by unflatten refuses a declared size of 0 or 1 of a derived dim",
        issue="docs/known-defects/unflatten-refuses-zero.md",
        torch=">=2.13",
        engines=ANY_ENGINE,  # unflatten is torch's
        stages=("fuzz",),
        after=("unflatten",),
        check="sizes",
        changes=("narrowed",),
        error_type="RuntimeError",
        error_contains=("Expected input ", "to be of the form"),
        sizes=(0, 1),
    ),
    KnownDefect(
        id="lower-bounds-up-to-two-dropped",
        title="a declared lower bound of 1 or 2 is not enforced: the program takes sizes 0 and 1, and may compute something else",
        issue="https://github.com/pytorch/pytorch/pull/100247",
        torch=">=2.13",
        engines=ANY_ENGINE,  # module() makes the checks of ranges
        stages=_STAGES,
        check="sizes",
        changes=("accepted",),
        sizes=(0, 1),
    ),
    KnownDefect(
        id="strict-narrows-negative-numbers",
        title="a program of a strict capture refuses negative numbers that its specification declares",
        issue="docs/known-defects/strict-refuses-negative-numbers.md",
        torch=">=2.14",
        captures=STRICT,
        stages=_STAGES,
        check="sizes",
        changes=("narrowed",),
        error_type="RuntimeError",
        error_contains=("Runtime assertion failed for expression u", " >= 0 on node "),
    ),
)
