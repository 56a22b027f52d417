"""Names in a module that programs cannot have."""

from __future__ import annotations

from pytest_exportcheck.policy.known_defects.row import ANY_ENGINE, KnownDefect, because

ROWS: tuple[KnownDefect, ...] = (
    KnownDefect(
        id="keyword-in-path",
        title="a path of the module with a Python keyword (heads.class.weight) makes code that cannot be parsed; rename it",
        issue="https://github.com/pytorch/pytorch/issues/188538",
        torch=">=2.13",
        engines=ANY_ENGINE,  # the program's module() is torch's for every engine
        check="stage",
        changes=("raised",),
        error_type="SyntaxError",
        error_contains=("(<eval_with_key>",),
        causes=(because("keyword_in_path"),),
        always_fails=True,
    ),
    KnownDefect(
        id="name-of-graph-module",
        title="a buffer, parameter or submodule called code or graph makes a program that cannot be called; rename it",
        issue="docs/known-defects/name-of-graph-module.md",
        torch=">=2.13",
        engines=ANY_ENGINE,  # the program's module() is torch's for every engine
        check="stage",
        changes=("raised",),
        error_type="KeyError",
        error_contains=("' already exists\"",),
        causes=(because("graph_module_attribute"),),
        always_fails=True,
    ),
    KnownDefect(
        id="copies-rename-placeholders",
        title="copying a program renames a placeholder that has the name of a Python builtin (input), but not in the signature",
        issue="https://github.com/pytorch/pytorch/pull/133269",
        torch=">=2.13",
        engines=ANY_ENGINE,  # copies of graphs are torch's
        check="signature",
        changes=("changed",),
        keys=("name",),
        causes=(because("builtin_name"),),
    ),
    KnownDefect(
        id="copies-renamed-refused",
        title="the verifiers refuse a copied program with a placeholder that has the name of a Python builtin",
        issue="https://github.com/pytorch/pytorch/pull/133269",
        torch=">=2.13",
        engines=ANY_ENGINE,
        check="verifiers",
        changes=("refused",),
        error_contains=("Input spec name ", " does not match node name "),
        together_with="copies-rename-placeholders",
    ),
)
