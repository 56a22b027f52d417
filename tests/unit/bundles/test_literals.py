"""Tensors as expressions: what is written makes the same bits in the same layout again."""

from __future__ import annotations

import pytest
import torch

from pytest_exportcheck.bundles.reduction.literals import expression_of, layout_of

_SEEDED = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (torch.ones(2, 3), "torch.ones(2, 3)"),
        (torch.zeros(3), "torch.zeros(3)"),
        (torch.zeros(()), "torch.zeros(())"),
        (torch.arange(6.0).reshape(2, 3), "torch.arange(6.0).reshape(2, 3)"),
        (torch.arange(4), "torch.arange(4)"),
        (torch.arange(3, dtype=torch.int32), "torch.arange(3, dtype=torch.int32)"),
        (torch.ones(2, dtype=torch.bool), "torch.ones(2, dtype=torch.bool)"),
        (torch.ones(2, dtype=torch.float16), "torch.ones(2, dtype=torch.float16)"),
        (_SEEDED, "torch.randn(2, 3, generator=torch.Generator().manual_seed(0))"),
        (torch.tensor([1.5, -0.0]), "torch.tensor([1.5, -0.0])"),
        (torch.tensor([[1, 5]]), "torch.tensor([[1, 5]])"),
        (torch.tensor([True, False]), "torch.tensor([True, False])"),
        (torch.tensor([0.1], dtype=torch.float64), "torch.tensor([0.1], dtype=torch.float64)"),
        (torch.tensor([float("inf"), float("nan")]), 'torch.tensor([float("inf"), float("nan")])'),
        (torch.tensor([1 + 2j]), "torch.tensor([(1+2j)])"),
        (torch.full((2,), 1j), "torch.full((2,), 1j)"),
        (torch.tensor([1 + 2j, 3 + 1j]).conj(), "torch.tensor([(1+2j), (3+1j)]).conj()"),
        (torch.arange(6.0).reshape(2, 3).t(), "torch.arange(6.0).reshape(2, 3).t()"),
        (
            torch.ones(1, 2, 2, 2).contiguous(memory_format=torch.channels_last),
            "torch.ones(1, 2, 2, 2).permute(0, 3, 1, 2)",
        ),
        (torch.ones(1).expand(3), "torch.tensor([1.0]).expand(3,)"),
        (torch.arange(4.0)[::2], "torch.empty_strided((2,), (2,)).copy_(torch.tensor([0.0, 2.0]))"),
        (3, "3"),
        (float("-inf"), 'float("-inf")'),
        (None, "None"),
        ("sum", "'sum'"),
    ],
)  # fmt: skip
def test_an_expression_makes_the_value_again(value: object, text: str):
    assert expression_of(value) == text
    made = eval(text, {"torch": torch})
    if isinstance(value, torch.Tensor):
        assert (made.dtype, made.stride(), made.is_conj()) == (value.dtype, value.stride(), value.is_conj())
        torch.testing.assert_close(made, value, rtol=0, atol=0, equal_nan=True)
    else:
        assert made == value


@pytest.mark.parametrize(
    "value",
    [torch.rand(5, 5), torch.ones(2).to_sparse(), torch.ones(2, device="meta"), object()],
    ids=["large", "sparse", "meta", "object"],
)
def test_what_cannot_be_written_has_no_expression(value: object):
    assert expression_of(value) is None


def test_a_layout_is_given_to_another_tensor():
    layout = layout_of(torch.rand(2, 3).t())
    assert layout is not None
    made = layout.of(torch.ones(2, 3))
    assert (tuple(made.shape), made.stride()) == ((3, 2), (1, 3))
