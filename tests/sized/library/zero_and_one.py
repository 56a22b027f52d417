"""torch takes every dynamic size for two or more, and drops what it so decides: silently wrong at zero and at one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.export import Dim

from tests.sized.models import floats, of
from tests.sized.sized import Sized

BRANCHES = (
    Sized(
        id="branch-on-size-one",
        kind="differs",
        build=of(lambda x: x * 2 if x.shape[0] == 1 else x),
        sound=of(lambda x: x * torch.sym_ite(x.shape[0] == 1, 2, 1)),
        args=(floats(4, 3),),
        dynamic_shapes=({0: Dim("rows", min=1, max=10)},),
        minimal={"rows": 1},
    ),
    Sized(
        id="branch-on-an-empty-input",
        kind="differs",
        build=of(lambda x: x.new_zeros(1, 3) if x.shape[0] == 0 else x),
        sound=of(lambda x: x),
        args=(floats(5, 3),),
        dynamic_shapes=({0: Dim("rows", max=10)},),
        minimal={"rows": 0},
    ),
    Sized(
        id="size-as-truth-value",
        kind="differs",
        build=of(lambda x: (x + 1, x.sum(0)) if x.shape[0] else (x + 1, x.new_ones(3))),
        sound=of(lambda x: (x + 1, x.sum(0))),
        args=(floats(4, 3),),
        dynamic_shapes=({0: Dim("rows")},),
        minimal={"rows": 0},
    ),
    Sized(
        id="branch-on-more-than-one-of-a-middle-dim",
        kind="differs",
        build=of(lambda x: x.mean(1) if x.shape[1] > 1 else x.sum(1) * 3),
        sound=of(lambda x: x.mean(1)),
        args=(floats(2, 6, 3),),
        dynamic_shapes=({1: Dim("steps", min=1, max=32)},),
        minimal={"steps": 1},
    ),
    Sized(
        id="branch-on-half-a-size",
        kind="differs",
        build=of(lambda x: x - 1 if x.shape[0] // 2 == 0 else x),
        sound=of(lambda x: x - torch.sym_ite(x.shape[0] == 1, 1, 0)),
        args=(floats(6),),
        dynamic_shapes=({0: Dim("n", min=1, max=40)},),
        minimal={"n": 1},
    ),
    Sized(
        id="branch-on-a-reciprocal",
        kind="differs",
        build=of(lambda x: x if 1 / x.shape[0] < 1 else -x),
        sound=of(lambda x: x),
        args=(floats(3, 2),),
        dynamic_shapes=({0: Dim("n", min=1, max=8)},),
        minimal={"n": 1},
    ),
    Sized(
        id="truth-value-as-a-factor",
        kind="differs",
        build=of(lambda x: x + int(x.shape[0] == 1)),
        sound=of(lambda x: x + torch.sym_ite(x.shape[0] == 1, 1, 0)),
        args=(floats(7, 2),),
        dynamic_shapes=({0: Dim("n", min=1)},),
        minimal={"n": 1},
    ),
    Sized(
        id="length-of-a-tensor-under-strict",
        kind="differs",
        build=of(lambda x: x * 2 if len(x) == 1 else x),
        sound=of(lambda x: x),
        args=(floats(4, 3),),
        dynamic_shapes=({0: Dim("rows", min=1, max=10)},),
        minimal={"rows": 1},
        strict=True,
    ),
    Sized(
        id="branch-on-the-root-of-a-derived-dim",
        kind="differs",
        build=of(lambda x, y: y.sum() * x if x.shape[0] == 1 else x),
        sound=of(lambda x, y: x + y.sum() * 0),
        args=(floats(3), floats(6)),
        dynamic_shapes=({0: Dim("n", min=1, max=9)}, {0: 2 * Dim("n", min=1, max=9)}),
        minimal={"n": 1},
    ),
    Sized(
        id="branch-on-a-derived-dim",
        kind="differs",
        build=of(lambda x: x.flip(0) + 1 if x.shape[0] == 1 else x.flip(0)),
        sound=of(lambda x: x.flip(0)),
        args=(floats(5),),
        dynamic_shapes=({0: 2 * Dim("half", min=1, max=9) - 1},),
        minimal={"half": 1},
    ),
)


def _without_ones(x: Tensor) -> Tensor:
    return x.reshape([size for size in x.shape if size != 1])


SHAPES = (
    Sized(
        id="dims-of-size-one-left-out",
        kind="differs",
        build=of(_without_ones),
        sound=of(lambda x: x.reshape(x.shape)),
        args=(floats(4, 3),),
        dynamic_shapes=({0: Dim("rows", min=1, max=10)},),
        minimal={"rows": 1},
    ),
    Sized(
        id="dims-of-size-one-counted",
        kind="differs",
        build=of(lambda x: x * (1 + list(x.shape).count(1))),
        sound=of(lambda x: x * torch.sym_ite(x.shape[1] == 1, 2, 1)),
        args=(floats(3, 4),),
        dynamic_shapes=((None, Dim("columns", min=1, max=10)),),
        minimal={"columns": 1},
    ),
    Sized(
        id="shape-compared-as-a-whole",
        kind="differs",
        build=of(lambda x: x if x.shape == (1, 3) else x.cumsum(0) + 1),
        sound=of(lambda x: x.cumsum(0) + 1),
        args=(floats(4, 3),),
        dynamic_shapes=({0: Dim("rows", min=1, max=10)},),
        minimal={"rows": 1},
    ),
    Sized(
        id="number-of-elements-compared",
        kind="differs",
        build=of(lambda x: x * 2 if x.numel() == 3 else x),
        sound=of(lambda x: x * torch.sym_ite(x.shape[0] == 1, 2, 1)),
        args=(floats(4, 3),),
        dynamic_shapes=({0: Dim("rows", min=1, max=10)},),
        minimal={"rows": 1},
    ),
    Sized(
        id="at-least-one-row",
        kind="differs",
        build=of(lambda x: x.new_ones(max(x.shape[0], 1))),
        sound=of(lambda x: x.new_ones(x.shape[0])),
        args=(floats(4, 3),),
        dynamic_shapes=({0: Dim("rows", max=10)},),
        minimal={"rows": 0},
    ),
    Sized(
        id="sizes-sorted",
        kind="differs",
        build=of(lambda x: x.new_ones(sorted(x.shape))),
        sound=of(lambda x: x.new_ones([1, x.shape[0]])),
        args=(floats(4, 1),),
        dynamic_shapes=({0: Dim("rows", max=10)},),
        minimal={"rows": 0},
    ),
)

STRIDES = (
    Sized(
        id="transposed-is-contiguous",
        kind="differs",
        build=of(lambda x: x * 2 if x.t().is_contiguous() else x),
        sound=of(lambda x: x * torch.sym_ite(x.shape[0] == 1, 2, 1)),
        args=(floats(4, 3),),
        dynamic_shapes=({0: Dim("rows", min=1, max=10)},),
        minimal={"rows": 1},
    ),
    Sized(
        id="contiguity-returned",
        kind="differs",
        build=of(lambda x: (x + 1, x.transpose(1, 2).is_contiguous())),
        sound=of(lambda x: (x + 1, x.is_contiguous())),
        args=(floats(2, 3, 5),),
        dynamic_shapes=({2: Dim("steps", min=1, max=12)},),
        minimal={"steps": 1},
    ),
    Sized(
        id="stride-of-rows",
        kind="differs",
        build=of(lambda x: x * 2 if x.stride(0) == 1 else x),
        sound=of(lambda x: x * torch.sym_ite(x.shape[1] == 1, 2, 1)),
        args=(floats(4, 5),),
        dynamic_shapes=({0: Dim("rows", min=2, max=8), 1: Dim("columns", min=1, max=8)},),
        minimal={"rows": 2, "columns": 1},
    ),
    Sized(
        id="channels-last-where-one-pixel-is-left",
        kind="differs",
        build=of(lambda x: x * 2 if x.is_contiguous(memory_format=torch.channels_last) else x),
        sound=of(lambda x: x * torch.sym_ite(x.shape[2] * x.shape[3] == 1, 2, 1)),
        args=(floats(2, 3, 4, 5),),
        dynamic_shapes=({2: Dim("height", min=1, max=8), 3: Dim("width", min=1, max=8)},),
        minimal={"height": 1, "width": 1},
    ),
)

SEVERAL = (
    Sized(
        id="at-most-two-elements",
        kind="differs",
        build=of(lambda x: x + 1 if x.numel() <= 2 else x),
        sound=of(lambda x: x + torch.sym_ite(x.shape[0] * x.shape[1] <= 2, 1, 0)),
        args=(floats(4, 5),),
        dynamic_shapes=({0: Dim("height", min=1, max=8), 1: Dim("width", min=1, max=8)},),
        minimal={"height": 1, "width": 1},
    ),
    Sized(
        id="length-of-what-was-joined",
        kind="differs",
        build=of(lambda x, y: torch.cat([x, y]) * (3 if torch.cat([x, y]).shape[0] == 2 else 1)),
        sound=of(lambda x, y: torch.cat([x, y])),
        args=(floats(4), floats(5)),
        dynamic_shapes=({0: Dim("a", min=1, max=8)}, {0: Dim("b", min=1, max=8)}),
        minimal={"a": 1, "b": 1},
    ),
    Sized(
        id="one-of-three-sizes-is-one",
        kind="differs",
        build=of(lambda x, y, z: (x.sum() + y.sum(), z * 2 if 1 in z.shape else z)),
        sound=of(lambda x, y, z: (x.sum() + y.sum(), z * torch.sym_ite(z.shape[0] == 1, 2, 1))),
        args=(floats(4), floats(5), floats(6, 2)),
        dynamic_shapes=(
            {0: Dim("a", min=2, max=30)},
            {0: Dim("b", min=3, max=30)},
            {0: Dim("c", min=1, max=30)},
        ),
        minimal={"a": 2, "b": 3, "c": 1},
    ),
)

TEXTS = (
    Sized(
        id="table-by-the-text-of-a-size",
        kind="differs",
        build=of(lambda x: x * {"7": 2.0, "9": 3.0}.get(f"{x.shape[0]}", 1.0)),
        sound=of(lambda x: x),
        args=(floats(4, 3),),
        dynamic_shapes=({0: Dim("rows", min=1, max=10)},),
        minimal={"rows": 7},
    ),
    Sized(
        id="table-by-the-text-of-a-shape",
        kind="differs",
        build=of(lambda x: x + ("[13, " in str(x.shape))),
        sound=of(lambda x: x + torch.sym_ite(x.shape[0] == 13, 1, 0)),
        args=(floats(4, 2),),
        dynamic_shapes=({0: Dim("rows", min=1)},),
        minimal={"rows": 13},
    ),
)

ENTRIES = (*BRANCHES, *SHAPES, *STRIDES, *SEVERAL, *TEXTS)
