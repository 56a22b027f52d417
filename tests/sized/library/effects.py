"""Defects of one output, of a dtype or a shape, of a buffer or an input that is written to, and of nested inputs."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram
from torch.fx import Node

from tests.faults.editing import aten, call, use_instead
from tests.sized.editing import After, before, doubled_where, returned, size
from tests.sized.models import floats, indices, of
from tests.sized.sized import Build, Edit, Sized


def _sized(name: str, edit: Edit, build: Build, args: Any, shapes: Any, at: Mapping[str, int]) -> Sized:
    return Sized(
        id=name, kind="differs", build=build, sound=build, edit=edit, args=args, dynamic_shapes=shapes, minimal=at
    )


def _is(number: int) -> Callable[[After, Node], Node]:
    return lambda then, n: then(operator.eq, n, number)


class _Summing(torch.nn.Module):
    """Adds what it is given to a buffer."""

    total: Tensor
    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(3))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        self.total.add_(x.sum(0))
        self.calls.add_(1)
        return x * 2


def _doubled_in_place(x: Tensor, y: Tensor) -> Tensor:
    x.mul_(2)
    return y + 1


def _written_otherwise(target: str, test: Callable[[After, Node], Node], name: str) -> Edit:
    """What is written in place is twice as much where a test of a size is true."""

    def edit(program: ExportedProgram) -> None:
        length = size(program, name)
        writing = call(program, target)
        then = before(writing)
        factor = then(torch.sym_ite, test(then, length), 2, 1)
        written = writing.args[1]
        more = then(aten.mul.Tensor if isinstance(written, Node) else operator.mul, written, factor)
        writing.args = (writing.args[0], more)

    return edit


EFFECTS = (
    _sized(
        "buffer-alone-at-nine",
        _written_otherwise("aten.add_", _is(9), "x"),
        _Summing,
        (floats(4, 3),),
        ({0: Dim("rows", min=1, max=40)},),
        {"rows": 9},
    ),
    _sized(
        "buffer-alone-above-seventeen",
        _written_otherwise("aten.add_", lambda then, n: then(operator.gt, n, 17), "x"),
        _Summing,
        (floats(4, 3),),
        ({0: Dim("rows", min=1)},),
        {"rows": 18},
    ),
    _sized(
        "written-input-alone-at-odd-sizes",
        _written_otherwise("aten.mul_", lambda then, n: then(operator.eq, then(operator.mod, n, 2), 1), "y"),
        of(_doubled_in_place),
        (floats(4), floats(6, 2)),
        ({0: Dim("a", min=2, max=9)}, {0: Dim("b", min=4, max=20)}),
        {"a": 2, "b": 5},
    ),
    _sized(
        "second-output-above-ten",
        doubled_where(lambda then, n: then(operator.gt, n, 10), ("x", 0), place=1),
        of(lambda x: (x.sum(0), x.amax(0), x.amin(0))),
        (floats(4, 2),),
        ({0: Dim("n", min=1, max=40)},),
        {"n": 11},
    ),
    _sized(
        "third-output-where-two-sizes-are-equal",
        doubled_where(lambda then, a, b: then(operator.eq, a, b), ("x", 0), ("y", 0), place=2),
        of(lambda x, y: (x.sum(0), y.sum(0), x.sum(0) - y.sum(0) + 3)),
        (floats(4), floats(5)),
        ({0: Dim("a", min=2, max=9)}, {0: Dim("b", min=4, max=9)}),
        {"a": 4, "b": 4},
    ),
)


def _as_floats_at_twelve(program: ExportedProgram) -> None:
    """Whole numbers times one, which is no whole number at one size."""
    length = size(program, "x")
    value = returned(program)
    then = After(value)
    hit = then(operator.eq, length, 12)
    with program.graph.inserting_after(hit):
        one = program.graph.call_function(operator.getitem, ((1, 1.0), hit))
    one.meta = {**hit.meta, "val": 1}
    then.last = one
    use_instead(program, value, then(aten.mul.Tensor, value, one))


def _one_row_of_none(program: ExportedProgram) -> None:
    """A row of zeros where there is none."""
    length = size(program, "x")
    value = returned(program)
    then = After(value)
    rows = then(torch.sym_ite, then(operator.eq, length, 0), 1, 0)
    use_instead(program, value, then(aten.constant_pad_nd.default, value, [0, 0, 0, rows]))


def _one_row_more_at_thirteen(program: ExportedProgram) -> None:
    length = size(program, "x")
    value = returned(program)
    then = After(value)
    rows = then(torch.sym_ite, then(operator.eq, length, 13), 1, 0)
    more = then(aten.new_zeros.default, value, [rows])
    use_instead(program, value, then(aten.cat.default, [value, more]))


def _corrected(program: ExportedProgram) -> None:
    """Multiplied and divided by one less than the rows, as a variance with correction is."""
    length = size(program, "x")
    value = returned(program)
    then = After(value)
    less = then(aten.scalar_tensor.default, then(operator.sub, length, 1))
    use_instead(program, value, then(aten.div.Tensor, then(aten.mul.Tensor, value, less), less))


def _size_told_wrong(program: ExportedProgram) -> None:
    """One more than the size is returned where it is above eight."""
    told = returned(program, 1)
    more = After(returned(program))
    above = more(operator.gt, told, 8)
    use_instead(program, told, more(operator.add, told, more(torch.sym_ite, above, 1, 0)))


KINDS = (
    _sized(
        "other-dtype-at-twelve",
        _as_floats_at_twelve,
        of(lambda x: x + 1),
        (indices(5, below=7),),
        ({0: Dim("n", min=1, max=40)},),
        {"n": 12},
    ),
    _sized(
        "other-shape-at-zero",
        _one_row_of_none,
        of(lambda x: x * 2),
        (floats(4, 3),),
        ({0: Dim("rows", max=10)},),
        {"rows": 0},
    ),
    _sized(
        "one-row-more-at-thirteen",
        _one_row_more_at_thirteen,
        of(lambda x: x.relu()),
        (floats(4),),
        ({0: Dim("n", min=1, max=64)},),
        {"n": 13},
    ),
    _sized(
        "not-a-number-at-one",
        _corrected,
        of(lambda x: (x - x.mean(0)).square().mean(0) + 1),
        (floats(4, 3),),
        ({0: Dim("rows", min=1, max=20)},),
        {"rows": 1},
    ),
    _sized(
        "size-returned-too-large-above-eight",
        _size_told_wrong,
        of(lambda x: (x * 2, x.shape[0])),
        (floats(4, 3),),
        ({0: Dim("rows", min=1, max=20)},),
        {"rows": 9},
    ),
)


def _batch(x: dict[str, Any]) -> Tensor:
    first, second = x["extra"]
    total: Tensor = x["tokens"].sum(0) + first.sum() - second.sum() + 1
    return total


def _windows(x: list[Tensor], y: tuple[Tensor, dict[str, Tensor]]) -> dict[str, Tensor]:
    return {"total": x[0].sum() + x[1].sum() + 1, "mask": y[1]["mask"].logical_not(), "rest": y[0] * 2}


def _mask_turned(program: ExportedProgram) -> None:
    """The mask is turned round once more where the second of the list has ten."""
    length = size(program, "x_1")
    value = call(program, "aten.logical_not")
    then = After(value)
    turned = then(torch.sym_ite, then(operator.eq, length, 10), 1, 0)
    as_tensor = then(aten.scalar_tensor.default, turned, dtype=torch.bool)
    use_instead(program, value, then(aten.logical_xor.default, value, as_tensor))


NESTED = (
    _sized(
        "nested-in-a-dict-at-five",
        doubled_where(_is(5), ("x_extra_1", 0)),
        of(_batch),
        ({"tokens": floats(4, 3), "extra": [floats(6), floats(7)]},),
        ({"tokens": {0: Dim("rows", min=2, max=9)}, "extra": [{0: Dim("a", min=3, max=9)}, {0: Dim("b", min=2)}]},),
        {"rows": 2, "a": 3, "b": 5},
    ),
    _sized(
        "mask-turned-at-ten-of-a-list",
        _mask_turned,
        of(_windows),
        ([floats(3), floats(4)], (floats(2), {"mask": indices(6, below=2).bool()})),
        (
            [{0: Dim("a", min=1, max=9)}, {0: Dim("b", min=2, max=12)}],
            (None, {"mask": {0: Dim("c", min=1, max=9)}}),
        ),
        {"a": 1, "b": 10, "c": 1},
    ),
)

ENTRIES = (*EFFECTS, *KINDS, *NESTED)
