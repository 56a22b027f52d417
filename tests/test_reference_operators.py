"""The reference reader and writer over torch's own samples of operators and higher-order operators.

``EXPORTCHECK_SOUND=1`` takes every operator instead of some.
"""

from __future__ import annotations

import os
import warnings

import pytest
import torch
from reference_roundtrip import assert_lossless, texts

pytest.importorskip("numpy", reason="torch's samples of operators need numpy, which is not installed")

from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.hop_db import hop_db

#: What torch.export itself does not capture as a function of tensors, and what runs on a GPU only.
NOT_CAPTURED = ("flex_attention", "flex_attention_backward", "invoke_quant", "local_map_hop", "inline_asm_elementwise")
#: Operators whose results are whatever stood in memory.
UNINITIALISED = ("empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided")
EVERY = 1 if os.environ.get("EXPORTCHECK_SOUND") else 40
OPERATORS = [
    (name, info) for name, info in sorted({each.name: each for each in op_db}.items()) if name not in UNINITIALISED
]


class Call(torch.nn.Module):
    def __init__(self, operator, kwargs):
        super().__init__()
        self.operator, self.kwargs = operator, kwargs

    def forward(self, *args):
        return self.operator(*args, **self.kwargs)


def first_sample(info, **options):
    # all of them: a generator that is not at its end keeps its grad mode on
    sample, *_ = info.sample_inputs("cpu", options.pop("dtype", torch.float32), **options)
    return sample


def check_operator(info, sample):
    args = (sample.input, *sample.args)
    program = torch.export.export(Call(info.op, sample.kwargs), args)

    def run(program):
        torch.manual_seed(0)
        return texts(program.module()(*torch.utils._pytree.tree_map_only(torch.Tensor, torch.clone, args)))

    assert_lossless(program, run)


@pytest.mark.parametrize("info", [each for each in hop_db if each.name not in NOT_CAPTURED], ids=lambda each: each.name)
def test_higher_order_operators(info):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_operator(info, first_sample(info, requires_grad=False))


@pytest.mark.parametrize("info", [info for _, info in OPERATORS[::EVERY]], ids=lambda each: each.name)
def test_operators(info):
    dtypes = info.supported_dtypes("cpu")
    dtype = torch.float32 if torch.float32 in dtypes else torch.int64
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sample = first_sample(info, dtype=dtype)
        try:
            torch.export.export(Call(info.op, sample.kwargs), (sample.input, *sample.args))
        except Exception as error:
            pytest.skip(f"torch.export does not capture it: {str(error).splitlines()[0]}")
        check_operator(info, sample)
