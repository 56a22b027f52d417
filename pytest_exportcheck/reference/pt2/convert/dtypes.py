"""Tables of dtypes, layouts and memory formats: torch's names <-> the members of the schema."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch

from pytest_exportcheck.reference.pt2.convert.unrepresentable import Unrepresentable
from pytest_exportcheck.reference.pt2.schema import Layout, MemoryFormat, ScalarType

#: torch's name of a dtype -> the schema's.
_DTYPES = {
    "uint8": "BYTE",
    "int8": "CHAR",
    "int16": "SHORT",
    "int32": "INT",
    "int64": "LONG",
    "float16": "HALF",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "complex32": "COMPLEXHALF",
    "complex64": "COMPLEXFLOAT",
    "complex128": "COMPLEXDOUBLE",
    "bool": "BOOL",
    "bfloat16": "BFLOAT16",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "float8_e4m3fn": "FLOAT8E4M3FN",
    "float8_e5m2": "FLOAT8E5M2",
    "float8_e4m3fnuz": "FLOAT8E4M3FNUZ",
    "float8_e5m2fnuz": "FLOAT8E5M2FNUZ",
    "float8_e8m0fnu": "FLOAT8E8M0FNU",
}
_LAYOUTS = {
    "strided": "Strided",
    "sparse_coo": "SparseCoo",
    "sparse_csr": "SparseCsr",
    "sparse_csc": "SparseCsc",
    "sparse_bsr": "SparseBsr",
    "sparse_bsc": "SparseBsc",
    "_mkldnn": "_mkldnn",
}
_MEMORY_FORMATS = {
    "contiguous_format": "ContiguousFormat",
    "channels_last": "ChannelsLast",
    "channels_last_3d": "ChannelsLast3d",
    "preserve_format": "PreserveFormat",
}


def write_dtype(name: str) -> ScalarType:
    """Return the schema's member for torch's name of a dtype."""
    return ScalarType[_named(_DTYPES, name, "dtype")]


def read_dtype(value: ScalarType) -> str:
    """Return torch's name of a dtype for the schema's member."""
    return _back(_DTYPES, value.name)


def write_layout(name: str) -> Layout:
    """Return the schema's member for torch's name of a layout."""
    return Layout[_named(_LAYOUTS, name, "layout")]


def read_layout(value: Layout) -> str:
    """Return torch's name of a layout for the schema's member."""
    return _back(_LAYOUTS, value.name)


def write_memory_format(name: str) -> MemoryFormat:
    """Return the schema's member for torch's name of a memory format."""
    return MemoryFormat[_named(_MEMORY_FORMATS, name, "memory format")]


def read_memory_format(value: MemoryFormat) -> str:
    """Return torch's name of a memory format for the schema's member."""
    return _back(_MEMORY_FORMATS, value.name)


def _named(table: Mapping[str, str], name: str, what: str) -> str:
    if name not in table:
        raise Unrepresentable(f"{what} {name}")
    return table[name]


def _back(table: Mapping[str, str], name: str) -> str:
    return next((key for key, value in table.items() if value == name), name)


#: torch's dtype objects by the members of the schema, for the dtypes that this torch has.
DTYPES: Mapping[ScalarType, torch.dtype] = MappingProxyType(
    {ScalarType[member]: getattr(torch, name) for name, member in _DTYPES.items() if hasattr(torch, name)}
)
SCALAR_TYPES: Mapping[torch.dtype, ScalarType] = MappingProxyType({dtype: scalar for scalar, dtype in DTYPES.items()})
#: torch's layout objects by the members of the schema, for the layouts that can be stored.
LAYOUTS: Mapping[Layout, torch.layout] = MappingProxyType(
    {Layout[member]: getattr(torch, name) for name, member in _LAYOUTS.items() if name != "_mkldnn"}
)
LAYOUT_NUMBERS: Mapping[torch.layout, Layout] = MappingProxyType({layout: number for number, layout in LAYOUTS.items()})
