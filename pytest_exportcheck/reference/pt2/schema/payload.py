"""The other JSON records of an archive: what is said of weights and constants, and what AOTInductor keeps."""

from __future__ import annotations

from pytest_exportcheck.reference.pt2.schema.base import Record
from pytest_exportcheck.reference.pt2.schema.graph import Node
from pytest_exportcheck.reference.pt2.schema.scalars import TensorMeta


class PayloadMeta(Record, frozen=True):
    """One weight or constant; a pickled object has no ``tensor_meta``."""

    path_name: str
    is_param: bool
    use_pickle: bool
    tensor_meta: TensorMeta | None


class PayloadConfig(Record, frozen=True):
    """Of every weight or constant, by its fully qualified name."""

    config: dict[str, PayloadMeta]


class AOTInductorModelPickleData(Record, frozen=True):
    library_basename: str
    input_names: list[str]
    output_names: list[str]
    floating_point_input_dtype: int | None = None
    floating_point_output_dtype: int | None = None
    aot_inductor_model_is_cpu: bool | None = None


class ExternKernelNode(Record, frozen=True):
    name: str
    node: Node


class ExternKernelNodes(Record, frozen=True):
    nodes: list[ExternKernelNode]


__all__ = ["AOTInductorModelPickleData", "ExternKernelNode", "ExternKernelNodes", "PayloadConfig", "PayloadMeta"]
