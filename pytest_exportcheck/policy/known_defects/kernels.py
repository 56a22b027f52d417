"""Operators whose strides torch does not keep: metadata has others than the real result, or lowering returns others."""

from __future__ import annotations

from pytest_exportcheck.policy.known_defects.row import (
    ANY_ENGINE,
    KnownDefect,
    Names,
    about,
    because,
    beginning,
    named,
)


def _fake(row: str, title: str, operators: Names, *, issue: str, torch: str = ">=2.13") -> KnownDefect:
    """Return the row for a ``val`` whose strides are not those of the real result, at any stage and for any engine,
    because all engines use torch's fake kernels.
    """
    return KnownDefect(
        id=row,
        title=title,
        issue=issue,
        torch=torch,
        engines=ANY_ENGINE,
        check="val",
        changes=("changed",),
        keys=("stride",),
        causes=(about(operators),),
    )


def _lowered(row: str, title: str, operators: Names, *, issue: str) -> KnownDefect:
    """Return the row for a lowering that returns other strides than eager: the decompositions and kernels are torch's,
    whichever engine traces.
    """
    return KnownDefect(
        id=row,
        title=title,
        issue=issue,
        torch=">=2.13",
        engines=ANY_ENGINE,
        stages=("decompose",),
        check="outputs",
        changes=("changed",),
        keys=("stride",),
        operators=operators,
    )


_BATCH_NORM = named(
    "aten.batch_norm.default",
    "aten._batch_norm_impl_index.default",
    "aten._batch_norm_no_update.default",
    "aten._batch_norm_with_update.default",
    "aten._batch_norm_with_update_functional.default",
    "aten._native_batch_norm_legit.default",
    "aten._native_batch_norm_legit.no_stats",
    "aten._native_batch_norm_legit_functional.default",
    "aten._native_batch_norm_legit_no_training.default",
    "aten.cudnn_batch_norm.default",
    "aten.miopen_batch_norm.default",
    "aten.native_batch_norm.default",
)

ROWS: tuple[KnownDefect, ...] = (
    KnownDefect(
        id="conv3d-fake-stride",
        title="val of a 3d convolution on a channels-last input is contiguous where the real result is channels-last",
        issue="https://github.com/pytorch/pytorch/pull/177382",
        torch=">=2.13",
        engines=ANY_ENGINE,  # they share torch's fake kernels
        check="val",
        changes=("changed",),
        keys=("stride",),
        causes=(about(beginning("aten.conv")), because("memory_format", "channels_last_3d")),
    ),
    _fake(
        "batch-norm-fake-stride",
        "val of batch norm on a transposed input, in eval mode, has the stride of the input",
        _BATCH_NORM,
        issue="https://github.com/pytorch/pytorch/issues/192668",
    ),
    KnownDefect(
        id="batch-norm-fake-stride-lowered",
        title="lowering trusts the wrong stride of batch norm on a transposed input: the program fails at the call",
        issue="https://github.com/pytorch/pytorch/issues/192668",
        torch=">=2.13",
        engines=ANY_ENGINE,  # they share torch's fake kernels
        check="outputs",
        changes=("raised",),
        error_type="RuntimeError",
        error_contains=("view size is not compatible with input tensor's size and stride",),
        together_with="batch-norm-fake-stride",
    ),
    _fake(
        "eval-dropout-fake-stride",
        "val of dropout in eval mode is contiguous where the real result has the stride of the input",
        named("aten.dropout.default", "aten.dropout_.default"),
        issue="docs/known-defects/eval-dropout-fake-stride.md",
        torch=">=2.13,<2.14",
    ),
    _fake(
        "group-norm-fake-stride",
        "val of group norm on a channels-last input is contiguous where the real result is channels-last",
        named("aten.group_norm.default", "aten.native_group_norm.default"),
        issue="docs/known-defects/group-norm-fake-stride.md",
        torch=">=2.14",
    ),
    _fake(
        "log-sigmoid-fake-stride",
        "val of logsigmoid has the strides of the input where the real result is contiguous",
        named("aten.log_sigmoid.default", "aten.log_sigmoid_forward.default"),
        issue="docs/known-defects/log-sigmoid-stride.md",
    ),
    _lowered(
        "log-sigmoid-lowered-stride",
        "lowered logsigmoid keeps the strides of its input, eager returns a contiguous tensor",
        named("aten.log_sigmoid.default"),
        issue="docs/known-defects/log-sigmoid-stride.md",
    ),
    _fake(
        "roll-fake-stride",
        "val of roll on a channels-last input is contiguous where the real result is channels-last",
        named("aten.roll.default"),
        issue="docs/known-defects/roll-stride.md",
    ),
    _lowered(
        "roll-lowered-stride",
        "lowered roll returns a contiguous tensor, eager one in the layout of its input",
        named("aten.roll.default"),
        issue="docs/known-defects/roll-stride.md",
    ),
    _fake(
        "channel-shuffle-fake-stride",
        "val of channel shuffle on a channels-last input is contiguous where the real result is channels-last",
        named("aten.channel_shuffle.default"),
        issue="https://github.com/pytorch/pytorch/issues/197109",
    ),
    _lowered(
        "channel-shuffle-lowered-stride",
        "lowered channel shuffle returns a contiguous tensor, eager one in the layout of its input",
        named("aten.channel_shuffle.default"),
        issue="https://github.com/pytorch/pytorch/issues/197109",
    ),
    _fake(
        "max-pool-fake-stride",
        "val of max_pool1d has the strides of a transposed input where the real result is contiguous",
        named("aten.max_pool1d.default"),
        issue="docs/known-defects/max-pool-stride.md",
    ),
    _lowered(
        "max-pool-lowered-stride",
        "lowered max_pool1d keeps the strides of a transposed input, eager returns a contiguous tensor",
        named("aten.max_pool1d.default"),
        issue="docs/known-defects/max-pool-stride.md",
    ),
)
