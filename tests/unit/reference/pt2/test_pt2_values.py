"""Python values as plain ones, and back."""

from __future__ import annotations

import collections
import math
import operator
from collections import OrderedDict, defaultdict
from enum import Enum
from typing import cast

import msgspec
import pytest
import torch
from torch.export.graph_signature import ConstantArgument, CustomObjArgument, SymIntArgument, TensorArgument
from torch.fx.experimental.symbolic_shapes import CallMethodKey, DivideByKey
from torch.utils._pytree import MappingKey, SequenceKey

from pytest_exportcheck.errors import SchemaError, UnsupportedError
from pytest_exportcheck.reference.pt2.plain.kind import Reader
from pytest_exportcheck.reference.pt2.plain.names import global_of
from pytest_exportcheck.reference.pt2.plain.values import plain, value_of

Point = collections.namedtuple("Point", ["x", "y"])


class Colour(Enum):
    RED = 1


class Names:
    """A reader for values without symbols, tensors and nodes."""

    def named(self, name):
        return global_of(name)

    def node(self, name):
        return f"node {name}"


READER = cast("Reader", Names())


def again(value):
    """The value out of JSON."""
    return value_of(msgspec.json.decode(msgspec.json.encode(plain(value))), READER)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -7,
        2**80,
        1.5,
        -0.0,
        math.inf,
        "text, with; signs",
        [1, [2.0, None]],
        (1, (2, [3])),
        {"a": (1,), 2: "b", (3, 4): None},
        OrderedDict([("b", 1), ("a", 2)]),
        defaultdict(list, {"a": [1]}),
        {1, 2},
        frozenset({"a"}),
        1 + 2j,
        b"\x00\xff",
        slice(1, None, 2),
        range(1, 9, 2),
        ...,
        torch.Size([1, 2]),
        torch.float8_e4m3fn,
        torch.strided,
        torch.channels_last,
        torch.device("cuda:1"),
        torch.ops.aten.add.Tensor,
        torch.ops.higher_order.cond,
        operator.mul,
        torch.nn.Linear,
        Colour.RED,
        Point(1, [2]),
        TensorArgument("x"),
        ConstantArgument("c", 2.5),
        SymIntArgument("n"),
        CustomObjArgument("o", "lib.Class"),
        (CallMethodKey("size"), SequenceKey(0), MappingKey("k"), DivideByKey(2)),
    ],
    ids=str,
)
def test_a_value_comes_back_as_it_was(value):
    back = again(value)
    assert back == value
    assert type(back) is type(value)
    assert repr(back) == repr(value)  # -0.0, order, types of elements


def test_nan_comes_back():
    assert math.isnan(again(math.nan))


def test_results_of_torch_functions_come_back():
    value = torch.return_types.max((1, 2))  # type: ignore[arg-type]  # torch takes any two values
    assert type(again(value)) is torch.return_types.max
    assert tuple(again(value)) == (1, 2)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), "a value of type builtins.object cannot be saved"),
        (torch.ones(1), "a value of type torch.Tensor cannot be saved"),
        (lambda: 0, "cannot be found by its name. Define it at the top level of a module."),
        (defaultdict(object), "a defaultdict of <class 'object'> cannot be saved. Use one of list, "),
    ],
)
def test_what_no_file_can_hold_is_refused(value, message):
    with pytest.raises(UnsupportedError) as caught:
        plain(value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"eval": "1"},
        {"tuple": [1], "list": [2]},
        {"tuple": 5},
        {"path_key": ["Popen", 1]},
        {"argument": ["TensorArgument"]},
        {"dtype": "load"},
        {"layout": "float32"},
        {"return_type": ["__name__", []]},
        {"namedtuple": ["builtins:tuple", []]},
        {"enum": ["builtins:int", "real"]},
        {"defaultdict": ["exec", []]},
        {"set": [[1]]},
        {"range": ["a"]},
        {"device": "nowhere:x:y"},
    ],
    ids=str,
)
def test_plain_values_of_no_form_are_refused(given):
    with pytest.raises(SchemaError):
        value_of(given, READER)


@pytest.mark.parametrize(
    "name", ["os:system:x", "nowhere:x", "torch:nn.Nothing", "torch:__dict__.x", "torch.nn:functional.linear.__call__"]
)
def test_names_that_stand_for_nothing_are_refused(name):
    with pytest.raises(UnsupportedError, match="is not in an imported module"):
        global_of(name)


def test_a_name_imports_nothing():
    import sys

    with pytest.raises(UnsupportedError):
        global_of("this:s")
    assert "this" not in sys.modules


@pytest.mark.parametrize(
    "name",
    [
        "torch.ops.aten.add.nothing",
        "torch.ops.aten.__class__",
        "torch.ops.load_library",
        "os.system",
        "builtins.eval",
        "torch.ops...",
    ],
)
def test_a_target_is_an_operator_or_one_of_a_few_functions(name):
    with pytest.raises(UnsupportedError):
        value_of({"target": name}, READER)
