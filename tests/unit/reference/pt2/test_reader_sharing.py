"""The reader builds tensors of equal facts once and copies them."""

from __future__ import annotations

import gc
import io
from typing import Any

import pytest
import sympy
import torch
from torch.export import Dim, ExportedProgram, export

from pytest_exportcheck import reference
from pytest_exportcheck.errors import ArchiveError
from pytest_exportcheck.reference.pt2.plain.values import PlainWriter, plain


class Chain(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sin().cos().sin().cos()


class Unbacked(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x.nonzero() + 1).sin().cos().sin()


def exported(model: torch.nn.Module) -> ExportedProgram:
    return export(model, (torch.ones(3, 8),), dynamic_shapes={"x": {0: Dim("b", min=2, max=64)}})


def read_by(load: Any, program: ExportedProgram) -> list[torch.Tensor]:
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    vals = [node.meta.get("val") for node in load(file).graph.nodes]
    return [val for val in vals if isinstance(val, torch.Tensor)]


def facts_of(tensor: Any) -> tuple[object, ...]:
    storage = str(tensor.untyped_storage().nbytes())
    state = (tensor.device, tensor.dtype, tensor.requires_grad, tensor.is_leaf, tensor._version, tensor._base)
    return (type(tensor), str(tensor.shape), str(tensor.stride()), tensor.storage_offset(), storage, *state)


@pytest.mark.parametrize("model", [Chain(), Unbacked()], ids=["backed", "unbacked"])
def test_copied_tensors_equal_those_of_torch(model: torch.nn.Module) -> None:
    program = exported(model)
    ours, torchs = read_by(reference.load, program), read_by(torch.export.load, program)
    assert [facts_of(each) for each in ours] == [facts_of(each) for each in torchs]


def test_copied_tensors_share_no_storage() -> None:
    tensors = read_by(reference.load, exported(Chain()))
    assert len({id(each) for each in tensors}) == len(tensors) == 5
    assert len({each.untyped_storage()._cdata for each in tensors}) == len(tensors)


def test_copied_tensors_add_no_guard() -> None:
    tensors: list[Any] = read_by(reference.load, exported(Chain()))
    env = tensors[0].fake_mode.shape_env
    assert (env.guards, env.replacements) == ([], {})


@pytest.mark.parametrize("runs", [True, False])
def test_the_collector_is_as_before_after_a_refused_file(runs: bool) -> None:
    before = gc.isenabled()
    (gc.enable if runs else gc.disable)()
    try:
        with pytest.raises(ArchiveError):
            reference.load(io.BytesIO(b"not an archive"))
        reference.save(exported(Chain()), io.BytesIO())
        assert gc.isenabled() is runs
    finally:
        (gc.enable if before else gc.disable)()


def test_expressions_with_equal_floats_of_different_precision_keep_their_texts() -> None:
    write = PlainWriter()
    short, long = sympy.Float("0.5", 5), sympy.Float("0.5", 30)
    assert [write.expression(each) for each in (short, long)] == [plain(short)["expression"], plain(long)["expression"]]
    assert write.expression(short) != write.expression(long)
