"""torch makes guards of what the example decides about several or about derived dims: declared sizes are refused."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.export import Dim

from tests.sized.models import floats, of
from tests.sized.sized import Sized

_HEIGHT, _WIDTH = Dim("height", min=1, max=9), Dim("width", min=1, max=9)
_HALF = Dim("half", min=1, max=8)

_BRANCHES = (
    Sized(
        id="guard-that-two-dims-differ",
        kind="refuses",
        build=of(lambda x: x * 2 if x.shape[0] == x.shape[1] else x),
        sound=of(lambda x: x * torch.sym_ite(x.shape[0] == x.shape[1], 2, 1)),
        args=(floats(4, 5),),
        dynamic_shapes=({0: Dim("height", min=3, max=9), 1: Dim("width", min=2, max=9)},),
        minimal={"height": 3, "width": 3},
    ),
    Sized(
        id="guard-that-one-dim-is-not-longer",
        kind="refuses",
        build=of(lambda x, y: x.sum() + y if x.shape[0] > y.shape[0] else x.sum() - y),
        sound=of(lambda x, y: x.sum() + y * torch.sym_ite(x.shape[0] > y.shape[0], 1, -1)),
        args=(floats(4), floats(5)),
        dynamic_shapes=({0: Dim("a", min=1, max=9)}, {0: Dim("b", min=1, max=9)}),
        minimal={"a": 2, "b": 1},
    ),
    Sized(
        id="guard-on-a-sum-of-dims",
        kind="refuses",
        build=of(lambda x, y: torch.cat([x, y]) * (2 if x.shape[0] + y.shape[0] == 8 else 1)),
        sound=of(lambda x, y: torch.cat([x, y]) * torch.sym_ite(x.shape[0] + y.shape[0] == 8, 2, 1)),
        args=(floats(4), floats(5)),
        dynamic_shapes=({0: Dim("a", min=1, max=9)}, {0: Dim("b", min=1, max=9)}),
        minimal={"a": 1, "b": 7},
    ),
    Sized(
        id="guard-that-a-product-is-a-multiple",
        kind="refuses",
        build=of(lambda x: x.flatten() if x.numel() % 4 == 0 else x.flatten() * 2),
        sound=of(lambda x: x.flatten() * torch.sym_ite(x.numel() % 4 == 0, 1, 2)),
        args=(floats(4, 5),),
        dynamic_shapes=({0: _HEIGHT, 1: _WIDTH},),
        minimal={"height": 1, "width": 1},
    ),
    Sized(
        id="guard-that-a-product-is-large",
        kind="refuses",
        build=of(lambda x: x.softmax(0) if x.numel() > 12 else x.softmax(1)),
        sound=of(lambda x: x.softmax(0)),
        args=(floats(4, 5),),
        dynamic_shapes=({0: Dim("height", min=2, max=9), 1: Dim("width", min=5, max=9)},),
        minimal={"height": 2, "width": 5},
    ),
    Sized(
        id="guard-that-a-derived-dim-is-not-two",
        kind="refuses",
        build=of(lambda x: x + 1 if x.shape[0] == 2 else x),
        sound=of(lambda x: x + torch.sym_ite(x.shape[0] == 2, 1, 0)),
        args=(floats(6, 2),),
        dynamic_shapes=({0: 2 * _HALF},),
        minimal={"half": 1},
    ),
    Sized(
        id="guard-that-a-derived-dim-is-not-a-number-in-its-middle",
        kind="refuses",
        build=of(lambda x: x + 1 if x.shape[0] == 21 else x),
        sound=of(lambda x: x + torch.sym_ite(x.shape[0] == 21, 1, 0)),
        args=(floats(5),),
        dynamic_shapes=({0: 2 * Dim("half", min=2, max=30) - 1},),
        minimal={"half": 11},
    ),
    Sized(
        id="guard-that-a-derived-dim-is-even",
        kind="refuses",
        build=of(lambda x: x * 2 if x.shape[0] % 2 else x),
        sound=of(lambda x: x * torch.sym_ite(x.shape[0] % 2 == 1, 2, 1)),
        args=(floats(6),),
        dynamic_shapes=({0: Dim("n", min=1, max=20) + 3},),
        minimal={"n": 2},
    ),
    Sized(
        id="guard-that-a-quotient-is-not-whole",
        kind="refuses",
        build=of(lambda x, y: x * math.floor((y.shape[0] // x.shape[0]) / 2)),
        sound=of(lambda x, y: x * (y.shape[0] // x.shape[0] // 2)),
        args=(floats(5), floats(12)),
        dynamic_shapes=({0: Dim("a", min=3, max=12)}, {0: Dim("b", min=4, max=24)}),
        minimal={"a": 3, "b": 6},
    ),
)


def _counts(x: Tensor) -> Tensor:
    kinds = (x > 5).long()
    return torch.zeros(x.shape[0], dtype=torch.int64).index_add(0, kinds, torch.ones_like(kinds))


_LENGTHS = (
    Sized(
        id="pairs-of-a-derived-dim",
        kind="refuses",
        build=of(lambda x: x.view(-1, 2).sum(1)),
        sound=of(lambda x: (x + x.roll(-1))[torch.arange(x.shape[0]) % 2 == 0]),
        args=(floats(6),),
        dynamic_shapes=({0: 2 * _HALF},),
        minimal={"half": 1},
    ),
    Sized(
        id="first-half-of-a-derived-dim",
        kind="refuses",
        build=of(lambda x: x[: x.shape[0] // 2] * 1.0),
        sound=of(lambda x: x[torch.arange(x.shape[0]) < x.shape[0] // 2] * 1.0),
        args=(floats(6, 2),),
        dynamic_shapes=({0: 2 * _HALF},),
        minimal={"half": 1},
    ),
    Sized(
        id="halves-of-an-empty-derived-dim",
        kind="refuses",
        build=of(lambda x: x.chunk(2)[0] * 1.0),
        sound=of(lambda x: x[torch.arange(x.shape[0]) < x.shape[0] // 2] * 1.0),
        args=(floats(6, 2),),
        dynamic_shapes=({0: 2 * Dim("half", max=8)},),
        minimal={"half": 0},
    ),
    Sized(
        id="rows-of-another-input-with-the-same-dim",
        kind="refuses",
        build=of(lambda x, y: y.view(x.shape[0], -1) * 2),
        sound=of(lambda x, y: y.unsqueeze(1) * 2 + 0 * x.sum()),
        args=(floats(3), floats(3)),
        dynamic_shapes=({0: Dim("n", min=1, max=9)}, {0: Dim("n", min=1, max=9)}),
        minimal={"n": 1},
    ),
    Sized(
        id="outer-product-viewed-the-other-way",
        kind="refuses",
        build=of(lambda x, y: (x[:, None] * y).view(y.shape[0], x.shape[0])),
        sound=of(lambda x, y: (x[:, None] * y).flatten()),
        args=(floats(4), floats(5)),
        dynamic_shapes=({0: Dim("a", min=2, max=9)}, {0: Dim("b", min=3, max=9)}),
        minimal={"a": 3, "b": 3},
    ),
    Sized(
        id="slice-past-the-end-of-a-table",
        kind="refuses",
        build=of(lambda x, y: torch.arange(12.0)[: x.shape[0] + y.shape[0]].sum() + x),
        sound=of(lambda x, y: torch.arange(12.0)[torch.arange(12) < x.shape[0] + y.shape[0]].sum() + x),
        args=(floats(4), floats(5)),
        dynamic_shapes=({0: Dim("a", min=1, max=8)}, {0: Dim("b", min=1, max=8)}),
        minimal={"a": 5, "b": 8},
    ),
    Sized(
        id="one-window-of-what-was-joined",
        kind="refuses",
        build=of(lambda x, y: torch.nn.functional.conv1d(torch.cat([x, y])[None, None], torch.ones(1, 1, 6))),
        sound=of(
            lambda x, y: torch.nn.functional.conv1d(torch.cat([x, y])[None, None], torch.ones(1, 1, 6), padding=5)
        ),
        args=(floats(4), floats(5)),
        dynamic_shapes=({0: Dim("a", min=2, max=9)}, {0: Dim("b", min=4, max=9)}),
        minimal={"a": 2, "b": 4},
    ),
    Sized(
        id="count-of-one-kind",
        kind="refuses",
        build=of(lambda x: torch.bincount((x > 5).long(), minlength=x.shape[0])),
        sound=of(_counts),
        args=(floats(4),),
        dynamic_shapes=({0: Dim("n", min=1, max=12)},),
        minimal={"n": 1},
    ),
)


class _Keeping(torch.nn.Module):
    """Keeps the last input as its buffer, or only adds to it."""

    def __init__(self, keeps: bool) -> None:
        super().__init__()
        self.register_buffer("last", torch.zeros(4, 3))
        self.keeps = keeps

    def forward(self, x: Tensor) -> Tensor:
        if self.keeps:
            self.last = x.clone()
        else:
            self.last.add_(x.sum())
        return x + 1


_STATE = (
    Sized(
        id="buffer-replaced-by-one-of-another-size",
        kind="refuses",
        build=lambda: _Keeping(True),
        sound=lambda: _Keeping(False),
        args=(floats(4, 3),),
        dynamic_shapes=({0: Dim("rows", min=2, max=9)},),
        minimal={"rows": 2},
    ),
    Sized(
        id="buffer-filled-with-a-single-row",
        kind="differs",
        build=lambda: _Keeping(True),
        sound=lambda: _Keeping(False),
        args=(floats(4, 3),),
        dynamic_shapes=({0: Dim("rows", min=1, max=9)},),
        minimal={"rows": 1},
    ),
)

ENTRIES = (*_BRANCHES, *_LENGTHS, *_STATE)
