"""The sound programs that faults are injected into: small modules, each with what one kind of fault needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch.export import Dim
from torch.fx.traceback import preserve_node_meta

from pytest_exportcheck.records import Case, Origin
from tests.faults.modules import (
    Attending,
    Branching,
    Counted,
    Counting,
    Drawing,
    Gated,
    Hooked,
    Imaged,
    Layered,
    Learning,
    Masked,
    Merging,
    Normed,
    Padded,
    Pair,
    Remembering,
    Resizing,
    Settled,
    Stepping,
    Structured,
    Tallying,
    Tied,
    Viewing,
    annotated_as_a_whole,
    encoder,
    numbers,
    resizable,
)
from tests.scaled import Quantised

_PADDING = torch.tensor([[False, False, True], [False, True, True]])
_ROWS = Dim("rows", min=3, max=16)


def _case(name: str, build: Callable[[], torch.nn.Module], args: object, **options: object) -> Case:
    return Case(name=name, build=build, origin=Origin(__name__, __file__, 1), args=args, **options)  # type: ignore[arg-type]


_CASES = (
    _case("layered", Layered, (numbers(3, 3), numbers(3, 3))),
    _case("annotated", Layered, (numbers(3, 3), numbers(3, 3)), context=preserve_node_meta),
    _case("annotated_whole", Layered, (numbers(3, 3), numbers(3, 3)), context=annotated_as_a_whole),
    _case("quantised", Quantised, (numbers(3, 4),)),
    _case("normed", Normed, (numbers(3, 4),)),
    _case("branching", Branching, (numbers(3),), context=preserve_node_meta),
    _case(
        "resizing",
        Resizing,
        resizable,
        dynamic_shapes={"x": {0: _ROWS, 1: 4}, "y": {0: 2 * _ROWS}, "z": {0: Dim.DYNAMIC}},
    ),
    _case(
        "merging",
        Merging,
        (numbers(5, 4), numbers(6, 4), numbers(6, 4)),
        dynamic_shapes={"query": {0: Dim.DYNAMIC}, "keys": {0: Dim.DYNAMIC}, "values": {0: Dim.DYNAMIC}},
    ),
    _case("shortened", torch.nn.ReLU, (numbers(9),), dynamic_shapes={"input": {0: _ROWS - 1}}),
    _case("hooked", Hooked, (numbers(2, 3),)),
    _case("traced", lambda: torch.fx.symbolic_trace(Pair()), (numbers(2, 3),)),
    _case("counted", Counted, (torch.tensor([2, 2]), numbers(4, 2))),
    _case(
        "structured",
        Structured,
        ([numbers(2), numbers(2) * 5], {"one": numbers(2), "two": numbers(2) * 3}),
        kwargs={"flag": numbers(2)},
    ),
    _case("counting", Counting, (numbers(2), numbers(2))),
    _case("viewing", Viewing, (numbers(2, 3),)),
    _case("drawing", Drawing, (numbers(4),)),
    _case("tied", Tied, (numbers(3),)),
    _case(
        "imaged",
        Imaged,
        lambda: (numbers(4, 3, 2, 3).to(memory_format=torch.channels_last),),
        dynamic_shapes={"x": {0: Dim("batch", max=16)}},
    ),
    _case("masked", Masked, (numbers(2, 2, 3, 4),)),
    _case("settled", Settled, (numbers(2, 2, 3, 4),)),
    _case("gated", Gated, (numbers(2, 3),)),
    _case("attending", Attending, lambda: (torch.randn(2, 7, 16),)),
    _case("stepping", Stepping, (torch.tensor([0.1, 0.7, 1.2]),)),
    _case("served", encoder, lambda: (torch.randn(2, 5, 8),), context=torch.no_grad),
    _case("served_half", lambda: encoder().half(), lambda: (torch.randn(2, 5, 8).half(),), context=torch.no_grad),
    _case("padded", Padded, lambda: (torch.randn(2, 3, 8), _PADDING.clone()), context=torch.no_grad),
    _case("remembering", Remembering, (numbers(3),)),
    _case("tallying", Tallying, (numbers(3), {"scale": numbers(3)}), random=True),
    _case("learning", Learning, lambda: (numbers(3).requires_grad_(),)),
)
MODELS: Mapping[str, Case] = {case.name: case for case in _CASES}
