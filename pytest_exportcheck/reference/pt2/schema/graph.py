"""A graph: its nodes, their arguments (a graph may be one), and the metadata of its values."""

from __future__ import annotations

import msgspec

from pytest_exportcheck.reference.pt2.schema.arguments import (
    CustomObjArgument,
    OptionalTensorArgument,
    SymBoolArgument,
    SymFloatArgument,
    SymIntArgument,
    TensorArgument,
)
from pytest_exportcheck.reference.pt2.schema.base import Record, Tagged
from pytest_exportcheck.reference.pt2.schema.scalars import (
    ArgumentKind,
    ComplexValue,
    Device,
    Layout,
    MemoryFormat,
    ScalarType,
    SymBool,
    SymFloat,
    SymInt,
    TensorMeta,
)


class Argument(Tagged):
    """A value that a node takes or returns, or that a graph takes or returns."""

    __slots__ = ()
    as_none: bool
    as_tensor: TensorArgument
    as_tensors: list[TensorArgument]
    as_int: int
    as_ints: list[int]
    as_float: float
    as_floats: list[float]
    as_string: str
    as_strings: list[str]
    as_sym_int: SymIntArgument
    as_sym_ints: list[SymIntArgument]
    as_scalar_type: ScalarType
    as_memory_format: MemoryFormat
    as_layout: Layout
    as_device: Device
    as_bool: bool
    as_bools: list[bool]
    as_sym_bool: SymBoolArgument
    as_sym_bools: list[SymBoolArgument]
    as_graph: GraphArgument
    as_optional_tensors: list[OptionalTensorArgument]
    as_custom_obj: CustomObjArgument
    as_operator: str
    as_sym_float: SymFloatArgument
    as_sym_floats: list[SymFloatArgument]
    as_optional_tensor: OptionalTensorArgument
    as_complex: ComplexValue
    as_nested_tensors: list[list[TensorArgument]]
    as_int_lists: list[list[int]]
    as_string_to_argument: dict[str, Argument]
    as_float_lists: list[list[float]]


class NamedArgument(Record, frozen=True):
    """A named argument: ``name`` is that of the operator's schema; older files do not state the kind."""

    name: str
    arg: Argument
    kind: ArgumentKind | None = None


class Node(Record, frozen=True):
    """A call of ``target``, with provenance and the like in ``metadata``; older files do not name the node."""

    target: str
    inputs: list[NamedArgument]
    outputs: list[Argument]
    metadata: dict[str, str]
    is_hop_single_tensor_return: bool | None = None
    name: str | None = None


class Graph(Record, frozen=True):
    """A graph. ``is_single_tensor_return``: a subgraph returns its one tensor bare, not in a list."""

    inputs: list[Argument]
    outputs: list[Argument]
    nodes: list[Node]
    tensor_values: dict[str, TensorMeta]
    sym_int_values: dict[str, SymInt]
    sym_bool_values: dict[str, SymBool]
    is_single_tensor_return: bool = False
    custom_obj_values: dict[str, CustomObjArgument] = msgspec.field(default_factory=dict)
    sym_float_values: dict[str, SymFloat] = msgspec.field(default_factory=dict)


class GraphArgument(Record, frozen=True):
    """A subgraph of a higher-order operator, by the name of the attribute that holds it."""

    name: str
    graph: Graph


__all__ = ["Argument", "Graph", "GraphArgument", "NamedArgument", "Node"]
