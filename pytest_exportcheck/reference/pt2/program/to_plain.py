"""An exported program as one plain value: mappings keyed by names, in which every part of the program has its place.

A *graph* is ``{"order": [names], "nodes": {name: node}, "graphs": {attribute: graph}, "meta": {...}}``, a *node*
``{"op", "target", "args", "kwargs", "meta"}``. Two programs are the same where their plain programs are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.fx
from torch.export import ExportedProgram

from pytest_exportcheck.errors import SerializationWarning, UnsupportedError
from pytest_exportcheck.reference._torch.objects import described
from pytest_exportcheck.reference._torch.values import guards_of
from pytest_exportcheck.reference.pt2 import expressions
from pytest_exportcheck.reference.pt2.plain.kind import Plain, Write
from pytest_exportcheck.reference.pt2.plain.names import target_name
from pytest_exportcheck.reference.pt2.plain.values import PlainWriter
from pytest_exportcheck.reference.pt2.program.node_safety import CODE_KEYS
from pytest_exportcheck.reference.pt2.treespec import describe_spec
from pytest_exportcheck.reference.pt2.warn import warn_caller


def plain_program(program: ExportedProgram) -> dict[str, Plain]:
    """Return the program without its tensors, which are payloads.

    Raises
    ------
    UnsupportedError
        For a node, an argument or a part of the signature that no file can hold. Metadata that none can hold is left
        out with a warning.
    """
    plain = PlainWriter()
    return {
        "graph": plain_graph(program.graph_module, plain),
        "inputs": [_spec(spec, plain) for spec in program.graph_signature.input_specs],
        "outputs": [_spec(spec, plain) for spec in program.graph_signature.output_specs],
        "ranges": [
            [expressions.write(symbol), expressions.write(bounds.lower), expressions.write(bounds.upper)]
            for symbol, bounds in program.range_constraints.items()
        ],
        "calls": [_module_call(entry, plain) for entry in program.module_call_graph],
        "verifiers": [verifier.dialect for verifier in program.verifiers],
        "guards": guards_of(program),
    }


def plain_graph(module: torch.fx.GraphModule, plain: Write, place: str = "") -> dict[str, Plain]:
    """Return a graph module with those that it calls."""
    nodes = {node.name: _node(node, plain, place) for node in module.graph.nodes}
    held = {str(node.target) for node in module.graph.nodes if node.op == "get_attr"}
    graphs = {}
    for name in sorted(held):
        value = getattr(module, name, None)
        if not isinstance(value, torch.fx.GraphModule):
            raise UnsupportedError(
                f"node get_attr {place}{name} reads a {type(value).__name__}; a program holds tensors as inputs of its graph "
                "and graphs as attributes. Register the tensor as a buffer of the model, or pass it to the operator as an operand, and export again."
            )
        graphs[name] = plain_graph(value, plain, f"{place}{name}.")
    return {
        "order": list(nodes),
        "nodes": nodes,
        "graphs": graphs,
        "meta": dict(_meta(module.meta, plain, f"graph {place}")),
    }


def _node(node: torch.fx.Node, plain: Write, place: str) -> dict[str, Plain]:
    try:
        return {
            "op": node.op,
            "target": str(node.target)
            if node.op in ("placeholder", "get_attr", "output")
            else target_name(node.target),
            "args": [plain(each) for each in node.args],
            "kwargs": {key: plain(value) for key, value in node.kwargs.items()},
            "meta": dict(_meta(_described(node), plain, f"node {place}{node.name}")),
        }
    except UnsupportedError as error:
        raise UnsupportedError(f"node {place}{node.name} ({node.format_node()}): {error}") from None


def _described(node: torch.fx.Node) -> Mapping[Any, Any]:
    """Return the metadata of a node in which an object that it yields has a name and a class."""
    return {**node.meta, "val": described(node.name, node.meta["val"])} if "val" in node.meta else node.meta


def _meta(meta: Mapping[Any, Any], plain: Write, owner: str) -> Iterator[tuple[str, Plain]]:
    """Yield metadata in the order of keys, which has no meaning."""
    for key in sorted(meta, key=str):
        try:
            yield _key(key), _functions(meta[key], plain) if key == "source_fn_stack" else plain(meta[key])
        except (
            UnsupportedError,
            TypeError,
            ValueError,
        ) as error:  # a TypeError or ValueError comes from a malformed stack
            warn_caller(f"metadata {key!r} of {owner} is left out: {error}.", SerializationWarning)


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise UnsupportedError("its key is not a string")
    if key in CODE_KEYS:
        raise UnsupportedError("it changes the code that torch generates")
    return key


def _functions(stack: Any, plain: Write) -> Plain:
    """Return the functions of a stack, each by a name that can be found again, or by its plain name, as torch's writer
    has it.
    """

    def named(function: Any) -> Plain:
        try:
            return plain(function)
        except UnsupportedError:
            return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__name__)}"

    return [{"tuple": [plain(name), named(function)]} for name, function in stack]


def _spec(spec: Any, plain: Write) -> dict[str, Plain]:
    persistent = {"persistent": spec.persistent} if hasattr(spec, "persistent") else {}
    return {"kind": spec.kind.name, "arg": plain(spec.arg), "target": spec.target, **persistent}


def _module_call(entry: Any, plain: Write) -> dict[str, Plain]:
    signature = entry.signature
    if signature is None:
        return {"fqn": entry.fqn, "signature": None}
    return {
        "fqn": entry.fqn,
        "signature": {
            "inputs": [plain(each) for each in signature.inputs],
            "outputs": [plain(each) for each in signature.outputs],
            "in_spec": describe_spec(signature.in_spec),
            "out_spec": describe_spec(signature.out_spec),
            "forward_arg_names": plain(signature.forward_arg_names),
        },
    }
