"""The inputs of a bundle: with ``weights_only=True`` where that is possible."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from pytest_exportcheck.bundles.inputs import Calls, read_calls, saved_calls
from pytest_exportcheck.errors import BundleError
from pytest_exportcheck.records import Inputs


class Pair(NamedTuple):
    left: torch.Tensor
    right: torch.Tensor


class Unregistered:
    """A class that only a pickle can keep."""

    def __init__(self) -> None:
        self.number = 3


def _read(tmp_path: Path, *args: Any, **kwargs: Any) -> tuple[Calls, str]:
    call = Inputs("the example inputs", args, kwargs, (("batch", 2),))
    content, remark = saved_calls(Calls(example=call, series=[call, Inputs("fresh inputs", args, kwargs)]))
    (tmp_path / "inputs.pt").write_bytes(content)
    return read_calls(tmp_path / "inputs.pt"), remark


def test_plain_inputs_load_as_weights_and_share_storage(tmp_path: Path) -> None:
    x = torch.arange(6.0)
    read, remark = _read(tmp_path, x, x[2:], flag=True, grad=torch.ones(1, requires_grad=True))
    example = read.example
    torch.load(tmp_path / "inputs.pt", weights_only=True)
    assert (remark, example.label, example.sizes) == ("", "the example inputs", (("batch", 2),))
    assert example.args[0].untyped_storage().data_ptr() == example.args[1].untyped_storage().data_ptr()
    assert example.kwargs["flag"] is True and example.kwargs["grad"].requires_grad
    assert [call.label for call in read.series] == ["the example inputs", "fresh inputs"]


def test_a_registered_class_is_kept_as_leaves(tmp_path: Path) -> None:
    torch.utils._pytree._register_namedtuple(Pair, serialized_type_name="test_bundle_inputs.Pair")
    read, remark = _read(tmp_path, Pair(torch.ones(1), torch.zeros(1)))
    assert remark == "the inputs are stored as leaves and a tree spec: to load them, import the classes of the inputs"
    assert isinstance(read.example.args[0], Pair)
    torch.load(tmp_path / "inputs.pt", weights_only=True)


def test_another_class_is_pickled(tmp_path: Path) -> None:
    read, remark = _read(tmp_path, Unregistered())
    assert remark == "inputs.pt is pickled: it can only be loaded with weights_only=False"
    assert read.example.args[0].number == 3


def test_what_cannot_be_pickled_is_refused() -> None:
    call = Inputs("the example inputs", (lambda: 1,), {})
    with pytest.raises(BundleError, match=r"^the inputs cannot be saved \((AttributeError|PicklingError): "):
        saved_calls(Calls(example=call, series=[call]))


def test_a_missing_and_a_damaged_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "inputs.pt"
    with pytest.raises(BundleError) as missing:
        read_calls(path)
    buffer = io.BytesIO()
    torch.save({"example": []}, buffer)
    path.write_bytes(buffer.getvalue())
    with pytest.raises(BundleError) as damaged:
        read_calls(path)
    assert [str(each.value) for each in (missing, damaged)] == [
        f"{path} is missing: the bundle is incomplete. Write it again.",
        f"{path} cannot be read (KeyError: 'calls'): the bundle is incomplete. Write it again.",
    ]
