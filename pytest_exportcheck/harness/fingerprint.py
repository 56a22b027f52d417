"""Fingerprints of programs, which show whether a stage edited its input, and which part."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from pytest_exportcheck.harness._torch import DYNAMO_NOTE
from pytest_exportcheck.harness.module_attributes import ATOMS
from pytest_exportcheck.harness.tensors import as_bytes, as_plain, is_strided, parts_of, storage_key
from pytest_exportcheck.harness.tensors.writes import write_count


def fingerprint(program: torch.export.ExportedProgram, *, writes: bool = True) -> dict[str, str]:
    """Return a digest of each part of a program: graph, metadata, graph modules, signature, state, constraints.

    The digest is valid only while the program is alive: metadata values that are not plain data are identified by
    identity, tensors by identity, version counter and a checksum of their bytes. Without ``writes`` the counter is left out:
    a compiler that runs the program may write to its state and put it back.
    """
    nodes = list(nodes_of(program.graph_module))
    return {
        "graph": digest_of(node_text(node) for node in nodes),
        "metadata": digest_of(_metadata_text(node) for node in nodes),
        "graph module": digest_of(_module_texts(program.graph_module)),
        "signature": digest_of([repr(program.graph_signature)]),
        "state": digest_of(_state_text({**program.state_dict, **program.constants}, writes)),
        "constraints": digest_of([repr(program.range_constraints), repr(program.call_spec)]),
    }


def edited(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """Return the parts in which two fingerprints of one program differ."""
    return tuple(part for part in before if before[part] != after[part])


def digest_of(parts: Any) -> str:
    """Return one digest of several texts."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part.encode())
        digest.update(b"\0")
    return digest.hexdigest()


def nodes_of(module: torch.nn.Module) -> Iterator[torch.fx.Node]:
    """Yield the nodes of every graph module."""
    for owner in module.modules():
        if isinstance(owner, torch.fx.GraphModule):
            yield from owner.graph.nodes


def _module_texts(module: torch.nn.Module) -> Iterator[str]:
    """Yield the metadata and the submodules of every graph module."""
    for path, owner in module.named_modules():
        children = [f"{name}@{id(child)}" for name, child in owner.named_children()]
        yield f"{path} {type(owner).__name__} {children} {_value_text(getattr(owner, 'meta', {}))}"


def node_text(node: torch.fx.Node) -> str:
    """Return the operation and the arguments of a node as text."""
    return f"{node.name} {node.op} {node.target} {node.args} {node.kwargs}"


def _metadata_text(node: torch.fx.Node) -> str:
    return " ".join(f"{key}={_value_text(value)}" for key, value in node.meta.items())


def _value_text(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return facts_text(value)
    if isinstance(value, dict):
        entries = ((key, entry) for key, entry in value.items() if not str(key).startswith(DYNAMO_NOTE))
        return "{" + ",".join(f"{key}:{_value_text(entry)}" for key, entry in entries) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_value_text, value)) + "]"
    return repr(value) if isinstance(value, ATOMS) else f"@{id(value)}"


@as_plain
def facts_text(tensor: torch.Tensor) -> str:
    """Return dtype, shape and strides of a tensor as text."""
    shape = "" if tensor.is_nested else f"{tuple(tensor.shape)}"
    return f"{tensor.dtype}{shape}{tuple(tensor.stride()) if is_strided(tensor) else ''}"


def _state_text(state: Mapping[str, Any], writes: bool = True) -> Iterator[str]:
    for name, value in state.items():
        text = f"{name} {type(value).__name__} {id(value)}"
        if isinstance(value, torch.Tensor):
            written = write_count(value) if writes else ""
            text += f" {facts_text(value)} {storage_key(value)} {written} {checksum_of(value)}"
        yield text


def checksum_of(tensor: torch.Tensor) -> str:
    """Return the bytes of the elements, summed in two ways: cheap, and any single change shows."""
    return " ".join(_sums(part) for _, part in parts_of(tensor) if part.numel())


def content_digest(tensor: torch.Tensor) -> str:
    """Return a digest of the type, the shape and the elements of a tensor, in their order; only of its type and shape where it
    has no data.
    """
    digest = hashlib.blake2b(f"{tensor.dtype} {tuple(tensor.shape)}".encode(), digest_size=16)
    for name, part in parts_of(tensor):
        data = as_bytes(part).cpu().contiguous()
        digest.update(f"{name} {tuple(part.shape)}".encode())
        if data.numel():
            digest.update((ctypes.c_char * data.numel()).from_address(data.data_ptr()))
    return digest.hexdigest()


def _sums(part: torch.Tensor) -> str:
    data = as_bytes(part).view(torch.uint8)
    whole = data.numel() // 8 * 8
    words = data[:whole].view(torch.int64)
    return f"{int(words.sum())} {int(words[::2].sum())} {int(data[whole:].sum())}"
