"""What the benchmark of the serde takes for the same bits."""

from __future__ import annotations

import math
import struct

import pytest
import torch

from pytest_exportcheck import reference
from tests.differential.roundtrips import LOSSLESS, PAIRS, difference_of, faults, judged

X = torch.arange(6.0).reshape(2, 3)
NAN, OTHER_NAN = (
    torch.frombuffer(bytearray(struct.pack("<I", bits)), dtype=torch.float32) for bits in (0x7FC00000, 0x7FC00001)
)
ROWS, COLUMNS = torch.zeros(2, 2), torch.zeros(2, 2).t()


@pytest.mark.parametrize(
    "value",
    [
        X,
        NAN,
        X.to_sparse(),
        X.to_sparse_csr(),
        X.to(torch.complex64).conj(),
        torch.quantize_per_tensor(X, 0.5, 1, torch.quint8),
        torch.nested.nested_tensor([X, X[:1]]),
        {"a": [1, -0.0, math.nan, None, "text"], "b": (torch.ones(3, 0),)},
    ],
    ids=repr,
)
def test_a_value_is_the_same_as_its_copy(value):
    copied = torch.utils._pytree.tree_map_only(torch.Tensor, torch.clone, value)
    assert difference_of(value, copied) == ""


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (NAN, OTHER_NAN, ": other bits"),
        (torch.tensor(0.0), torch.tensor(-0.0), ": other bits"),
        ([0.0], [-0.0], "[0]: 0.0 became -0.0"),
        ([1], [True], "[0]: int became bool"),
        ([X], [X[:1]], "[0]: shape (2, 3) became (1, 3)"),
        (X, X.double(), ": dtype torch.float32 became torch.float64"),
        (ROWS, COLUMNS, ": strides (2, 1) became (1, 2)"),
        (X, X.clone().requires_grad_(), ": requires_grad False became True"),
        (X, torch.nn.Parameter(X), ": Tensor became Parameter"),
        (X, X.to_sparse(), ": layout torch.strided became torch.sparse_coo"),
        (X.to_sparse(), (X + 1).to_sparse(), ": [0]: shape (2, 5) became (2, 6)"),
        ([X], (X,), ": "),
    ],
)
def test_what_differs_is_said(one, other, said):
    assert difference_of(one, other).startswith(said)


class Doubled(torch.nn.Module):
    def forward(self, x):
        return x * 2


def run(program):
    return program.module()(X)


def test_a_sound_program_has_no_faults():
    found = judged(torch.export.export(Doubled(), (X,)), run)
    assert found == dict.fromkeys((LOSSLESS, *PAIRS), "")


def test_what_a_reader_changes_is_found(monkeypatch):
    load = reference.load

    def changed(file, **options):
        program = load(file, **options)
        node = next(node for node in program.graph.nodes if node.op == "call_function")
        node.args = (node.args[0], 3)
        return program

    monkeypatch.setattr(reference, "load", changed)
    found = faults(judged(torch.export.export(Doubled(), (X,)), run))
    assert set(found) == {LOSSLESS, "torch>reference", "reference>reference"}
    assert found["reference>reference"] == ": other bits"
    assert found[LOSSLESS].startswith("the plain program differs: ")


def test_what_torchs_own_pair_cannot_do_is_no_fault_of_ours():
    assert faults({LOSSLESS: "", "torch>torch": "a", "torch>reference": "b", "reference>torch": "c"}) == {}
    found = {LOSSLESS: "lost", "torch>torch": "", "torch>reference": "b", "reference>torch": "c"}
    assert faults(found) == {LOSSLESS: "lost", "torch>reference": "b", "reference>torch": "c"}
