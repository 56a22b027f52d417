"""The reference reader and writer over populations that nobody here wrote: exportdb, higher-order operators, operators.

``EXPORTCHECK_SOUND=1`` takes every operator instead of some.
"""

from __future__ import annotations

import io
import os
import warnings

import pytest
import torch
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.hop_db import hop_db

from pytest_exportcheck import reference
from pytest_exportcheck.serde.difference import difference
from pytest_exportcheck.serde.plain_program import plain_program
from pytest_exportcheck.sources import cases_from
from pytest_exportcheck.subject import set_up

#: What torch.export itself does not capture as a function of tensors, and what runs on a GPU only.
NOT_CAPTURED = ("flex_attention", "flex_attention_backward", "invoke_quant", "local_map_hop", "inline_asm_elementwise")
#: Operators whose results are whatever stood in memory.
UNINITIALISED = ("empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided")
EVERY = 1 if os.environ.get("EXPORTCHECK_SOUND") else 40
OPERATORS = [
    (name, info) for name, info in sorted({each.name: each for each in op_db}.items()) if name not in UNINITIALISED
]


def through(program, save, load):
    buffer = io.BytesIO()
    save(program, buffer)
    buffer.seek(0)
    return load(buffer)


def assert_lossless(program, run):
    """Ours loses nothing and computes the same bits; what torch can save we read, and what torch can read we write."""
    expected = run(program)
    after = through(program, reference.save, reference.load)
    assert difference(plain_program(program), plain_program(after)) == {}
    assert run(after) == expected
    try:
        theirs = through(program, torch.export.save, torch.export.load)
    except Exception:  # torch's own pair cannot
        return
    assert run(through(program, torch.export.save, reference.load)) == run(theirs)
    assert run(through(program, reference.save, torch.export.load)) == run(theirs)


def texts(tree):
    return [repr(leaf) for leaf in torch.utils._pytree.tree_leaves(tree)]


EXPORTDB = cases_from("exportdb:*").cases


@pytest.mark.parametrize("name", EXPORTDB)
def test_exportdb(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        subject = set_up(next(case for key, case in EXPORTDB.items() if key == name), 0)
        args, kwargs = subject.example.args, dict(subject.example.kwargs)
        program = torch.export.export(subject.module, args, kwargs, dynamic_shapes=subject.dynamic_shapes)

        def run(program):
            copied, named = torch.utils._pytree.tree_map_only(torch.Tensor, torch.clone, (args, kwargs))
            return texts(program.module()(*copied, **named))

        assert_lossless(program, run)


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
