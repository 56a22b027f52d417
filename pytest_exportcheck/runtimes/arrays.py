"""Arrays of NumPy, which some runtimes take."""

from __future__ import annotations

from typing import Any

from pytest_exportcheck.errors import Unsupported


def array_of(leaf: Any) -> Any:
    """Return a tensor or a number as a contiguous array.

    Raises
    ------
    Unsupported
        For a dtype that NumPy does not have.
    """
    import torch

    tensor = torch.as_tensor(leaf).contiguous()
    try:
        return tensor.numpy()
    except TypeError:
        dtype = str(tensor.dtype).removeprefix("torch.")
        raise Unsupported(f"the Python API takes arrays of NumPy, which has no {dtype}") from None
