"""Indexing by numbers that only a call knows: the same operators as torch's, for every form of the index."""

from __future__ import annotations

import pytest
import torch

from pytest_exportcheck import reference

#: An indexing call reads a plain number from a tensor before torch 2.14: such a strict capture is refused.
symbolic = pytest.mark.skipif(torch.__version__ < "2.14", reason="torch indexes with symbols since 2.14")
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


@pytest.mark.parametrize(
    "forward",
    [
        pytest.param(lambda self, x, n: x[:, n] + x[n, 0], marks=symbolic),
        pytest.param(lambda self, x, n: x[n, n], marks=symbolic),
        pytest.param(lambda self, x, n: x[1, n], marks=symbolic),
        pytest.param(lambda self, x, n: x[n, None], marks=symbolic),
        lambda self, x, n: x.select(1, n),
        lambda self, x, n: x.roll(n),
    ],
)
def test_a_strict_capture_of_a_number_that_one_call_reads_is_that_of_a_nonstrict_one(forward):
    """torch's own strict capture raises PendingUnbackedSymbolNotFound."""
    plain = reference.export(model(forward), (X, N))
    strict = reference.export(model(forward), (X, N), strict=True)
    assert [str(node.target) for node in strict.graph.nodes] == [str(node.target) for node in plain.graph.nodes]
    for value in (N, torch.tensor(0), torch.tensor(1)):
        assert torch.equal(strict.module()(X, value), model(forward)(X, value))


def test_an_operator_that_reads_a_number_which_its_result_lacks_is_refused_with_its_line():
    def forward(self, x, n):
        return x.narrow(0, n, 1)

    line = forward.__code__.co_firstlineno + 1
    with pytest.raises(reference.NotTraceable) as caught:
        reference.export(model(forward), (X, N))
    assert str(caught.value) == (
        f"an operator reads a number from a tensor, or makes a symbol, that its result does not have, at\n"
        f"  {__file__}:{line}: return x.narrow(0, n, 1)\nRead the number with .item() and pass it to the operator. If the operator "
        "is custom, its fake must return each symbol that it makes."
    )
    strict = reference.export(model(forward), (X, N), strict=True)
    for value in (N, torch.tensor(0)):
        assert torch.equal(strict.module()(X, value), forward(None, X, value))


def test_a_tensor_of_vmap_stays_an_index():
    many = model(lambda self, x, n: torch.vmap(lambda k: x[k])(n))
    assert torch.equal(reference.export(many, (X, torch.tensor([1, 2]))).module()(X, torch.tensor([4, 0])), X[[4, 0]])


def test_a_list_next_to_a_symbol_is_refused_as_torch_refuses_it():
    mixed = model(lambda self, x, n: x[n.item(), [0, 1]])
    with pytest.raises(IndexError, match="got SymInt"):
        torch.export.export(mixed, (X, N))
    with pytest.raises(IndexError, match="got SymInt"):
        reference.export(mixed, (X, N))
