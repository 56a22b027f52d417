"""Defects of run_decompositions."""

from __future__ import annotations

from pytest_exportcheck.policy.known_defects.row import ANY_ENGINE, KnownDefect, Names, because, beginning, named

_STAGES = ("decompose",)

#: Attention, before and after torch chooses a kernel for it.
_ATTENTION: Names = beginning("aten.scaled_dot_product_attention", "aten._scaled_dot_product_")

ROWS: tuple[KnownDefect, ...] = (
    KnownDefect(
        id="lowered-subclass-output",
        title="a lowered program that returns a tensor subclass raises: it returns the tensors that it wraps, and expects one",
        issue="docs/known-defects/lowered-subclass-output.md",
        torch=">=2.13",
        stages=_STAGES,
        check="outputs",
        changes=("raised",),
        error_type="ValueError",
        error_contains=("treespec.unflatten(leaves): `leaves` has length ",),
        causes=(because("subclass_output"),),
    ),
    KnownDefect(
        id="lowering-drops-unused-random",
        title="lowering deletes a random operation whose result is not used: the generator no longer advances",
        issue="https://github.com/pytorch/pytorch/pull/157981",
        torch=">=2.13",
        stages=_STAGES,
        check="effects",
        changes=("dropped",),
        keys=("generator",),
    ),
    KnownDefect(
        id="attention-lowered-merges-lengths",
        title="decomposing attention makes the lengths of keys and values one symbol: lengths that differ are refused by shape",
        issue="docs/known-defects/attention-lowered-merges-lengths.md",
        torch=">=2.13",
        engines=ANY_ENGINE,  # they share torch's decompositions and symbols
        stages=_STAGES,
        check="constraints",
        changes=("changed",),
        keys=("relation_of_keys_and_values",),
    ),
    KnownDefect(
        id="attention-lowered-renames-symbols",
        title="decomposing attention also replaces a symbol in its input program",
        issue="docs/known-defects/attention-lowered-merges-lengths.md",
        torch=">=2.13",
        engines=ANY_ENGINE,
        stages=_STAGES,
        check="stage",
        changes=("edited",),
        keys=("program",),
        subjects=("metadata",),
        together_with="attention-lowered-merges-lengths",
    ),
    KnownDefect(
        id="loaded-lowering-drops-guards",
        title="lowering a loaded program drops its guards code; only what its shapes say is still refused",
        issue="docs/known-defects/loaded-lowering-drops-guards.md",
        torch=">=2.13",
        stages=_STAGES,
        loaded=True,
        check="constraints",
        changes=("accepted",),
        keys=("guard",),
    ),
    KnownDefect(
        id="loaded-lowering-derived-dims",
        title="a loaded program with a derived dim cannot be lowered",
        issue="docs/known-defects/loaded-lowering-derived-dims.md",
        torch=">=2.13",
        stages=_STAGES,
        loaded=True,
        check="stage",
        changes=("raised",),
        error_type="AssertionError",
        error_contains=("expected sympy.Symbol",),
    ),
    KnownDefect(
        id="attention-lowered-view",
        title="decomposing attention crashes where a view follows: the decomposition has other strides",
        issue="https://github.com/pytorch/pytorch/issues/136543",
        torch=">=2.13",
        engines=ANY_ENGINE,  # they share torch's decompositions
        stages=(*_STAGES, "onnx", "executorch_xnnpack"),  # torch.onnx.export and the partitioner decompose the program
        check="stage",
        changes=("raised",),
        error_contains=("Cannot view a tensor with shape ",),
        operators=_ATTENTION,
    ),
    KnownDefect(
        id="attention-lowered-stride",
        title="decomposed attention returns other strides than eager",
        issue="https://github.com/pytorch/pytorch/pull/169732",
        torch=">=2.13",
        engines=ANY_ENGINE,  # they share torch's decompositions
        stages=_STAGES,
        check="outputs",
        changes=("changed",),
        keys=("stride",),
        operators=_ATTENTION,
    ),
    KnownDefect(
        id="lowering-drops-no-grad",
        title="lowering drops regions without grad: gradients flow through them",
        issue="docs/known-defects/lowering-drops-no-grad.md",
        torch=">=2.13",
        stages=_STAGES,
        check="gradients",
        changes=("gained", "changed"),
        keys=("", "value"),
        operators=named("wrap_with_set_grad_enabled"),
    ),
    KnownDefect(
        id="lowering-drops-detach",
        title="lowering drops detach: gradients flow through it",
        issue="docs/known-defects/lowering-drops-no-grad.md",
        torch=">=2.13",
        stages=_STAGES,
        check="gradients",
        changes=("gained", "changed"),
        keys=("", "value"),
        operators=named("aten.detach.default"),
    ),
)
