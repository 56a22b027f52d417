"""Defects of capturing the module of a program again."""

from __future__ import annotations

from pytest_exportcheck.policy.known_defects.row import POSTDISPATCH, KnownDefect, because, beginning, named

_STAGES = ("retrace",)

#: Operators that run a region of the model.
_REGIONS = ("wrap_with_set_grad_enabled", "wrap_with_autocast")

ROWS: tuple[KnownDefect, ...] = (
    KnownDefect(
        id="retrace-region-mutations",
        title="retracing treats a buffer that a region without grad or with autocast mutates as the region's result, and copies the result to itself",
        issue="docs/known-defects/retrace-region-mutations.md",
        torch=">=2.13",
        stages=_STAGES,
        check="nodes",
        changes=("changed",),
        keys=("args",),
        causes=(because("buffer_is_region_result", *_REGIONS),),
    ),
    KnownDefect(
        id="loaded-constant-is-a-view",
        title="a loaded program with a tensor made in forward (torch.tensor) cannot be retraced: its constant is a view",
        issue="docs/known-defects/loaded-constant-is-a-view.md",
        torch=">=2.13",
        stages=_STAGES,
        check="stage",
        changes=("raised",),
        error_type="RuntimeError",
        error_contains=("Can't detach views in-place",),
    ),
    KnownDefect(
        id="loaded-attention-recapture",
        title="a loaded program with attention below autograd cannot be captured below autograd again: fake modes get mixed",
        issue="docs/known-defects/loaded-attention-recapture.md",
        torch=">=2.13",
        captures=POSTDISPATCH,
        stages=_STAGES,
        loaded=True,
        check="stage",
        changes=("raised",),
        error_type="AssertionError",
        error_contains=("fake mode (", "doesn't match mode ("),
        operators=beginning("aten._scaled_dot_product_"),
    ),
    KnownDefect(
        id="retrace-region-module-paths",
        title="retracing loses the paths of modules called in a region without grad or with autocast",
        issue="docs/known-defects/retrace-region-module-paths.md",
        torch=">=2.13",
        stages=_STAGES,
        check="metadata",
        changes=("changed",),
        keys=("nn_module_stack",),
        causes=(because("region"),),
        operators=named(*_REGIONS),
    ),
    KnownDefect(
        id="retrace-region-result-paths",
        title="retracing loses the module paths of the results of a region without grad or with autocast",
        issue="docs/known-defects/retrace-region-module-paths.md",
        torch=">=2.13",
        stages=_STAGES,
        check="metadata",
        changes=("changed",),
        keys=("nn_module_stack",),
        causes=(because("result_of_region", *_REGIONS),),
    ),
    KnownDefect(
        id="retrace-grows-module-stack",
        title="every retrace puts its own root before the keys of nn_module_stack: L__self__L__self__",
        issue="docs/known-defects/retrace-grows-module-stack.md",
        torch=">=2.13",
        stages=_STAGES,
        check="stability",
        changes=("changed",),
        keys=("nn_module_stack",),
        causes=(because("repeated_root"),),
    ),
)
