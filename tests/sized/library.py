"""The library: each entry is small, and wrong in one way at some sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from sympy import Integer
from torch.export import Dim, ExportedProgram
from torch.utils._sympy.value_ranges import ValueRanges

from tests.sized.sized import Calls, Sized, count, wrong_where

X = torch.linspace(-1, 1, 6)
MATRIX = torch.linspace(-1, 1, 24).reshape(6, 4)


def double(_: Calls, x: torch.Tensor, *rest: torch.Tensor) -> Any:
    return x * 2


def triple(_: Calls, x: torch.Tensor, *rest: torch.Tensor) -> Any:
    return x * 3


def at(name: str, condition: Callable[[torch.Tensor], Any], minimal: int, low: int = 1, high: int | None = 10) -> Sized:
    """Wrong where the one dim meets a condition."""
    return Sized(
        id=name,
        eager=double,
        program=wrong_where(lambda x: condition(count(x)), double, triple),
        args=(X,),
        dynamic_shapes=({0: Dim("n", min=low, max=high)},),
        minimal={"n": minimal},
    )


ONE_DIM = (
    at("only-one", lambda n: n == 1, 1),
    at("only-two", lambda n: n == 2, 2),
    at("only-zero-rows-and-one", lambda n: n <= 1, 1, low=1),
    at("only-upper-bound", lambda n: n == 10, 10),
    at("only-below-upper-bound", lambda n: n == 15, 15, high=16),
    at("only-lower-bound", lambda n: n == 3, 3, low=3),
    at("only-above-lower-bound", lambda n: n == 4, 4, low=3),
    at("twice-the-example", lambda n: n == 12, 12, high=40),
    at("three-times-the-example", lambda n: n == 18, 18, high=None),
    at("all-but-the-example", lambda n: n != 6, 1),
    at("above-the-example", lambda n: n > 6, 7),
    at("below-the-example", lambda n: n < 6, 2, low=2),
    at("odd", lambda n: n % 2 == 1, 3, low=2),
    at("multiple-of-five", lambda n: n % 5 == 0, 5),
    at("multiple-of-eight", lambda n: n % 8 == 0, 8, high=100),
    at("multiple-of-seven-and-large", lambda n: (n % 7 == 0) & (n > 30), 35, high=100),
    at("two-modulo-five", lambda n: n % 5 == 2, 7, low=3),
    at("power-of-two", lambda n: (n & (n - 1)) == 0, 4, low=3, high=64),
    at("one-above-a-power-of-two", lambda n: n == 17, 17, high=None),
    at("one-below-a-power-of-two", lambda n: n == 255, 255, high=None),
    at("a-power-of-two-without-a-bound", lambda n: n == 64, 64, high=None),
    at("one-size-far-inside", lambda n: n == 37, 37, high=100),
    at("one-size-of-a-thousand", lambda n: n == 777, 777, high=1000),
    at("one-size-by-arithmetic", lambda n: 2 * n - 3 == 71, 37, high=100),
    at("above-two-hundred", lambda n: n > 200, 201, high=None),
    at("a-band-of-sizes", lambda n: (n >= 40) & (n < 44), 40, high=128),
)


def pair(
    name: str, condition: Callable[..., Any], a: int, b: int, high: int = 9, example: tuple[int, int] = (6, 5)
) -> Sized:
    """Wrong where two independent dims meet a condition, which those of the example do not."""
    return Sized(
        id=name,
        eager=double,
        program=wrong_where(lambda x, y: condition(count(x), count(y)), double, triple),
        args=(torch.linspace(-1, 1, example[0]), torch.zeros(example[1])),
        dynamic_shapes=({0: Dim("a", min=1, max=high)}, {0: Dim("b", min=1, max=high)}),
        minimal={"a": a, "b": b},
    )


TWO_DIMS = (
    pair("two-dims-equal", lambda a, b: a == b, 1, 1),
    pair("two-dims-equal-and-large", lambda a, b: (a == b) & (a > 4), 5, 5),
    pair("two-dims-different", lambda a, b: a != b, 1, 2, example=(4, 4)),
    pair("first-larger", lambda a, b: a > b, 2, 1, example=(3, 5)),
    pair("second-larger", lambda a, b: a < b, 1, 2),
    pair("one-twice-the-other", lambda a, b: a == 2 * b, 2, 1),
    pair("sum-of-ten", lambda a, b: a + b == 10, 1, 9),
    pair("both-at-their-bound", lambda a, b: (a == 9) & (b == 9), 9, 9),
    pair("second-is-one", lambda a, b: b == 1, 1, 1),
    pair("product-overflows", lambda a, b: (a * b).to(torch.int8) != a * b, 2, 64, high=64),
)


def wrong_at(size: int, x: torch.Tensor, right: Any, wrong: Any) -> torch.Tensor:
    return torch.where(count(x) == size, wrong, right)


def pooled(tree: dict[str, Any]) -> torch.Tensor:
    return tree["first"].sum() + tree["rest"][0].sum()


def mean(_: Calls, x: torch.Tensor) -> torch.Tensor:
    return x.sum() / x.shape[0]


def kept(module: Calls, x: torch.Tensor) -> torch.Tensor:
    module.total.add_(x.sum())
    return x * 2


def kept_wrong_at_seven(module: Calls, x: torch.Tensor) -> torch.Tensor:
    module.total.add_(wrong_at(7, x, x.sum(), x.sum() + 1))
    return x * 2


def incremented(_: Calls, x: torch.Tensor) -> torch.Tensor:
    x.add_(1)
    return x * 2


def incremented_wrong_at_five(_: Calls, x: torch.Tensor) -> torch.Tensor:
    x.add_(wrong_at(5, x, torch.tensor(1.0), torch.tensor(2.0)))
    return wrong_at(5, x, x * 2, x * 2 - 2)


HALF, THIRD = Dim("half", min=1, max=20), Dim("third", min=1, max=20)

#: What the numbers stand for in the program: sizes of the example, bounds off by one, sums over too few, ...
FUNCTIONS = (
    Sized(
        id="mean-over-the-example-size",
        eager=mean,
        program=lambda _, x: x.sum() / 6,
        args=(X,),
        dynamic_shapes=({0: Dim("n", min=1, max=9)},),
        minimal={"n": 1},
    ),
    Sized(
        id="positions-of-the-example",
        eager=lambda _, x: x + torch.arange(x.shape[0]),
        program=lambda _, x: x + torch.arange(x.shape[0]) % 6,
        args=(X,),
        dynamic_shapes=({0: Dim("n", min=1, max=9)},),
        minimal={"n": 7},
    ),
    Sized(
        id="mask-one-too-long",
        eager=lambda _, x: x * (torch.arange(x.shape[0]) < 4),
        program=lambda _, x: x * (torch.arange(x.shape[0]) <= 4),
        args=(X[:3],),
        dynamic_shapes=({0: Dim("n", min=1, max=9)},),
        minimal={"n": 5},
    ),
    Sized(
        id="last-row-left-out",
        eager=lambda _, x: x.sum(0),
        program=lambda _, x: (x * (torch.arange(x.shape[0]) < 8).unsqueeze(1)).sum(0),
        args=(MATRIX,),
        dynamic_shapes=({0: Dim("n", min=1, max=12)},),
        minimal={"n": 9},
    ),
    Sized(
        id="variance-of-one",
        eager=lambda _, x: x.var(0),
        program=lambda _, x: x.var(0).nan_to_num(0.0),
        args=(MATRIX,),
        dynamic_shapes=({0: Dim("n", min=1, max=12)},),
        minimal={"n": 1},
    ),
    Sized(
        id="maximum-of-few",
        eager=lambda _, x: x.abs().cumsum(0).amax(),
        program=lambda _, x: (x.abs().cumsum(0) * (torch.arange(x.shape[0]) < 8)).amax(),
        args=(X,),
        dynamic_shapes=({0: Dim("n", min=1, max=20)},),
        minimal={"n": 9},
    ),
    Sized(
        id="second-output",
        eager=lambda _, x: (x * 2, x * 3),
        program=lambda _, x: (x * 2, wrong_at(9, x, x * 3, x)),
        args=(X,),
        dynamic_shapes=({0: Dim("n", min=1, max=20)},),
        minimal={"n": 9},
    ),
    Sized(
        id="buffer",
        eager=kept,
        program=kept_wrong_at_seven,
        args=(X,),
        dynamic_shapes=({0: Dim("n", min=1, max=20)},),
        minimal={"n": 7},
    ),
    Sized(
        id="mutated-input",
        eager=incremented,
        program=incremented_wrong_at_five,
        args=(X,),
        dynamic_shapes=({0: Dim("n", min=1, max=20)},),
        minimal={"n": 5},
    ),
    Sized(
        id="derived-cut-at-the-example",
        eager=lambda _, x, y: x * y.sum(),
        program=lambda _, x, y: x * (y * (torch.arange(y.shape[0]) < 12)).sum(),
        args=(X, torch.linspace(1, 2, 12)),
        dynamic_shapes=({0: HALF}, {0: 2 * HALF}),
        minimal={"half": 7},
    ),
    Sized(
        id="odd-derived",
        eager=double,
        program=lambda _, x: wrong_at(9, x, x * 2, x),
        args=(X[:5],),
        dynamic_shapes=({0: 2 * HALF - 1},),
        minimal={"half": 5},
    ),
    Sized(
        id="multiples-only",
        eager=double,
        program=lambda _, x: wrong_at(21, x, x * 2, x),
        args=(X,),
        dynamic_shapes=({0: 3 * THIRD},),
        minimal={"third": 7},
    ),
    Sized(
        id="nested-inputs",
        eager=lambda _, tree: pooled(tree),
        program=lambda _, tree: pooled(tree) + (count(tree["rest"][0]) == 4),
        args=({"first": X, "rest": [torch.linspace(0, 1, 5)]},),
        dynamic_shapes=({"first": {0: Dim("a", min=1, max=9)}, "rest": [{0: Dim("b", min=2, max=9)}]},),
        minimal={"a": 1, "b": 4},
    ),
    Sized(
        id="keyword",
        eager=lambda _, x, y: x.sum() * y,
        program=lambda _, x, y: wrong_at(3, y, x.sum() * y, x.sum() * y + 1),
        args=(X,),
        kwargs={"y": torch.linspace(1, 2, 4)},
        dynamic_shapes={"x": {0: Dim("a", min=1, max=9)}, "y": {0: Dim("b", min=1, max=9)}},
        minimal={"a": 1, "b": 3},
    ),
    Sized(
        id="indices",
        eager=lambda _, x, y: x[y],
        program=lambda _, x, y: wrong_at(2, y, x[y], x[y] + 1),
        args=(X, torch.tensor([0, 5, 3])),
        dynamic_shapes=(None, {0: Dim("n", min=1, max=30)}),
        minimal={"n": 2},
    ),
    Sized(
        id="three-dims",
        eager=lambda _, x: x.sum((0, 1, 2)),
        program=lambda _, x: x.sum((0, 1, 2)) + ((count(x, 0) == count(x, 1)) & (count(x, 2) == 3)),
        args=(torch.linspace(-1, 1, 24).reshape(2, 3, 4),),
        dynamic_shapes=({0: Dim("a", min=1, max=6), 1: Dim("b", min=1, max=6), 2: Dim("c", min=1, max=6)},),
        minimal={"a": 1, "b": 1, "c": 3},
    ),
    Sized(
        id="refuses-five",
        kind="refuses",
        eager=double,
        program=lambda _, x: (torch.ops.aten._assert_async.msg(count(x) != 5, "no fives"), x * 2)[1],
        args=(X,),
        dynamic_shapes=({0: Dim("n", min=1, max=9)},),
        minimal={"n": 5},
    ),
)


def bounded(lower: int, upper: int) -> Callable[[ExportedProgram], None]:
    """Give the program's only range other bounds."""

    def edit(program: ExportedProgram) -> None:
        (symbol,) = program.range_constraints
        program.range_constraints[symbol] = ValueRanges(Integer(lower), Integer(upper))

    return edit


def without_guards(program: ExportedProgram) -> None:
    program._guards_code = []


SHARED = Dim("n", min=3, max=9)

BOUNDS = (
    Sized(
        id="upper-bound-tightened",
        kind="refuses",
        eager=double,
        edit=bounded(3, 8),
        args=(X,),
        dynamic_shapes=({0: SHARED},),
        minimal={"n": 9},
    ),
    Sized(
        id="lower-bound-tightened",
        kind="refuses",
        eager=double,
        edit=bounded(4, 9),
        args=(X,),
        dynamic_shapes=({0: SHARED},),
        minimal={"n": 3},
    ),
    Sized(
        id="upper-bound-dropped",
        kind="accepts",
        eager=double,
        program=wrong_where(lambda x: count(x) > 9, double, triple),
        edit=bounded(3, 100),
        args=(X,),
        dynamic_shapes=({0: SHARED},),
        minimal={"n": 10},
    ),
    Sized(
        id="lower-bound-dropped",
        kind="accepts",
        eager=double,
        program=wrong_where(lambda x: count(x) < 3, double, triple),
        edit=bounded(0, 9),
        args=(X,),
        dynamic_shapes=({0: SHARED},),
        minimal={"n": 2},
    ),
)

#: Taken as they are by torch 2.13 and 2.14, and wrong at size 0 or 1: capture takes every dynamic dim for longer.
TORCHS_OWN = tuple(
    Sized(
        id=f"torch-{name}",
        eager=lambda _, *args, eager=eager: eager(*args),
        sound=lambda _, *args, sound=sound: sound(*args),
        args=args,
        dynamic_shapes=tuple({0: Dim("n", min=low, max=10)} for _ in args[:1]),
        minimal={"n": low},
    )
    for name, low, args, eager, sound in (
        ("branch-on-one", 1, (X,), lambda x: x * 2 if x.shape[0] == 1 else x, lambda x: x),
        ("branch-below-two", 1, (X,), lambda x: x * 2 if x.shape[0] < 2 else x, lambda x: x),
        ("branch-on-more-than-one", 1, (X,), lambda x: x - x.mean() if x.shape[0] > 1 else x, lambda x: x),
        ("branch-on-number-of-elements", 1, (X,), lambda x: x.neg() if x.numel() == 1 else x, lambda x: x),
        ("branch-on-rows-and-columns", 1, (MATRIX,), lambda x: x.neg() if x.shape[0] * 4 <= 4 else x, lambda x: x),
        (
            "branch-on-contiguity",
            1,
            (MATRIX,),
            lambda x: x.t().neg() if x.t().is_contiguous() else x.t(),
            lambda x: x.t(),
        ),
        ("row-instead-of-rows", 1, (MATRIX,), lambda x: x[0] if x.shape[0] == 1 else x, lambda x: x),
        ("empty-becomes-zero", 0, (X,), lambda x: x.new_zeros(1) if x.shape[0] == 0 else x, lambda x: x),
        ("not-empty", 0, (X,), lambda x: x.sum() if x.numel() else x.sum() - 1, lambda x: x.sum()),
    )
)

SIZED = (*ONE_DIM, *TWO_DIMS, *FUNCTIONS, *BOUNDS, *TORCHS_OWN)
