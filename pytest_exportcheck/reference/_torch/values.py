"""Values: pytrees, fake tensors, operators, and private attributes of tensors, modules, graphs and programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import _ops
from torch._export import verifier as _verifier  # noqa: TID251 -- programs are checked by torch's verifiers
from torch._subclasses import fake_tensor as _fake_tensor
from torch.fx.traceback import NodeSource
from torch.utils import _pytree

# Inputs, outputs and specs of programs are this module's; ``torch.utils.pytree`` has no key paths and no registered
# names (2.13).
pytree = _pytree

# Tensors without data are the values of nodes; torch has no public names for them (2.13).
FakeTensor = _fake_tensor.FakeTensor
FakeTensorMode = _fake_tensor.FakeTensorMode

# Leaves the fake mode that a caller has entered: an export makes its own (2.13).
outside_fake_modes = _fake_tensor.unset_fake_temporarily

# The checks of ExportedProgram's constructor: it requires one of these classes, and files name them by dialect (2.13).
Verifier = _verifier.Verifier
TrainingIRVerifier = _verifier.TrainingIRVerifier
SpecViolationError = _verifier.SpecViolationError
load_verifier = _verifier.load_verifier

# --- operators ------------------------------------------------------------------------------

# The classes of operators, which distinguish operators from functions; torch.ops has no public ones (2.13).
HigherOrderOperator = _ops.HigherOrderOperator
OpOverload = _ops.OpOverload
OpOverloadPacket = _ops.OpOverloadPacket

# Operators whose names begin with an underscore: torch.export writes these into programs (2.13).
ASSERT_SCALAR = torch.ops.aten._assert_scalar.default
ASSERT_TENSOR_METADATA = torch.ops.aten._assert_tensor_metadata.default

# Operators that inform a profiler; they do nothing in a program (2.13).
PROFILER_MARKS = (
    torch.ops.profiler._record_function_enter.default,
    torch.ops.profiler._record_function_enter_new.default,
    torch.ops.profiler._record_function_exit._RecordFunction,
)

# Functions that the namespace torch.nn.functional takes from C++: a file names them by this module (2.13).
nn_functions: ModuleType = torch._C._nn

# The opset version that a file states; torch.export.save writes the same number (2.13).
newest_opset_version: Callable[[], int] = torch._C._get_max_operator_version


def schema_of_operator(operator: OpOverload) -> Any:
    """Return the ``torch.FunctionSchema`` of an operator, which has no public attribute (2.13)."""
    return operator._schema


def overload_of_operator(operator: OpOverload) -> str:
    """Return the name of an overload, ``default`` where the schema has none: the schema holds an empty text there
    (2.13).
    """
    return operator._overloadname


def name_of_packet(packet: OpOverloadPacket) -> str:
    """Return ``aten::add`` of ``torch.ops.aten.add``: a packet has no public qualified name (2.13)."""
    return packet._qualified_op_name


# --- tensors --------------------------------------------------------------------------------

# Sets the negative bit of a restored view; the public operators negate the data (2.13).
negative_view: Callable[[torch.Tensor], torch.Tensor] = torch._neg_view


def is_functorch_tensor(tensor: torch.Tensor) -> bool:
    """Return True for a tensor of a torch.func transform in progress; torch.func has no public test (2.13)."""
    return bool(torch._C._functorch.is_functorch_wrapped_tensor(tensor))


def coo_parts(tensor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return indices and values as they are stored: the public methods refuse a tensor that is not coalesced (2.13)."""
    return tensor._indices(), tensor._values()


def empty_coo(
    sparse_dim: int, dense_dim: int, shape: tuple[Any, ...], *, is_coalesced: bool, **kind: Any
) -> torch.Tensor:
    """Return a COO tensor without elements: the public constructor computes the dims from elements, and derives whether
    the tensor is coalesced (2.13).
    """
    tensor = torch.ops.aten._sparse_coo_tensor_with_dims(sparse_dim, dense_dim, shape, layout=torch.sparse_coo, **kind)
    coalesced: torch.Tensor = tensor._coalesced_(is_coalesced)
    return coalesced


def fresh_fake(known: torch.Tensor) -> torch.Tensor:
    """Return a fake tensor like this dense one without an offset, with a storage that no other tensor has. The private
    operator and constructor keep symbolic sizes as they are; public functions compute from them, ten times as long (2.13).
    """
    with outside_fake_modes():
        sized = torch.empty(0, dtype=known.dtype, device="meta")
        torch.ops.inductor.resize_storage_bytes_(sized, known.untyped_storage().nbytes())
        like = sized.as_strided(known.shape, known.stride(), 0)
        return FakeTensor(known.fake_mode, like.data, known.device)  # type: ignore[attr-defined]


# --- modules and graphs ---------------------------------------------------------------------


def state_tables(module: torch.nn.Module) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parameters and the buffers that a module holds itself; the public iterators leave out tied ones
    (2.13).
    """
    return module._parameters, module._buffers


def non_persistent_buffers(module: torch.nn.Module) -> set[str]:
    """Return the names of the buffers that a module holds itself and its state dict leaves out; there is no public list
    (2.13).
    """
    return module._non_persistent_buffers_set


def rename_node(node: torch.fx.Node, name: str) -> None:
    """Give a node exactly this name: the public setter changes the name where the graph has a node of that name
    (2.13).
    """
    node.name = node._name = name


@contextmanager
def on_new_nodes(module: torch.fx.GraphModule, note: Callable[[torch.fx.Node], None]) -> Iterator[None]:
    """Call ``note`` with each node that is created in the graphs of a module: torch's passes do not return what they
    create (2.13).
    """
    module._register_create_node_hook(note)
    try:
        yield
    finally:
        module._unregister_create_node_hook(note)


def node_source(given: Mapping[str, Any]) -> NodeSource | None:
    """Build a ``from_node`` entry from what ``to_dict`` returns; the reverse of that public method is private
    (2.13).
    """
    return NodeSource._from_dict(dict(given))


def current_traceback() -> Any:
    """Return the stack as a ``ShapeEnv`` remembers it for each symbol; it accepts no other class (2.13)."""
    return torch.utils._traceback.CapturedTraceback.extract()  # type: ignore[no-untyped-call]


# --- programs -------------------------------------------------------------------------------


def guards_of(program: torch.export.ExportedProgram) -> list[str]:
    """Return the guards that ``program.module()`` checks at each call; they have no public attribute (2.13)."""
    return list(program._guards_code)


def set_guards(program: torch.export.ExportedProgram, guards: list[str]) -> None:
    """Give a program its guards: the constructor derives some of them, and takes none (2.13)."""
    program._guards_code = guards
