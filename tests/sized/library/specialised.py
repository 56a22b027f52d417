"""The example's number in a symbol's place, in one node, and formulas that agree with another one at the example only."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch.export import Dim, ExportedProgram
from torch.fx import Node

from tests.faults.editing import aten, call, set_argument, use_instead
from tests.sized.editing import After, before, returned, size, with_argument
from tests.sized.models import floats, of
from tests.sized.sized import Edit, Sized

_ROWS = Dim("rows", min=1, max=40)


def _sized(
    name: str,
    edit: Edit,
    function: Callable[..., Any],
    args: Any,
    shapes: Any,
    at: Mapping[str, int],
    kind: Literal["differs", "refuses"] = "differs",
) -> Sized:
    build = of(function)
    return Sized(id=name, kind=kind, build=build, sound=build, edit=edit, args=args, dynamic_shapes=shapes, minimal=at)


STALE = (
    _sized(
        "view-of-the-examples-rows",
        with_argument("aten.view", 1, [6, 2, 2]),
        lambda x: x.view(x.shape[0], 2, 2),
        (floats(6, 4),),
        ({0: _ROWS},),
        {"rows": 1},
        "refuses",
    ),
    _sized(
        "expanded-to-the-examples-rows",
        with_argument("aten.expand", 1, [6, 3]),
        lambda x: x.sum(0).expand(x.shape[0], 3) + 1,
        (floats(6, 3),),
        ({0: Dim("rows", min=2)},),
        {"rows": 2},
    ),
    _sized(
        "counted-to-the-examples-rows",
        with_argument("aten.arange", 0, 6),
        lambda x: (x.sum(), torch.arange(x.shape[0])),
        (floats(6),),
        ({0: Dim("n", min=4, max=9)},),
        {"n": 4},
    ),
    _sized(
        "filled-to-the-examples-columns",
        with_argument("aten.full", 0, [3, 5]),
        lambda x: torch.full((3, x.shape[1]), 2.0),
        (floats(3, 5),),
        ({0: None, 1: Dim("columns", min=1, max=12)},),
        {"columns": 1},
    ),
    _sized(
        "sliced-at-the-examples-length",
        with_argument("aten.slice", 3, 5),
        lambda x: x[: x.shape[0] - 1] * 1.0,
        (floats(6, 2),),
        ({0: Dim("n", min=3, max=20)},),
        {"n": 3},
    ),
    _sized(
        "mean-over-the-examples-rows",
        with_argument("aten.div.Tensor", 1, 6),
        lambda x: x.sum(0) / x.shape[0],
        (floats(6, 3),),
        ({0: _ROWS},),
        {"rows": 1},
    ),
    _sized(
        "mask-up-to-the-examples-length",
        with_argument("aten.lt.Scalar", 1, 6),
        lambda x, y: torch.where(torch.arange(y.shape[0]) < x.shape[0], y, 0.0) + x.sum(),
        (floats(6), floats(10)),
        ({0: Dim("filled", min=2, max=9)}, {0: Dim("room", min=8, max=12)}),
        {"filled": 2, "room": 8},
    ),
    _sized(
        "one-of-two-uses-of-a-size",
        with_argument("aten.mul.Tensor", 1, 6, number=1),
        lambda x: (x * x.shape[0], x.sum(0) * x.shape[0]),
        (floats(6, 2),),
        ({0: Dim("n", min=2)},),
        {"n": 2},
    ),
    _sized(
        "widths-of-the-example-in-a-stack-of-two",
        with_argument("aten.repeat", 1, [1, 4]),
        lambda x, y: x.repeat(1, y.shape[1]),
        (floats(3, 2), floats(2, 4)),
        ({0: Dim("a", min=1, max=7)}, {1: Dim("b", min=1, max=7)}),
        {"a": 1, "b": 1},
    ),
    _sized(
        "rows-of-the-example-joined-with-others",
        with_argument("aten.new_zeros", 1, [4]),
        lambda x, y: torch.cat([x.new_zeros(x.shape[0]), y]),
        (floats(4), floats(5)),
        ({0: Dim("a", min=4, max=9)}, {0: Dim("b", min=2, max=9)}),
        {"a": 5, "b": 2},
    ),
)


def _formula(target: Any, make: Callable[[After, Node], Node]) -> Edit:
    """Another formula of the length of ``x`` for the first call of a function of sizes."""

    def edit(program: ExportedProgram) -> None:
        old = next(node for node in program.graph.nodes if node.target is target)
        length = size(program, "x")
        new = make(After(old), length)
        old.replace_all_uses_with(new, delete_user_cb=lambda user: user > new)

    return edit


FORMULAS = (
    _sized(
        "three-more-for-twice",
        _formula(operator.mul, lambda then, n: then(operator.add, n, 3)),
        lambda x: x.new_ones(x.shape[0] * 2),
        (floats(3),),
        ({0: Dim("n", min=3, max=40)},),
        {"n": 4},
    ),
    _sized(
        "twice-for-the-square",
        _formula(operator.mul, lambda then, n: then(operator.mul, n, 2)),
        lambda x: x.sum(0) * (x.shape[0] * x.shape[0]),
        (floats(2, 3),),
        ({0: Dim("n", min=2, max=40)},),
        {"n": 3},
    ),
    _sized(
        "twice-less-nothing-for-twice-less-one",
        _formula(operator.sub, lambda then, n: then(operator.add, n, 4)),
        lambda x, y: y.new_ones(x.shape[0] * 2 - 1) + y,
        (floats(5), floats(9)),
        ({0: Dim("n", min=5, max=9)}, {0: 2 * Dim("n", min=5, max=9) - 1}),
        {"n": 6},
        "refuses",
    ),
    _sized(
        "half-rounded-down-for-half-rounded-up",
        _formula(operator.floordiv, lambda then, n: then(operator.floordiv, n, 2)),
        lambda x: x + (x.shape[0] + 1) // 2,
        (floats(6),),
        ({0: Dim("n", min=4, max=40)},),
        {"n": 5},
    ),
    _sized(
        "blocks-of-four-with-one-too-many",
        _formula(operator.floordiv, lambda then, n: then(operator.add, then(operator.floordiv, n, 4), 1)),
        lambda x: x * ((x.shape[0] + 3) // 4),
        (floats(6),),
        ({0: Dim("n", min=5, max=40)},),
        {"n": 8},
    ),
)


def _capped(program: ExportedProgram) -> None:
    """The last row is looked for among the first six."""
    select = call(program, "aten.select")
    length = size(program, "x")
    then = before(select)
    set_argument(select, 2, then(operator.sub, then(torch.sym_min, length, 6), 1))


def _padded_when_full(program: ExportedProgram) -> None:
    """A whole block of padding where none is needed."""
    pad = call(program, "aten.pad")
    length = size(program, "x")
    then = before(pad)
    set_argument(pad, 1, [0, then(operator.sub, 4, then(operator.mod, length, 4))])


def _cut(program: ExportedProgram) -> None:
    """What is returned has seven rows at the most."""
    value = returned(program)
    use_instead(program, value, After(value)(aten.slice.Tensor, value, 0, 0, 7))


def _in_two_parts(program: ExportedProgram) -> None:
    """A window of four is taken off the front and put back."""
    value = returned(program)
    then = After(value)
    window = then(aten.narrow.default, value, 0, 0, 4)
    rest = then(aten.slice.Tensor, value, 0, 4)
    use_instead(program, value, then(aten.cat.default, [window, rest]))


def _nothing_for_everything(program: ExportedProgram) -> None:
    """All but the first eight by counting from the end: nothing is left where that counts to zero."""
    mask = call(program, "aten.ge.Scalar")
    length = size(program, "x")
    then = After(mask)
    beyond = then(operator.add, then(operator.mod, length, 16), 0)
    kept = then(aten.ne.Scalar, then(aten.scalar_tensor.default, beyond), 0)
    use_instead(program, mask, then(aten.logical_and.default, mask, kept))


EDGES = (
    _sized(
        "last-row-among-the-first-six",
        _capped,
        lambda x: x[-1] + 1,
        (floats(5, 2),),
        ({0: Dim("n", min=1, max=40)},),
        {"n": 7},
    ),
    _sized(
        "mask-that-ends-one-late",
        with_argument("aten.lt.Scalar", 1, 9),
        lambda x: torch.where(torch.arange(x.shape[0]) < 8, x, 0.0),
        (floats(6),),
        ({0: Dim("n", min=1, max=40)},),
        {"n": 9},
    ),
    _sized(
        "index-held-one-too-low",
        with_argument("aten.clamp", 2, 10),
        lambda x: torch.arange(20.0)[torch.arange(x.shape[0]).clamp(None, 11)] + x.sum(),
        (floats(6),),
        ({0: Dim("n", min=1)},),
        {"n": 12},
    ),
    _sized(
        "cut-at-seven",
        _cut,
        lambda x: x * 2 + 1,
        (floats(6, 2),),
        ({0: Dim("n", min=1, max=9)},),
        {"n": 8},
    ),
    _sized(
        "window-longer-than-the-input",
        _in_two_parts,
        lambda x: x * 2 + 1,
        (floats(6, 2),),
        ({0: Dim("n", min=2, max=9)},),
        {"n": 2},
        "refuses",
    ),
    _sized(
        "padding-where-nothing-is-missing",
        _padded_when_full,
        lambda x: torch.nn.functional.pad(x, (0, -x.shape[0] % 4)),
        (floats(6),),
        ({0: Dim("n", min=5, max=40)},),
        {"n": 8},
    ),
    _sized(
        "nothing-left-where-a-count-wraps",
        _nothing_for_everything,
        lambda x: torch.where(torch.arange(x.shape[0]) >= 8, x, 0.0),
        (floats(10),),
        ({0: Dim("n", min=9, max=40)},),
        {"n": 16},
    ),
)

ENTRIES = (*STALE, *FORMULAS, *EDGES)
