"""The vocabulary of findings: the names of the fields that each check judges. Ini options use these names."""

from __future__ import annotations

from collections.abc import Mapping

_FACTS = {("changed", key): key for key in ("type", "shape", "dtype", "device", "layout", "stride", "value")}
_UNDECLARED = {
    (change, key): f"{change}_{key}"
    for change in ("accepted", "unguarded")
    for key in ("where_eager_refuses", "and_computed_otherwise")
}

#: check -> (change, key) -> field. A field that is not listed has the name of its key, or else of its change.
FIELDS: Mapping[str, Mapping[tuple[str, str], str]] = {
    "outputs": {("raised", ""): "raised", ("changed", "structure"): "structure", **_FACTS},
    "effects": {
        ("dropped", "mutation"): "mutation_lost",
        ("added", "mutation"): "mutation_added",
        ("changed", "mutation"): "mutated_to_another_value",
        ("dropped", "attribute_mutation"): "attribute_mutation_lost",
        ("unread", "attribute_mutation"): "attribute_mutation_lost_unread",
        **{(change, "container_update"): "container_update" for change in ("dropped", "added", "changed")},
        ("dropped", "between_calls"): "state_not_kept",
        ("changed", "generator"): "generator",
        ("dropped", "generator"): "generator_untouched",
        ("dropped", "python_state"): "python_state",
        ("unread", "python_state"): "python_state_unread",
        ("dropped", "outside"): "outside",
        ("unread", "outside"): "outside_unread",
    },
    "aliasing": {("dropped", ""): "broken", ("added", ""): "new"},
    "gradients": {
        ("changed", "requires_grad"): "requires_grad",
        ("changed", "grad_fn"): "grad_fn",
        ("raised", ""): "raised",
        ("dropped", ""): "dropped",
        ("gained", ""): "gained",
        ("changed", "value"): "value",
    },
    "state": {
        ("dropped", ""): "dropped",
        ("dropped", "tied_name"): "dropped_a_tied_name",
        ("dropped", "state_dict"): "dropped_from_state_dict",
        ("added", ""): "added",
        ("added", "another_call"): "added_for_another_call",
        ("added", "state_dict"): "added_to_state_dict",
        ("renamed", ""): "renamed",
        ("constant", ""): "baked_in_as_a_constant",
        **{
            ("changed", key): key
            for key in (
                *("kind", "persistence", "shape", "dtype", "device", "layout", "requires_grad", "stride"),
                *("stride_of_a_view", "value"),
            )
        },
        ("untied", ""): "untied",
        ("tied", ""): "tied",
        ("unshared", ""): "unshared",
        ("copied", ""): "copied",
        ("unwrapped", ""): "unwrapped",
        ("reordered", ""): "order",
        ("reordered", "program"): "order",
        ("reordered", "parameters_first"): "parameters_first",
    },
    "constants": {
        ("missing", ""): "missing",
        ("dropped", ""): "dropped",
        ("added", ""): "added",
        ("changed", "requires_grad"): "requires_grad",
        **_FACTS,
    },
    "constraints": {
        ("static", ""): "made_static",
        ("dynamic", ""): "made_dynamic",
        ("narrowed", ""): "narrowed",
        ("widened", ""): "widened",
        ("narrowed", "range"): "range_narrowed",
        ("widened", "range"): "range_widened",
        ("moved", "range"): "range_moved",
        ("added", "range"): "range_added",
        ("dropped", "range"): "range_dropped",
        ("dropped", "unused_range"): "range_of_an_unused_symbol_dropped",
        ("changed", "relation"): "relation",
        ("changed", "relation_of_keys_and_values"): "relation_of_keys_and_values",
        ("accepted", "guard"): "guard",
        ("refused", "guard"): "guard",
        ("dropped", "guard"): "guard_dropped",
        ("added", "guard"): "guard_added",
    },
    "signature": {
        ("dropped", ""): "dropped",
        ("added", ""): "added",
        **{
            ("changed", key): key
            for key in ("kind", "name", "target", "persistent", "constant_persistent", "value", "number")
        },
        ("reordered", ""): "order",
        ("reordered", "state"): "state_order",
    },
    "nodes": {
        ("dropped", ""): "dropped",
        ("added", ""): "added",
        ("dropped", "subgraph"): "subgraph_dropped",
        ("dropped", "unused_result"): "unused_result_dropped",
        ("added", "unused_result"): "unused_result_added",
        **{("changed", key): key for key in ("name", "op", "target", "args", "kwargs")},
        ("reordered", ""): "order",
        ("undefined", ""): "use_before_definition",
    },
    "metadata": {},
    "val": {
        ("missing", ""): "missing",
        ("gained", ""): "gained",
        ("changed", "storage_offset"): "storage_offset",
        ("changed", "length"): "length",
        ("changed", "symbol"): "symbol",
        ("changed", "output"): "output",
        **_FACTS,
    },
    "call_spec": {("changed", "structure"): "structure", ("changed", "names"): "names"},
    "module_calls": {
        ("dropped", ""): "dropped",
        ("dropped", "stateless"): "stateless_dropped",
        ("added", ""): "added",
        ("added", "made_by_the_capture"): "made_by_the_capture_added",
        ("changed", "signature"): "signature",
        ("reordered", ""): "order",
    },
    "examples": {
        ("dropped", ""): "dropped",
        ("added", ""): "added",
        ("changed", "structure"): "structure",
        ("changed", "requires_grad"): "requires_grad",
        **_FACTS,
    },
    "verifiers": {
        ("changed", "dialect"): "dialect",
        ("changed", ""): "changed",
        ("missing", ""): "missing",
        ("refused", ""): "refused",
    },
    "defaults": {("defaulted", "dtype"): "dtype", ("defaulted", "device"): "device"},
    "rejects": {("accepted", ""): "accepted", ("refused", ""): "refused_otherwise"},
    "stability": {
        ("changed", key): key
        for key in ("bytes", "names", "targets", "nn_module_stack", "module_call_graph", "signature")
    },
    "sizes": {
        ("narrowed", ""): "narrowed",
        ("widened", ""): "widened",
        **{(change, "undeclared"): "undeclared" for change in ("narrowed", "widened")},
        **{(change, "lower_bound"): "lower_bound" for change in ("narrowed", "widened")},
        **_UNDECLARED,
    },
    "stage": {
        ("raised", ""): "raised",
        ("raised", "objection"): "objection",
        **{("edited", key): "edited" for key in ("value", "requires_grad", "global_mode", "program")},
    },
    "golden": {
        ("missing", ""): "missing",
        ("raised", ""): "raised",
        **{(change, "signature"): "signature" for change in ("changed", "reordered")},
        ("changed", "range"): "range",
        **{(change, "guard"): "guard" for change in ("changed", "added", "dropped")},
    },
    "case": {("raised", ""): "raised", ("wrong", "sizes"): "unsound"},
}


def field_of(check: str, change: str, key: str, subject: str = "") -> str:
    """Return the name of the field that differs. Metadata of a node that is not an operation has the node's kind in
    front: ``placeholder.custom``.
    """
    if check == "metadata" and subject:
        return f"{subject}.{key}"
    return FIELDS.get(check, {}).get((change, key)) or key or change
