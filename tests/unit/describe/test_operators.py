"""Facts about operators: they follow from schema and tags, so that an operator of a user has them too."""

from __future__ import annotations

import ast
import operator
from pathlib import Path

import pytest
import torch

from pytest_exportcheck import checks
from pytest_exportcheck.describe import operators
from pytest_exportcheck.describe.operators import operator_facts

aten = torch.ops.aten


def facts(target, *args, **kwargs):
    return set(operator_facts(target, args, kwargs))


@pytest.mark.parametrize(
    ("target", "found"),
    [
        (aten.add.Tensor, set()),
        (aten.add_.Tensor, {"mutates"}),
        (aten.randn.default, {"random"}),
        (aten.bernoulli_.float, {"random", "mutates"}),
        (aten.permute.default, {"view"}),
        (aten.split.Tensor, {"view"}),
        (aten._unsafe_view.default, {"view"}),
        (aten.detach.default, {"view", "bookkeeping"}),
        (aten.copy_.default, {"mutates", "copy"}),
        (aten._assert_scalar.default, {"assertion", "bookkeeping"}),
        (aten.sym_constrain_range.default, {"assertion", "bounds", "bookkeeping"}),
        (aten.sym_constrain_range_for_size.default, {"assertion", "bounds", "bookkeeping"}),
        (aten._assert_async.msg, {"bookkeeping"}),
        (aten._print.default, set()),
        (aten.sym_size.int, {"size_query", "shape_query", "bookkeeping"}),
        (aten.sym_stride.int, {"size_query", "stride_query", "bookkeeping"}),
        (aten.sym_numel.default, {"size_query", "bookkeeping"}),
        (aten.item.default, {"fetch"}),
        (aten._local_scalar_dense.default, {"fetch"}),
        (aten.equal.default, set()),
        (aten.linear.default, {"settles_strides"}),
        (aten.clone.default, {"settles_strides_by_format"}),
        (aten._native_multi_head_attention.default, {"fused_attention"}),
        (operator.getitem, {"fetch", "getitem", "bookkeeping"}),
        (operator.add, {"bookkeeping"}),
        (torch.ops.higher_order.cond, {"bookkeeping"}),
    ],
    ids=lambda given: None if isinstance(given, set) else str(given),
)
def test_an_operator_has_the_facts_of_its_schema_and_tags(target, found):
    assert facts(target) == found


@pytest.mark.parametrize(
    ("call", "draws"),
    [
        (facts(aten.dropout.default, "x", 0.5, True), True),
        (facts(aten.dropout.default, "x", 0.5, False), False),
        (facts(aten.native_dropout.default, "x", 0.5, None), True),
        (facts(aten.rrelu.default, "x"), False),
        (facts(aten.rrelu.default, "x", training=True), True),
        (facts(aten.scaled_dot_product_attention.default, "q", "k", "v"), False),
        (facts(aten.scaled_dot_product_attention.default, "q", "k", "v", None, 0.1), True),
        (facts(aten.scaled_dot_product_attention.default, "q", "k", "v", dropout_p=0.1), True),
    ],
)
def test_a_call_that_is_switched_off_draws_nothing(call, draws):
    assert ("random" in call) is draws


@pytest.fixture
def own():
    library = torch.library.Library("operators_of_tests", "DEF")
    yield library
    library._destroy()


def test_facts_of_operators_outside_torch_do_not_follow_from_their_names(own):
    own.define("crop(Tensor x) -> Tensor", tags=(torch.Tag.nondeterministic_seeded,))
    own.define("rand_like_a_name(Tensor x) -> Tensor")
    own.define("write(Tensor(a!) x) -> ()")
    own.define("part(Tensor(a) x) -> Tensor(a)")
    ops = torch.ops.operators_of_tests
    found = [facts(each.default) for each in (ops.crop, ops.rand_like_a_name, ops.write, ops.part)]
    assert found == [{"random"}, set(), {"mutates"}, {"view"}]


def test_every_operator_of_the_tables_exists():
    named = set().union(*operators._NAMED.values(), operators._INSERTED) - {"export::access_subclass_inner_tensor"}
    assert sorted(named - set(torch._C._dispatch_get_all_op_names()) - _packets()) == []


def test_no_check_knows_an_operator_by_its_name():
    named = [
        f"{path.name}:{node.lineno} {node.value}"
        for path in sorted(Path(checks.__file__).parent.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(("aten.", "aten::"))
    ]
    assert named == []


def _packets():
    return {name.partition(".")[0] for name in torch._C._dispatch_get_all_op_names()}
