"""Indexing by numbers that only a call knows: the same operators as torch's, for every form of the index."""

from __future__ import annotations

import pytest
import torch

from pytest_exportcheck import reference

X, N = torch.arange(18.0).reshape(6, 3), torch.tensor(2)


def model(forward):
    return type("Model", (torch.nn.Module,), {"forward": forward})()


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x, n: x[n],
        lambda self, x, n: x[:, n],
        lambda self, x, n: x[n.item()],
        lambda self, x, n: x[-n.item()],
        lambda self, x, n: x[..., n.item(), None],
        lambda self, x, n: x[None, ..., :n],
        lambda self, x, n: x[::1, n.item()],
        lambda self, x, n: x[: n.item() : 2],
        lambda self, x, n: x[n : n + 2],
        lambda self, x, n: x[: n.item(), [0, 1]],
    ],
)
def test_the_program_is_torchs(forward):
    theirs = torch.export.export(model(forward), (X, N))
    ours = reference.export(model(forward), (X, N))
    assert [str(node.target) for node in ours.graph.nodes] == [str(node.target) for node in theirs.graph.nodes]
    assert str(ours.range_constraints) == str(theirs.range_constraints)
    for value in (N, torch.tensor(1)):
        assert torch.equal(ours.module()(X, value), model(forward)(X, value))


def test_a_strict_program_has_the_same_operators():
    def forward(self, x, n):
        return x[n : n + 2], x[: n.item() : 2]

    theirs = torch.export.export(model(forward), (X, N), strict=True)
    ours = reference.export(model(forward), (X, N), strict=True)
    assert [str(node.target) for node in ours.graph.nodes] == [str(node.target) for node in theirs.graph.nodes]
    for got, expected in zip(ours.module()(X, torch.tensor(1)), forward(None, X, torch.tensor(1)), strict=True):
        assert torch.equal(got, expected)


def test_a_tensor_of_vmap_stays_an_index():
    many = model(lambda self, x, n: torch.vmap(lambda k: x[k])(n))
    assert torch.equal(reference.export(many, (X, torch.tensor([1, 2]))).module()(X, torch.tensor([4, 0])), X[[4, 0]])


def test_a_list_next_to_a_symbol_is_refused_as_torch_refuses_it():
    mixed = model(lambda self, x, n: x[n.item(), [0, 1]])
    with pytest.raises(IndexError, match="got SymInt"):
        torch.export.export(mixed, (X, N))
    with pytest.raises(IndexError, match="got SymInt"):
        reference.export(mixed, (X, N))
