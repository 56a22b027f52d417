"""What a program enforces, made tighter than declared or looser: its ranges, its guards, the shapes in its metadata."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from torch.export import Dim, ExportedProgram
from torch.utils._sympy.value_ranges import ValueRanges

from tests.faults.editing import aten, faked, placeholder
from tests.sized.editing import After, size
from tests.sized.models import floats, of
from tests.sized.sized import Edit, Sized


def _refuses(
    name: str, edit: Edit, function: Callable[..., Any], args: Any, shapes: Any, at: Mapping[str, int]
) -> Sized:
    build = of(function)
    return Sized(
        id=name, kind="refuses", build=build, sound=build, edit=edit, args=args, dynamic_shapes=shapes, minimal=at
    )


def _accepts(name: str, edit: Edit, function: Callable[..., Any], args: Any, shapes: Any) -> Sized:
    build = of(function)
    return Sized(id=name, kind="accepts", build=build, sound=build, edit=edit, args=args, dynamic_shapes=shapes)


def _length(program: ExportedProgram, name: str, dim: int = 0) -> Any:
    """What the metadata says of the length of an input."""
    return placeholder(program, name).meta["val"].shape[dim]


def _range(name: str, lower: int, upper: int, dim: int = 0) -> Edit:
    def edit(program: ExportedProgram) -> None:
        program.range_constraints[_length(program, name, dim).node.expr] = ValueRanges(lower, upper)

    return edit


def _without_range(name: str, dim: int = 0) -> Edit:
    def edit(program: ExportedProgram) -> None:
        del program.range_constraints[_length(program, name, dim).node.expr]

    return edit


def _guard(*conditions: str) -> Edit:
    def edit(program: ExportedProgram) -> None:
        program._guards_code = [*program._guards_code, *conditions]

    return edit


def _guards(*conditions: str) -> Edit:
    """These guards and no others."""

    def edit(program: ExportedProgram) -> None:
        program._guards_code = list(conditions)

    return edit


def _said_to_have(name: str, change: Callable[[Any], Any]) -> Edit:
    """An input whose first dim is another one in the metadata."""

    def edit(program: ExportedProgram) -> None:
        meta = placeholder(program, name).meta
        val = meta["val"]
        meta["val"] = faked(val, shape=(change(val.shape[0]), *val.shape[1:]))

    return edit


def _of_one_symbol(program: ExportedProgram) -> None:
    """The rows of ``y`` are those of ``x``, the metadata says."""
    rows = _length(program, "x")
    _said_to_have("y", lambda _: rows)(program)


def _unrelated(program: ExportedProgram) -> None:
    """The rows of ``y`` are of a symbol of their own, and no guard is left."""
    program._guards_code = []
    fresh = _length(program, "y").node.shape_env.create_unbacked_symint()
    program.range_constraints[fresh.node.expr] = ValueRanges(3, 9)
    _said_to_have("y", lambda rows: fresh)(program)


def _both(*edits: Edit) -> Edit:
    def edit(program: ExportedProgram) -> None:
        for each in edits:
            each(program)

    return edit


def _asserted(program: ExportedProgram) -> None:
    """An assertion in the graph that there are not thirteen."""
    length = size(program, "x")
    then = After(length)
    holds = then(operator.ne, length, 13)
    then(aten._assert_scalar.default, holds, "there are thirteen")


_X = "L['x'].size()"

TIGHTER = (
    _refuses(
        "range-that-ends-early",
        _range("x", 2, 32),
        lambda x: x + 1,
        (floats(6),),
        ({0: Dim("n", min=2, max=64)},),
        {"n": 33},
    ),
    _refuses(
        "range-without-its-last-size",
        _range("x", 2, 99),
        lambda x: x * 2,
        (floats(6, 2),),
        ({0: Dim("n", min=2, max=100)},),
        {"n": 100},
    ),
    _refuses(
        "range-that-starts-late",
        _range("x", 4, 64),
        lambda x: x + 1,
        (floats(6),),
        ({0: Dim("n", min=1, max=64)},),
        {"n": 1},
    ),
    _refuses(
        "range-where-none-is-declared",
        _range("x", 0, 100),
        lambda x: x - 1,
        (floats(6),),
        ({0: Dim("n")},),
        {"n": 101},
    ),
    _refuses(
        "range-of-a-derived-dim-that-ends-early",
        _range("y", 2, 21),
        lambda x, y: x.sum() + y,
        (floats(3), floats(6)),
        ({0: Dim("n", min=1, max=40)}, {0: 2 * Dim("n", min=1, max=40)}),
        {"n": 11},
    ),
    _refuses(
        "range-of-the-second-dim-that-starts-late",
        _range("x", 5, 12, dim=1),
        lambda x: x.sum(1),
        (floats(4, 6),),
        ({0: Dim("height", min=2, max=8), 1: Dim("width", min=3, max=12)},),
        {"height": 2, "width": 3},
    ),
    _refuses(
        "guard-against-twenty-four",
        _guard(f"{_X}[0] != 24"),
        lambda x: x.exp(),
        (floats(6),),
        ({0: Dim("n", min=1, max=96)},),
        {"n": 24},
    ),
    _refuses(
        "guard-for-multiples-of-eight",
        _guard(f"{_X}[0] % 8 == 0"),
        lambda x: x.exp(),
        (floats(16),),
        ({0: Dim("n", min=8, max=96)},),
        {"n": 9},
    ),
    _refuses(
        "guard-against-longer-rows-than-columns",
        _guard(f"{_X}[0] <= {_X}[1]"),
        lambda x: x.t() + 1,
        (floats(4, 5),),
        ({0: Dim("height", min=2, max=9), 1: Dim("width", min=4, max=9)},),
        {"height": 5, "width": 4},
    ),
    _refuses(
        "guard-against-large-products",
        _guard(f"{_X}[0]*L['y'].size()[0] < 40"),
        lambda x, y: x[:, None] + y,
        (floats(4), floats(5)),
        ({0: Dim("a", min=2, max=8)}, {0: Dim("b", min=2, max=8)}),
        {"a": 5, "b": 8},
    ),
    _refuses(
        "guard-on-a-nested-input",
        _guard("L['x']['extra'][1].size()[0] != 17"),
        lambda x: x["tokens"].sum() + x["extra"][0].sum() + x["extra"][1],
        ({"tokens": floats(4), "extra": [floats(5), floats(6)]},),
        ({"tokens": {0: Dim("a", min=1, max=9)}, "extra": [None, {0: Dim("b", min=1, max=30)}]},),
        {"a": 1, "b": 17},
    ),
    _refuses(
        "dim-made-static",
        _said_to_have("x", lambda rows: 6),
        lambda x: x.sum(1),
        (floats(6, 2),),
        ({0: Dim("rows", min=3, max=20)},),
        {"rows": 3},
    ),
    _refuses(
        "two-dims-of-one-symbol",
        _of_one_symbol,
        lambda x, y: x.sum() + y,
        (floats(4), floats(4)),
        ({0: Dim("a", min=2, max=9)}, {0: Dim("b", min=2, max=9)}),
        {"a": 2, "b": 3},
    ),
    _refuses(
        "assertion-against-thirteen",
        _asserted,
        lambda x: x.sin(),
        (floats(6),),
        ({0: Dim("n", min=1)},),
        {"n": 13},
    ),
)

LOOSER = (
    _accepts(
        "range-that-ends-late",
        _range("x", 3, 64),
        lambda x: x * 2 if x.shape[0] > 10 else x + 1,
        (floats(6),),
        ({0: Dim("n", min=3, max=10)},),
    ),
    _accepts(
        "range-one-too-long",
        _range("x", 3, 11),
        lambda x: x.cumsum(0) if x.shape[0] != 11 else x,
        (floats(6),),
        ({0: Dim("n", min=3, max=10)},),
    ),
    _accepts(
        "range-one-too-early",
        _range("x", 4, 40),
        lambda x: x.sum(0) if x.shape[0] < 5 else x.mean(0),
        (floats(6, 2),),
        ({0: Dim("n", min=5, max=40)},),
    ),
    _accepts(
        "range-dropped",
        _without_range("x"),
        lambda x: x - 1 if x.shape[0] >= 4 else x,
        (floats(6),),
        ({0: Dim("n", min=4)},),
    ),
    _accepts(
        "range-of-one-of-two-dims-dropped",
        _without_range("x", dim=1),
        lambda x: x.sum(1) if 3 <= x.shape[1] <= 12 else x.mean(1),
        (floats(4, 5),),
        ({0: Dim("height", min=3, max=9), 1: Dim("width", min=3, max=12)},),
    ),
    _accepts(
        "guard-of-a-derived-dim-dropped",
        _guards(),
        lambda x, y: x.sum() + y if y.shape[0] == 2 * x.shape[0] else y,
        (floats(4), floats(8)),
        ({0: Dim("n", min=3, max=9)}, {0: 2 * Dim("n", min=3, max=9)}),
    ),
    _accepts(
        "guard-of-a-derived-dim-one-off",
        _guards("L['y'].size()[0] >= 2*L['x'].size()[0] - 1", "L['y'].size()[0] <= 2*L['x'].size()[0]"),
        lambda x, y: x.sum() + y if y.shape[0] == 2 * x.shape[0] - 1 else y,
        (floats(4), floats(7)),
        ({0: Dim("n", min=3, max=9)}, {0: 2 * Dim("n", min=3, max=9) - 1}),
    ),
    _accepts(
        "equal-dims-unrelated",
        _unrelated,
        lambda x, y: x.sum() + y if y.shape[0] == x.shape[0] else y,
        (floats(4), floats(4)),
        ({0: Dim("n", min=3, max=9)}, {0: Dim("n", min=3, max=9)}),
    ),
    _accepts(
        "square-no-longer-square",
        _both(_guards(), _without_range("x")),
        lambda x: x.sum(0) - x.sum(1).mean() if x.shape[0] == x.shape[1] else x.sum(0),
        (floats(5, 5),),
        ({0: Dim("n", min=4, max=9), 1: Dim("n", min=4, max=9)},),
    ),
)

ENTRIES = (*TIGHTER, *LOOSER)
