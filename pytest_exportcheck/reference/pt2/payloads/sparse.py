"""Sparse tensors as their components and back, by layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import torch

from pytest_exportcheck.reference._torch.values import coo_parts
from pytest_exportcheck.reference.pt2.convert.dtypes import LAYOUTS
from pytest_exportcheck.reference.pt2.schema import Layout


def components_of(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return indices and values, or compressed indices, plain indices and values: those of the tensor itself, not
    copies.
    """
    return _COMPONENTS[tensor.layout](tensor)


def sparse_of(
    layout: Layout, sizes: Sequence[int], components: Sequence[torch.Tensor], is_coalesced: bool
) -> torch.Tensor:
    """Return the sparse tensor of these components, after checking that they make one.

    Raises
    ------
    RuntimeError, ValueError, TypeError, IndexError
        As torch does, where they do not.
    """
    if layout is Layout.SparseCoo:
        indices, values = components
        return torch.sparse_coo_tensor(
            indices, values, tuple(sizes), is_coalesced=is_coalesced, check_invariants=True
        )  # fmt: skip
    compressed, plain, values = components
    return torch.sparse_compressed_tensor(
        compressed, plain, values, tuple(sizes), layout=LAYOUTS[layout], check_invariants=True
    )


def _coo(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return coo_parts(tensor)


def _by_rows(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return tensor.crow_indices(), tensor.col_indices(), tensor.values()


def _by_columns(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return tensor.ccol_indices(), tensor.row_indices(), tensor.values()


_COMPONENTS: Mapping[torch.layout, Callable[[torch.Tensor], tuple[torch.Tensor, ...]]] = MappingProxyType(
    {
        torch.sparse_coo: _coo,
        torch.sparse_csr: _by_rows,
        torch.sparse_bsr: _by_rows,
        torch.sparse_csc: _by_columns,
        torch.sparse_bsc: _by_columns,
    }
)
