"""torch neither enforces lower bounds up to two nor that a derived dim is a multiple: such sizes are accepted."""

from __future__ import annotations

import torch
from torch.export import Dim

from tests.sized.models import floats, of
from tests.sized.sized import Sized

_FEW = Dim("n", min=2, max=10)

ENTRIES = (
    Sized(
        id="one-below-a-lower-bound-of-two",
        kind="accepts",
        build=of(lambda x: x.var(0) if x.shape[0] > 1 else x.sum(0)),
        sound=of(lambda x: x.var(0)),
        args=(floats(4, 3),),
        dynamic_shapes=({0: _FEW},),
    ),
    Sized(
        id="nothing-below-a-lower-bound-of-one",
        kind="accepts",
        build=of(lambda x: x.sum(0) if x.shape[0] else x.new_ones(3)),
        sound=of(lambda x: x.sum(0)),
        args=(floats(4, 3),),
        dynamic_shapes=({0: Dim("rows", min=1)},),
    ),
    Sized(
        id="batch-norm-of-one-row",
        kind="accepts",
        build=of(lambda x: torch.nn.functional.batch_norm(x, None, None, training=True)),
        sound=of(lambda x: torch.nn.functional.layer_norm(x, (3,))),
        args=(floats(4, 3),),
        dynamic_shapes=({0: _FEW},),
    ),
    Sized(
        id="division-by-a-size-of-zero",
        kind="accepts",
        build=of(lambda x: x.new_ones(3) * (x.shape[0] // x.shape[0])),
        sound=of(lambda x: x.new_ones(3)),
        args=(floats(4),),
        dynamic_shapes=({0: Dim("n", min=1, max=12)},),
    ),
    Sized(
        id="odd-size-of-an-even-dim",
        kind="accepts",
        build=of(lambda x: x * (x.shape[0] // 2 * 2)),
        sound=of(lambda x: x * x.shape[0]),
        args=(floats(8),),
        dynamic_shapes=({0: 2 * Dim("half", min=3, max=8)},),
    ),
    Sized(
        id="root-of-zero-and-a-derived-dim-of-one",
        kind="accepts",
        build=of(lambda x, y: y * 2 + x.sum() if y.shape[0] == 1 else y + x.sum()),
        sound=of(lambda x, y: y + x.sum()),
        args=(floats(3), floats(4)),
        dynamic_shapes=({0: Dim("n", min=1, max=9)}, {0: Dim("n", min=1, max=9) + 1}),
    ),
    Sized(
        id="contiguous-below-a-lower-bound-of-two",
        kind="accepts",
        build=of(lambda x: x + 1 if x.t().is_contiguous() else x),
        sound=of(lambda x: x),
        args=(floats(4, 3),),
        dynamic_shapes=({0: Dim("rows", min=2)},),
    ),
)
