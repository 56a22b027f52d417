"""The reference engine over torch's own samples of operators, higher-order operators and modules."""

from __future__ import annotations

import pytest

from tests.differential.populations_some import assert_sound, some

pytest.importorskip("numpy", reason="torch's samples of operators need numpy, which is not installed")

from tests.differential.populations import higher_order, modules, operators

#: What torch.export does not capture: results whose size or whose very course depends on data.
DATA_DEPENDENT = (
    *("allclose", "corrcoef", "cov", "equal", "linalg.lstsq"),
    *("nn.functional.ctc_loss", "nn.functional.gaussian_nll_loss", "nn.functional.one_hot"),
    *("nn.CTCLoss", "nn.CTCLoss in training", "nn.GaussianNLLLoss", "nn.GaussianNLLLoss in training"),
)
#: What it captures by Dynamo only, if at all.
DYNAMOS = (
    *("flex_attention_backward simple", "flex_attention_backward explicit_buffers"),
    *("invoke_quant simple", "local_map_hop simple"),
)
#: What runs on a GPU only.
GPUS = (
    *("jiterator_2inputs_2outputs", "jiterator_4inputs_with_extra_args", "jiterator_binary"),
    *("jiterator_binary_return_by_ref", "jiterator_unary", "inline_asm_elementwise simple"),
    *("torch.ops.aten._efficient_attention_forward", "torch.ops.aten._flash_attention_forward"),
)
WITHOUT = (*DATA_DEPENDENT, *DYNAMOS, *GPUS)


@pytest.mark.parametrize("make", some(higher_order(), without=WITHOUT))
def test_higher_order_operators(make):
    assert_sound(make)


#: What torch does not capture by Dynamo, and calls that hold what it names after a place of Dynamo.
NOT_BY_DYNAMO = (*GPUS, "invoke_quant simple", "local_map_hop simple", "register_hook simple")


@pytest.mark.parametrize("make", some(higher_order(), every=7, without=NOT_BY_DYNAMO))
def test_higher_order_operators_that_dynamo_captures(make):
    assert_sound(make, strict=True)


@pytest.mark.parametrize("make", some(operators(), every=40, without=WITHOUT))
def test_operators(make):
    assert_sound(make)


@pytest.mark.parametrize("make", some(modules(), every=14, without=WITHOUT))
def test_modules(make):
    assert_sound(make)
