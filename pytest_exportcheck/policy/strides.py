"""Operators whose strides torch does not keep: metadata has others than the real result, or lowering returns others."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class WrongStrides:
    """A fact about an operator (glob) of the program before a stage (at a capture: of the captured one).

    ``where`` is the stage whose outputs have other strides; empty: ``val`` has, at any stage.
    """

    id: str
    title: str
    operator: str
    where: str = ""
    torch: str = ">=2.13"


WRONG_STRIDES: tuple[WrongStrides, ...] = (
    WrongStrides(
        id="group-norm-fake-stride",
        title="val of group norm on a channels-last input is contiguous where the real result is channels-last",
        operator="aten.*group_norm.default",
        torch=">=2.14",
    ),
    WrongStrides(
        id="log-sigmoid-fake-stride",
        title="val of logsigmoid has the strides of the input where the real result is contiguous",
        operator="aten.log_sigmoid*",
    ),
    WrongStrides(
        id="log-sigmoid-lowered-stride",
        title="lowered logsigmoid keeps the strides of its input, eager returns a contiguous tensor",
        operator="aten.log_sigmoid.default",
        where="decompose",
    ),
    WrongStrides(
        id="roll-fake-stride",
        title="val of roll on a channels-last input is contiguous where the real result is channels-last",
        operator="aten.roll.default",
    ),
    WrongStrides(
        id="roll-lowered-stride",
        title="lowered roll returns a contiguous tensor, eager one in the layout of its input",
        operator="aten.roll.default",
        where="decompose",
    ),
    WrongStrides(
        id="channel-shuffle-fake-stride",
        title="val of channel shuffle on a channels-last input is contiguous where the real result is channels-last",
        operator="aten.channel_shuffle.default",
    ),
    WrongStrides(
        id="channel-shuffle-lowered-stride",
        title="lowered channel shuffle returns a contiguous tensor, eager one in the layout of its input",
        operator="aten.channel_shuffle.default",
        where="decompose",
    ),
    WrongStrides(
        id="max-pool-fake-stride",
        title="val of max_pool1d has the strides of a transposed input where the real result is contiguous",
        operator="aten.max_pool1d.default",
    ),
    WrongStrides(
        id="max-pool-lowered-stride",
        title="lowered max_pool1d keeps the strides of a transposed input, eager returns a contiguous tensor",
        operator="aten.max_pool1d.default",
        where="decompose",
    ),
)
