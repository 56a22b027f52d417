"""Facts about the operator that a node calls, from its schema and its tags; tables here hold the few that neither
states.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any

import torch

from pytest_exportcheck.describe.freeze import target_text
from pytest_exportcheck.harness._torch import OpOverload, schema_of_operator
from pytest_exportcheck.records.programs import OperatorFact

#: Arguments that switch off the drawing of random numbers if they are False or zero.
_SWITCHES = ("train", "training", "dropout", "dropout_p")


def operator_facts(target: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> frozenset[OperatorFact]:
    """Return the facts about a call of ``target`` with these arguments, in which values of other nodes may take the
    place of tensors.
    """
    if not isinstance(target, OpOverload):
        return _of_function(target)
    facts = _of_operator(target)
    return facts - {"random"} if "random" in facts and _switched_off(target, args, kwargs) else facts


def _switched_off(target: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    for place, argument in enumerate(schema_of_operator(target).arguments):
        if argument.name in _SWITCHES:
            given = args[place] if place < len(args) else kwargs.get(argument.name, argument.default_value)
            if isinstance(given, (bool, int, float)) and not given:
                return True
    return False


@cache
def _of_operator(target: OpOverload) -> frozenset[OperatorFact]:
    name = schema_of_operator(target).name
    found: set[OperatorFact] = {fact for fact, names in _NAMED.items() if name in names}
    found.update(_from_schema(target))
    if found & {"size_query", "assertion", "subclass_part"} or name in _INSERTED:
        found.add("bookkeeping")
    return frozenset(found)


def _from_schema(target: OpOverload) -> Iterator[OperatorFact]:
    schema = schema_of_operator(target)
    tensors = [argument for argument in schema.arguments if "Tensor" in str(argument.type)]
    returned = str(schema).rpartition("->")[2].strip()  # the only text that distinguishes SymInt from int
    if torch.Tag.nondeterministic_seeded in target.tags:
        yield "random"
    if schema.is_mutable:
        yield "mutates"
    if any(each.alias_info is not None and not each.alias_info.is_write for each in schema.returns):
        yield "view"
    if target.namespace != "aten":
        return
    if not schema.returns and schema.arguments and str(schema.arguments[0].type) == "number":
        yield "assertion"
        if any(argument.name == "max" for argument in schema.arguments):
            yield "bounds"
    if len(tensors) == 1 and returned in ("SymInt", "SymBool"):
        yield "size_query"
    if len(schema.arguments) == 1 and len(tensors) == 1 and returned == "Scalar":
        yield "fetch"


def _of_function(target: Any) -> frozenset[OperatorFact]:
    """Return the facts about a function of Python or a higher-order operator: the model itself calls none of them."""
    if target is operator.getitem:
        return frozenset({"bookkeeping", "fetch", "getitem"})
    level = callable(target) and target_text(target) in _LEVELS
    return frozenset({"bookkeeping", "interpreter_level"} if level else {"bookkeeping"})


# --- facts that schema and tags lack ----------------------------------------------------------


def _aten(*names: str) -> frozenset[str]:
    return frozenset(f"aten::{name}" for name in names)


#: Inserted by a capture to detach constants and to assert facts about tensors. The schemas are those of views, copies
#: and operators without results that a model may ask for.
_INSERTED = _aten(
    *("lift_fresh", "lift_fresh_copy", "detach", "detach_", "detach_copy", "alias", "alias_copy"),
    *("_assert_async", "_assert_tensor_metadata"),
)

#: Calls that begin and end a torch.func transform: their number is the interpreter's, and programs do not use it.
_LEVELS = (
    "torch._functorch.predispatch._vmap_increment_nesting",
    "torch._functorch.predispatch._vmap_decrement_nesting",
)

_ATTENTION = _aten(
    "scaled_dot_product_attention",
    "_scaled_dot_product_attention_math",
    "_scaled_dot_product_attention_math_for_mps",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_cudnn_attention_backward",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_efficient_attention_backward",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_flash_attention_backward",
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention_for_cpu_backward",
    "_scaled_dot_product_fused_attention_overrideable",
    "_scaled_dot_product_fused_attention_overrideable_backward",
)

_NAMED: Mapping[OperatorFact, frozenset[str]] = MappingProxyType(
    {
        # A view that its schema hides from autograd.
        "view": _aten("_unsafe_view"),
        # Writes a mutation back at the end of a functional program. The schema of the copy that returns its result is
        # that of any operator of two tensors.
        "copy": _aten("copy", "copy_"),
        # Fetches a tensor that a subclass wraps.
        "subclass_part": frozenset({"export::access_subclass_inner_tensor"}),
        # Which part of a tensor a query reads: both schemas are (Tensor, int) -> SymInt.
        "shape_query": _aten("sym_size"),
        "stride_query": _aten("sym_stride"),
        # The second and third argument are keys and values of equal length.
        "attention": _aten("scaled_dot_product_attention"),
        # One kernel for what eager computes in several operators.
        "fused_attention": _aten("_transformer_encoder_layer_fwd", "_native_multi_head_attention"),
        # Results have strides that do not depend on the strides of the arguments: a schema does not describe strides.
        "settles_strides": _ATTENTION
        | _aten(
            *("linear", "matmul", "mm", "addmm", "bmm", "baddbmm", "embedding", "contiguous", "cumsum", "repeat"),
            *("layer_norm", "native_layer_norm", "softmax", "_softmax", "log_softmax", "_log_softmax"),
            *("index_select", "gather"),
        ),
        # The same, if the call names a memory format that does not keep the strides of the argument.
        "settles_strides_by_format": _aten("clone", "_to_copy", "to", "empty_like"),
    }
)
