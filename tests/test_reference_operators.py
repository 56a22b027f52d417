"""The reference reader and writer over torch's own samples of operators, higher-order operators and modules.

``EXPORTCHECK_SOUND=1`` takes every operator and module instead of some.
"""

from __future__ import annotations

import os
import warnings
from functools import partial

import pytest
from reference_roundtrip import assert_lossless

pytest.importorskip("numpy", reason="torch's samples of operators need numpy, which is not installed")

from benchmarks.serde_populations import captured, higher_order, modules, operators, run

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
SOUND = bool(os.environ.get("EXPORTCHECK_SOUND"))


def some(items, every):
    taken = [(name, make) for name, make in items if name not in (*DATA_DEPENDENT, *DYNAMOS, *GPUS)]
    return [pytest.param(make, id=name) for name, make in taken[:: 1 if SOUND else every]]


def check(make, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make()
        assert_lossless(captured(model, **options), partial(run, model))


@pytest.mark.parametrize("make", some(higher_order(), 1))
def test_higher_order_operators(make):
    check(make)


@pytest.mark.parametrize("make", [each for each in some(higher_order(), 1) if "auto_functionalize" in each.id])
def test_an_operator_that_dynamo_captures(make):
    check(make, strict=True)


@pytest.mark.parametrize("make", some(operators(), 40))
def test_operators(make):
    check(make)


@pytest.mark.parametrize("make", some(modules(), 14))
def test_modules(make):
    check(make)
