"""Defects of torch's loader, with files of another engine."""

from __future__ import annotations

from pytest_exportcheck.policy.known_defects.row import KnownDefect, because

ROWS: tuple[KnownDefect, ...] = (
    KnownDefect(
        id="interop-names-with-separators",
        title="torch's loader drops the module paths of operations in a module whose name has a comma, semicolon or parenthesis",
        issue="https://github.com/pytorch/pytorch/issues/131941",
        torch=">=2.13",
        stages=("interop",),
        check="metadata",
        changes=("dropped",),
        keys=("nn_module_stack",),
        actual=("()",),
        causes=(because("separator_in_path"),),
    ),
)
