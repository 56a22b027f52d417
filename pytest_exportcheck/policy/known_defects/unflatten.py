"""Defects of torch.export.unflatten."""

from __future__ import annotations

from pytest_exportcheck.policy.known_defects.row import ANY_ENGINE, KnownDefect, because, named

_STAGES = ("unflatten",)

ROWS: tuple[KnownDefect, ...] = (
    KnownDefect(
        id="unflatten-unshares-views",
        title="unflatten gives separate storages to buffers that are views of one storage",
        issue="docs/known-defects/unflatten-unshares-views.md",
        torch=">=2.13",
        engines=ANY_ENGINE,  # unflatten is torch's
        stages=_STAGES,
        check="state",
        changes=("unshared",),
    ),
    KnownDefect(
        id="unflatten-graph-module",
        title="a program of a graph module cannot be called once it is unflattened: operations lack the root in nn_module_stack",
        issue="docs/known-defects/unflatten-graph-module.md",
        torch=">=2.13",
        engines=ANY_ENGINE,  # unflatten is torch's
        stages=_STAGES,
        check="outputs",
        changes=("raised",),
        error_type="ValueError",
        error_contains=(
            "treespec.unflatten(leaves): `leaves` has length ",
            " but the spec refers to a pytree that holds ",
        ),
        causes=(because("root_missing"),),
    ),
    KnownDefect(
        id="subclass-weights-unflatten",
        title="a program with a weight of a tensor subclass cannot be unflattened",
        issue="docs/known-defects/subclass-weights-unflatten.md",
        torch=">=2.13",
        stages=_STAGES,
        check="stage",
        changes=("raised",),
        error_type="ValueError",
        error_contains=("not enough values to unpack (expected at least 1, got 0)",),
        operators=named("export.access_subclass_inner_tensor.default"),
    ),
    KnownDefect(
        id="unflatten-drops-vmap-calls",
        title="unflatten drops the calls that begin and end torch.vmap: the module raises",
        issue="docs/known-defects/unflatten-drops-vmap-calls.md",
        torch=">=2.13",
        stages=_STAGES,
        check="outputs",
        changes=("raised",),
        error_type="RuntimeError",
        error_contains=("Either your tensor may have escaped from inside a function being vmapped",),
    ),
)
