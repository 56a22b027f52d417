"""Fingerprints of programs: whether a stage edited what it was given, and which part of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from pytest_exportcheck.tensors import as_bytes, has_values, storage_key

#: Keys that torch puts into the ``custom`` metadata of programs for its own use, whenever Dynamo has run before.
TORCHS_CUSTOM = "_torchdynamo_disable"


def fingerprint(program: torch.export.ExportedProgram) -> dict[str, str]:
    """A digest of each part of a program: graph, metadata, signature, state, constraints.

    Only valid while the program is alive: metadata values that are no plain data are told apart by identity, tensors by identity,
    version counter and a checksum of their bytes.
    """
    nodes = list(_nodes(program.graph_module))
    return {
        "graph": _digest(_node_text(node) for node in nodes),
        "metadata": _digest(_metadata_text(node) for node in nodes),
        "signature": _digest([repr(program.graph_signature)]),
        "state": _digest(_state_text({**program.state_dict, **program.constants})),
        "constraints": _digest([repr(program.range_constraints), repr(program.call_spec)]),
    }


def edited(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """The parts in which two fingerprints of one program differ."""
    return tuple(part for part in before if before[part] != after[part])


def _digest(parts: Any) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part.encode())
        digest.update(b"\0")
    return digest.hexdigest()


def _nodes(module: torch.nn.Module) -> Iterator[torch.fx.Node]:
    for owner in module.modules():
        if isinstance(owner, torch.fx.GraphModule):
            yield from owner.graph.nodes


def _node_text(node: torch.fx.Node) -> str:
    return f"{node.name} {node.op} {node.target} {node.args} {node.kwargs}"


def _metadata_text(node: torch.fx.Node) -> str:
    return " ".join(f"{key}={_value_text(value)}" for key, value in node.meta.items())


def _value_text(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"{value.dtype}{tuple(value.shape)}{tuple(value.stride()) if _strided(value) else ''}"
    if isinstance(value, dict):
        entries = ((key, entry) for key, entry in value.items() if not str(key).startswith(TORCHS_CUSTOM))
        return "{" + ",".join(f"{key}:{_value_text(entry)}" for key, entry in entries) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_value_text, value)) + "]"
    return repr(value) if isinstance(value, (str, int, float, bool, type(None))) else f"@{id(value)}"


def _strided(tensor: torch.Tensor) -> bool:
    return tensor.layout is torch.strided and not tensor.is_nested


def _state_text(state: Mapping[str, Any]) -> Iterator[str]:
    for name, value in state.items():
        text = f"{name} {type(value).__name__} {id(value)}"
        if isinstance(value, torch.Tensor):
            text += f" {value.dtype} {storage_key(value)} {tuple(value.shape)} {_version(value)} {_checksum(value)}"
        yield text


def _version(tensor: torch.Tensor) -> int:
    return tensor._version if not tensor.is_inference() else 0


def _checksum(tensor: torch.Tensor) -> str:
    """The bytes of a dense tensor, summed in two ways: cheap, and any single change shows."""
    if not _strided(tensor) or not has_values(tensor) or tensor.numel() == 0 or tensor.is_quantized:
        return ""
    data = as_bytes(tensor).to(torch.uint8)
    words = data[: data.numel() // 8 * 8].view(torch.int64) if data.numel() >= 8 else data.to(torch.int64)
    tail = int(data[data.numel() // 8 * 8 :].sum())
    return f"{int(words.sum())} {int(words[::2].sum())} {tail}"
