"""Arguments, values and metadata as plain frozen data."""

from __future__ import annotations

import enum
from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest
import torch

from pytest_exportcheck.describe.freeze import frozen, frozen_metadata, origin_of, target_text
from pytest_exportcheck.describe.symbols import Symbols
from pytest_exportcheck.records import NodeRef, TensorValue

NAN = float("nan")
Pair = namedtuple("Pair", "a b")


class Color(enum.Enum):
    RED = 1


@dataclass
class Point:
    x: int


def plain(value):
    return frozen(value, Symbols())


@pytest.mark.parametrize(
    "make",
    [lambda: NAN, lambda: [1, (2.5, None)], lambda: {"a": [NAN]}, lambda: {3, 1, 2}, lambda: torch.ones(2),
     lambda: torch.eye(2).to_sparse(), lambda: Point(1), object, lambda: slice(1, None), lambda: Color.RED,
     lambda: torch.nn.Linear(1, 1), lambda: torch.Size([1]), lambda: Pair(1, NAN), lambda: lambda: 1],
)  # fmt: skip
def test_equal_values_freeze_equal(make):
    assert plain(make()) == plain(make())
    assert repr(plain(make())) == repr(plain(make()))


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, 2), (1, 1.0), (1, True), (0.0, -0.0), (None, 0), ("a", b"a"), ([1, 2], [2, 1]), ([1], [[1]]), (1, "1"), ("a", None),
     ({"a": 1, "b": 2}, {"b": 2, "a": 1}), (torch.float32, torch.float64), (torch.ones(2), torch.ones(3)),
     (torch.ones(2), torch.ones(2, device="meta")), (1 + 0j, 1), (slice(1), slice(2)), (Color.RED, 1)],
)  # fmt: skip
def test_other_values_freeze_otherwise(one, other):
    left, right = plain(one), plain(other)
    assert (type(left), left) != (type(right), right)


@pytest.mark.parametrize(
    ("one", "other"), [(1.0, "1.0"), (torch.float32, "torch.float32"), (torch.device("cpu"), "device(type='cpu')")]
)
def test_a_value_is_not_taken_for_its_text(one, other):
    left, right = plain(one), plain(other)
    assert (type(left), left) != (type(right), right)


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (torch.ops.aten.add.Tensor, "aten.add.Tensor"),
        (torch.ops.higher_order.cond, "cond"),
        ("layer.weight", "layer.weight"),
        (len, "builtins.len"),
        (torch.sym_max, "torch.sym_max"),
    ],
)
def test_a_target_is_shown_by_its_name(target, text):
    assert target_text(target) == text


def test_a_node_is_a_reference():
    graph = torch.fx.Graph()
    assert plain([graph.placeholder("x")]) == (NodeRef("x"),)


def test_a_tensor_is_what_can_be_said_of_it():
    value = frozen((torch.ones(2, 3)[:, 1:], None), Symbols())
    assert value == (TensorValue((2, 2), "float32", "cpu", "strided", (3, 1), 1), None)


@pytest.mark.parametrize(
    ("tensor", "shape", "layout"),
    [
        (torch.eye(2).to_sparse(), (2, 2), "sparse_coo"),
        (torch.nested.nested_tensor([torch.ones(2)], layout=torch.jagged), (), "jagged"),
    ],
)
def test_a_tensor_without_strides_has_none(tensor, shape, layout):
    assert frozen(tensor, Symbols()) == TensorValue(shape, "float32", "cpu", layout, None)


def metadata(**meta):
    return frozen_metadata(meta, Symbols())


def test_val_is_no_metadata_and_long_values_are_present():
    assert metadata(val=1, tensor_meta=[torch.ones(2)], seq_nr=3) == {"tensor_meta": "present", "seq_nr": 3}


def test_a_module_stack_is_keys_paths_and_types():
    stack = OrderedDict(a=("", torch.nn.Linear), b=("layer", "torch.nn.ReLU"))
    assert metadata(nn_module_stack=stack) == {
        "nn_module_stack": (("a", "", "torch.nn.modules.linear.Linear"), ("b", "layer", "torch.nn.ReLU"))
    }


def test_a_trace_does_not_say_how_many_were_compiled_before():
    texts = [metadata(stack_trace=f'File "<eval_with_key>.{number}", line 2') for number in (1, 17)]
    assert texts[0] == texts[1]


def test_a_key_that_holds_none_is_not_there():
    """torch writes ``stack_trace = None`` on operations that nobody's code called, and drops it on the next edge."""
    assert metadata(stack_trace=None) == {}


@pytest.mark.parametrize("custom", [{}, {"_torchdynamo_disable": True, "_torchdynamo_disable_reason": "x"}])
def test_custom_metadata_that_says_nothing_is_none(custom):
    assert metadata(custom=custom) == {}


@pytest.mark.parametrize(
    "custom",
    [{"a": (1, [2])}, {1: {"b": None}}, {"a": NAN}, {"a": torch.ones(3)}, {"a": Point(1)}, {"a": {1, 2}}, {"a": Pair(1, 2)},
     {"a": torch.tensor(1j)}, {"a": torch.ones(2, device="meta")}, {"a": torch.empty(0)}, {"a": torch.eye(2).to_sparse()},
     {"a": torch.nested.nested_tensor([torch.ones(2)], layout=torch.jagged)}, {"a": torch.ones(2, requires_grad=True)}],
)  # fmt: skip
def test_custom_metadata_may_hold_anything(custom):
    assert repr(metadata(custom=custom)) == repr(metadata(custom=custom))


def test_custom_metadata_keeps_the_types_of_containers_and_keys():
    assert metadata(custom={"a": (1, [2]), 3: None})["custom"] == {"a": (1, [2]), 3: None}


def test_custom_metadata_is_a_copy():
    inner = [1]
    kept = metadata(custom={"a": inner})
    inner.append(2)
    assert kept["custom"] == {"a": [1]}


def test_other_tensors_in_custom_metadata_differ():
    assert metadata(custom={"a": torch.ones(2)}) != metadata(custom={"a": torch.zeros(2)})


@pytest.mark.parametrize(
    "key", ["nn_module_stack", "stack_trace", "from_node", "source_fn_stack", "custom", "unbacked_bindings"]
)
@pytest.mark.parametrize("odd", [3, "text", [3], [("a",)], {"a": "b"}, {"a": ("b", "c", "d")}, torch.ones(2), object()])
def test_metadata_of_an_odd_type_is_frozen_all_the_same(key, odd):
    assert list(metadata(**{key: odd})) == [key]


class Source:
    def __init__(self, name, *before):
        self.name, self.target, self.pass_name, self.action, self.from_node = name, "t", "pass", None, list(before)


def test_the_origin_is_the_node_that_the_chain_names_last():
    assert origin_of({"from_node": [Source("other"), Source("new", Source("old"))]}) == "old"


@pytest.mark.parametrize(
    "meta", [{}, {"from_node": None}, {"from_node": []}, {"from_node": "text"}, {"from_node": [3]}]
)
def test_a_node_without_a_chain_has_no_origin(meta):
    assert origin_of(meta) == ""
