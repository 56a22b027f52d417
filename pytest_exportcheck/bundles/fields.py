"""The text of one field of a program. ``repro.py`` contains the functions of this file, so they use torch only."""

import hashlib
import re
from typing import Any

import torch

#: Checks whose fields can be read without the plugin.
READABLE = ("metadata", "val", "nodes", "signature", "state", "constants", "call_spec", "module_calls")


def field_text(made: Any, check: str, key: str, place: str) -> str:
    """Return the lines of what a stage made that a check is about: those of one node where the place names one."""
    lines = field_lines(made, check, key)
    name = re.split(r"[.: ]", place.strip("%"))[-1]
    own = [line for line in lines if line.partition(":")[0] == name]
    return "\n".join(own or lines)


def field_lines(made: Any, check: str, key: str) -> list[str]:
    """Return the lines about a check: of every node, or of every part of the signature or the state."""
    if not isinstance(made, torch.export.ExportedProgram) or check == "state":
        module = made.module() if isinstance(made, torch.export.ExportedProgram) else made
        kinds = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
        kept = module.state_dict()
        return [
            f"{name}: {type(each).__name__} {tensor_text(each)} persistent={name in kept} {tensor_facts(each)}"
            for name, each in kinds
        ]
    nodes = [node for owner in made.graph_module.modules() if hasattr(owner, "graph") for node in owner.graph.nodes]
    if check == "metadata":
        return [f"{node.name}: {plain_text(node.meta.get(key.rpartition('.')[2], 'missing'))}" for node in nodes]
    if check == "val":
        return [f"{node.name}: {plain_text(node.meta.get('val', 'missing'))}" for node in nodes]
    if check == "nodes":
        return [f"{node.name}: {node.op} {node.target} {node.args} {node.kwargs}" for node in nodes]
    if check == "constants":
        return [f"{name}: {tensor_text(each)}" for name, each in made.constants.items()]
    if check == "signature":
        return [str(spec) for spec in (*made.graph_signature.input_specs, *made.graph_signature.output_specs)]
    if check == "call_spec":
        return [f"in: {made.call_spec.in_spec}", f"out: {made.call_spec.out_spec}"]
    return [f"{entry.fqn}: {entry.signature}" for entry in made.module_call_graph]


def tensor_text(value: Any) -> str:
    """Return the facts of a tensor, and a digest of its values."""
    if not isinstance(value, torch.Tensor):
        return f"{type(value).__name__}"
    values = hashlib.sha1(str(value.detach().flatten().tolist()).encode()).hexdigest()[:8]
    return f"{value.dtype} {tuple(value.shape)} requires_grad={value.requires_grad} values {values}"


def plain_text(value: Any) -> str:
    """Return a value as text, without the folders of files and without addresses."""
    text = tensor_facts(value) if isinstance(value, torch.Tensor) else str(value)
    return re.sub(r" at 0x[0-9a-f]+", "", re.sub(r'File "[^"]*[/\\]', 'File "', text))


def tensor_facts(value: Any) -> str:
    """Return shape, dtype and strides of a tensor without data."""
    return f"{value.dtype} {tuple(value.shape)} {tuple(value.stride()) if value.layout == torch.strided else ''}"


def digest_of(text: str) -> str:
    """Return a digest of a field."""
    return hashlib.sha1(text.encode()).hexdigest()
