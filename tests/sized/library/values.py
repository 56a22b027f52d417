"""Another value at some sizes, put into the program: at one of them, at a class of them, or where two dims meet."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.export import Dim
from torch.fx import Node

from tests.faults.editing import aten
from tests.sized.editing import After, doubled_where, doubled_where_tensor, is_multiple, narrowed_type
from tests.sized.models import floats, indices, of
from tests.sized.sized import Edit, Sized


def _sized(name: str, edit: Edit, function: Callable[..., Any], args: Any, shapes: Any, at: Mapping[str, int]) -> Sized:
    build = of(function)
    return Sized(
        id=name, kind="differs", build=build, sound=build, edit=edit, args=args, dynamic_shapes=shapes, minimal=at
    )


def _is(number: int) -> Callable[[After, Node], Node]:
    return lambda then, n: then(operator.eq, n, number)


def _both(then: After, one: Node, other: Node) -> Node:
    return then(operator.and_, one, other)


_X = ("x", 0)
_N = Dim("n", min=1, max=100)

ONE_SIZE = (
    _sized(
        "doubled-at-thirty-seven",
        doubled_where(_is(37), _X),
        lambda x: x.cumsum(0),
        (floats(6),),
        ({0: _N},),
        {"n": 37},
    ),
    _sized(
        "doubled-at-sixty-one-of-no-bound",
        doubled_where_tensor(lambda then, n: then(aten.eq.Scalar, n, 61), _X),
        lambda x: x.sin() + 1,
        (floats(5, 2),),
        ({0: Dim("n", min=1)},),
        {"n": 61},
    ),
    _sized(
        "doubled-at-the-lower-bound",
        doubled_where(_is(3), _X),
        lambda x: x - x.mean(0),
        (floats(6, 2),),
        ({0: Dim("n", min=3, max=50)},),
        {"n": 3},
    ),
    _sized(
        "doubled-at-the-upper-bound",
        doubled_where(_is(50), _X),
        lambda x: x - x.amax(0),
        (floats(6, 2),),
        ({0: Dim("n", min=2, max=50)},),
        {"n": 50},
    ),
    _sized(
        "doubled-below-the-upper-bound",
        doubled_where(_is(47), _X),
        lambda x: x.exp(),
        (floats(6),),
        ({0: Dim("n", min=2, max=48)},),
        {"n": 47},
    ),
    _sized(
        "doubled-at-twice-eleven-of-a-derived-dim",
        doubled_where(_is(22), _X),
        lambda x: x.relu() + 1,
        (floats(6),),
        ({0: 2 * Dim("half", min=1, max=30)},),
        {"half": 11},
    ),
    _sized(
        "doubled-at-one-pair-of-sizes",
        doubled_where(lambda then, a, b: _both(then, then(operator.eq, a, 5), then(operator.eq, b, 3)), _X, ("y", 0)),
        lambda x, y: x[:, None] * y + 1,
        (floats(4), floats(6)),
        ({0: Dim("a", min=1, max=12)}, {0: Dim("b", min=1, max=12)}),
        {"a": 5, "b": 3},
    ),
    _sized(
        "doubled-at-one-pair-of-many",
        doubled_where(lambda then, a, b: _both(then, then(operator.eq, a, 23), then(operator.eq, b, 41)), _X, ("x", 1)),
        lambda x: x.sum(0) + 1,
        (floats(4, 6),),
        ({0: Dim("height", min=1, max=64), 1: Dim("width", min=1, max=64)},),
        {"height": 23, "width": 41},
    ),
    _sized(
        "doubled-at-nine-of-the-middle-dim",
        doubled_where(_is(9), ("x", 1)),
        lambda x: x.tanh() + 1,
        (floats(2, 3, 4),),
        ({0: Dim("a", min=1, max=12), 1: Dim("b", min=2, max=24), 2: Dim("c", min=1, max=12)},),
        {"a": 1, "b": 9, "c": 1},
    ),
)


def _is_power_of_two(then: After, n: Node) -> Node:
    return then(operator.eq, then(operator.and_, n, then(operator.sub, n, 1)), 0)


CLASSES = (
    _sized(
        "doubled-at-powers-of-two",
        doubled_where(_is_power_of_two, _X),
        lambda x: x.sigmoid(),
        (floats(6),),
        ({0: Dim("n", min=5, max=64)},),
        {"n": 8},
    ),
    _sized(
        "doubled-at-multiples-of-eight",
        doubled_where(lambda then, n: is_multiple(then, n, 8), _X),
        lambda x: x.flip(0) + 1,
        (floats(6, 2),),
        ({0: Dim("n", min=1, max=50)},),
        {"n": 8},
    ),
    _sized(
        "doubled-one-before-multiples-of-sixteen",
        doubled_where(lambda then, n: is_multiple(then, then(operator.add, n, 1), 16), _X),
        lambda x: x.abs(),
        (floats(6),),
        ({0: Dim("n", min=1)},),
        {"n": 15},
    ),
    _sized(
        "doubled-at-odd-sizes",
        doubled_where(lambda then, n: then(operator.eq, then(operator.mod, n, 2), 1), ("x", 1)),
        lambda x: x @ x.t(),
        (floats(3, 6),),
        ({1: Dim("n", min=2, max=50)},),
        {"n": 3},
    ),
    _sized(
        "doubled-above-the-example",
        doubled_where(lambda then, n: then(operator.gt, n, 6), _X),
        lambda x: x.softmax(0),
        (floats(6, 2),),
        ({0: Dim("n", min=1, max=64)},),
        {"n": 7},
    ),
    _sized(
        "doubled-below-the-example",
        doubled_where(lambda then, n: then(operator.lt, n, 6), _X),
        lambda x: x.square(),
        (floats(6, 2),),
        ({0: Dim("n", min=2, max=64)},),
        {"n": 2},
    ),
    _sized(
        "doubled-above-a-hundred-and-twenty-eight",
        doubled_where(lambda then, n: then(operator.gt, n, 128), _X),
        lambda x: x.cos(),
        (floats(6),),
        ({0: Dim("n", min=1)},),
        {"n": 129},
    ),
    _sized(
        "doubled-between-twenty-and-twenty-four",
        doubled_where_tensor(
            lambda then, n: then(aten.logical_and.default, then(aten.ge.Scalar, n, 20), then(aten.le.Scalar, n, 24)),
            _X,
        ),
        lambda x: x.neg(),
        (floats(6),),
        ({0: Dim("n", min=1, max=90)},),
        {"n": 20},
    ),
    _sized(
        "doubled-at-every-twelfth-above-fifty",
        doubled_where(
            lambda then, n: _both(then, then(operator.gt, n, 50), then(operator.eq, then(operator.mod, n, 12), 7)),
            _X,
        ),
        lambda x: x.floor() + 3,
        (floats(6),),
        ({0: Dim("n", min=1, max=200)},),
        {"n": 55},
    ),
    _sized(
        "doubled-where-indices-come-in-fours",
        doubled_where(lambda then, n: is_multiple(then, n, 4), _X),
        lambda x: torch.nn.functional.embedding(x, torch.arange(10.0).reshape(5, 2)),
        (indices(6, below=5),),
        ({0: Dim("tokens", min=1, max=40)},),
        {"tokens": 4},
    ),
)


def _overflows(dtype: torch.dtype) -> Callable[..., Node]:
    """Whether a product of sizes comes back from a dtype as another number."""

    def test(then: After, first: Node, *others: Node) -> Node:
        product = first
        for each in others:
            product = then(operator.mul, product, each)
        exact = then(aten.scalar_tensor.default, product, dtype=torch.float32)
        return then(aten.ne.Tensor, narrowed_type(then, product, dtype), exact)

    return test


def _by_value(test: Callable[..., Node], *sizes: tuple[str, int]) -> Edit:
    """Doubled where a test of numbers that yields a tensor is true."""

    def as_numbers(then: After, *scalars: Node) -> Node:
        return test(then, *(scalar.args[0] for scalar in scalars))

    return doubled_where_tensor(as_numbers, *sizes)


MEETINGS = (
    _sized(
        "doubled-where-two-dims-are-equal",
        doubled_where(lambda then, a, b: then(operator.eq, a, b), _X, ("x", 1)),
        lambda x: x.cumsum(1),
        (floats(4, 5),),
        ({0: Dim("height", min=3, max=12), 1: Dim("width", min=2, max=12)},),
        {"height": 3, "width": 3},
    ),
    _sized(
        "doubled-where-the-first-is-longer",
        doubled_where(lambda then, a, b: then(operator.gt, a, b), _X, ("y", 0)),
        lambda x, y: x.sum() + y.exp(),
        (floats(4), floats(5)),
        ({0: Dim("a", min=1, max=12)}, {0: Dim("b", min=1, max=12)}),
        {"a": 2, "b": 1},
    ),
    _sized(
        "doubled-where-two-sizes-add-up",
        doubled_where(lambda then, a, b: then(operator.eq, then(operator.add, a, b), 15), _X, ("y", 0)),
        lambda x, y: torch.cat([x, y]).exp(),
        (floats(4), floats(5)),
        ({0: Dim("a", min=2, max=10)}, {0: Dim("b", min=2, max=10)}),
        {"a": 5, "b": 10},
    ),
    _sized(
        "doubled-where-a-product-of-columns-and-rows-is-twenty-four",
        doubled_where(lambda then, a, b: then(operator.eq, then(operator.mul, a, b), 24), _X, ("x", 1)),
        lambda x: x.amax(0),
        (floats(4, 5),),
        ({1: Dim("width", min=2, max=12), 0: Dim("height", min=2, max=9)},),
        {"width": 3, "height": 8},
    ),
    _sized(
        "doubled-where-a-dim-is-as-long-as-a-derived-one",
        doubled_where(lambda then, a, b: then(operator.eq, a, b), ("y", 0), ("z", 0)),
        lambda x, y, z: x.sum() + y.mean() + z,
        (floats(4), floats(8), floats(5)),
        ({0: Dim("n", min=2, max=9)}, {0: 2 * Dim("n", min=2, max=9)}, {0: Dim("m", min=5, max=20)}),
        {"n": 3, "m": 6},
    ),
    _sized(
        "doubled-where-one-dim-divides-the-other",
        doubled_where(lambda then, a, b: then(operator.eq, then(operator.mod, b, a), 0), _X, ("x", 1)),
        lambda x: x.logsumexp(1),
        (floats(4, 6),),
        ({0: Dim("heads", min=3, max=9), 1: Dim("width", min=4, max=16)},),
        {"heads": 3, "width": 6},
    ),
    _sized(
        "doubled-where-three-dims-are-equal",
        doubled_where(
            lambda then, a, b, c: _both(then, then(operator.eq, a, b), then(operator.eq, b, c)),
            _X,
            ("x", 1),
            ("x", 2),
        ),
        lambda x: x.sin() + 2,
        (floats(3, 4, 5),),
        ({0: Dim("a", min=1, max=8), 1: Dim("b", min=2, max=8), 2: Dim("c", min=3, max=8)},),
        {"a": 3, "b": 3, "c": 3},
    ),
    _sized(
        "area-in-eight-bits",
        _by_value(_overflows(torch.int8), _X, ("x", 1)),
        lambda x: x.sum(0) + 1,
        (floats(4, 5),),
        ({0: Dim("height", min=1, max=16), 1: Dim("width", min=1, max=16)},),
        {"height": 8, "width": 16},
    ),
    _sized(
        "square-in-sixteen-bits",
        _by_value(lambda then, n: _overflows(torch.int16)(then, n, n), _X),
        lambda x: x.sum(0, keepdim=True) + x,
        (floats(6),),
        ({0: Dim("n", min=1, max=250)},),
        {"n": 182},
    ),
    _sized(
        "size-in-half-precision",
        _by_value(lambda then, n: _overflows(torch.float16)(then, n), _X),
        lambda x: x.sum(0, keepdim=True) + x,
        (floats(1990),),
        ({0: Dim("n", min=1980)},),
        {"n": 2049},
    ),
    _sized(
        "volume-in-eight-bits-without-sign",
        _by_value(_overflows(torch.uint8), _X, ("x", 1), ("x", 2)),
        lambda x: x.sum((0, 1)) + 1,
        (floats(3, 4, 5),),
        ({0: Dim("depth", min=2, max=6), 1: Dim("height", min=2, max=6), 2: Dim("width", min=2, max=12)},),
        {"depth": 4, "height": 6, "width": 11},
    ),
)

ENTRIES = (*ONE_SIZE, *CLASSES, *MEETINGS)
