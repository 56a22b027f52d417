"""Descriptions of modules: state, call specification and types of submodules."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from pytest_exportcheck.describe.freeze import frozen_metadata, qualified
from pytest_exportcheck.describe.symbols import Symbols
from pytest_exportcheck.harness._torch import compiled_module, has_hooks, pytree
from pytest_exportcheck.harness.slots import slots_of
from pytest_exportcheck.harness.tensors import facts_of, storage_key
from pytest_exportcheck.records import CallSpecRecord, StateEntry, StateRecord


def state_of(module: torch.nn.Module) -> StateRecord:
    """Return every named tensor of a module, with the names that it is tied to, and the order of its
    ``state_dict()``.
    """
    entries: dict[str, StateEntry] = {}
    same_object: dict[int, str] = {}
    same_storage: dict[Any, str] = {}
    for slot in slots_of(module):
        tensor = slot.tensor
        key = storage_key(tensor) or ("", id(tensor))
        entries[slot.name] = StateEntry(
            name=slot.name,
            kind=slot.kind,
            persistent=slot.persistent,
            value=tensor,
            facts=facts_of(tensor),
            tied_to=same_object.setdefault(id(tensor), slot.name),
            shares_with=same_storage.setdefault(key, slot.name),
        )
    return StateRecord(entries, tuple(module.state_dict()))


def call_spec_of_call(
    module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], structure: Any
) -> CallSpecRecord:
    """Return how the eager module was called in an observation, and the structure that it returned."""
    return CallSpecRecord(pytree.tree_structure((args, dict(kwargs))), structure, _names(module, args, kwargs))


def _names(module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the names of the parameters of ``forward`` that the call passes, keywords in the order of the call; None
    where ``forward`` takes any number.
    """
    try:
        bound = inspect.signature(module.forward).bind(*args, **kwargs)
    except (TypeError, ValueError):  # a compiled forward does not describe its arguments
        return None
    parameters = bound.signature.parameters
    kinds = {each.kind for each in parameters.values()}
    variadic = inspect.Parameter.VAR_POSITIONAL in kinds or inspect.Parameter.VAR_KEYWORD in kinds
    return None if variadic else (*list(parameters)[: len(args)], *kwargs)


def call_spec_of(program: torch.export.ExportedProgram) -> CallSpecRecord:
    """Return how a program expects to be called."""
    signature = program.module_call_graph[0].signature if program.module_call_graph else None
    names = tuple(signature.forward_arg_names or ()) if signature else None
    return CallSpecRecord(program.call_spec.in_spec, program.call_spec.out_spec, names)


def module_types_of(module: torch.nn.Module) -> dict[str, str]:
    """Return the qualified class of every submodule by path, under every path; the module itself has the empty one."""
    return {path: qualified(type(owner)) for path, owner in module.named_modules(remove_duplicate=False)}


def claimed_types_of(module: torch.nn.Module) -> dict[str, frozenset[str]]:
    """Map submodule paths to further classes that a capture may name there.

    The nodes of a graph module name the modules that were traced, by paths from the graph module on: a capture keeps
    them, or puts the path of the graph module before them. Dynamo sees through a compiled module, to the one inside.
    """
    claims: dict[str, set[str]] = {}
    for owner_path, owner in module.named_modules(remove_duplicate=False):
        for path, kind in _named_in(owner):
            for place in (path, f"{owner_path}.{path}".strip(".")):
                claims.setdefault(place, set()).add(kind)
    return {path: frozenset(kinds) for path, kinds in claims.items()}


def _named_in(module: torch.nn.Module) -> Iterator[tuple[str, str]]:
    """Yield paths and classes as the nodes of a graph module name them, or as they are inside a compiled module."""
    inside = compiled_module(module)
    if inside is not None:
        yield from module_types_of(inside).items()
    graph = getattr(module, "graph", None)
    for node in graph.nodes if isinstance(graph, torch.fx.Graph) else ():
        stack = frozen_metadata({"nn_module_stack": node.meta.get("nn_module_stack")}, Symbols())
        for entry in stack.get("nn_module_stack", ()):
            if isinstance(entry, tuple) and len(entry) == 3:
                yield entry[1], entry[2]


def untraced_of(module: torch.nn.Module, *, holds_objects: bool = False) -> dict[str, str]:
    """Map submodule paths to the reason why operations may run outside a Python function ``forward`` of the user. torch
    records lines of code of such functions only. ``holds_objects``: the inputs hold objects of registered classes.
    """
    reasons = ((path, _untraced(owner)) for path, owner in module.named_modules(remove_duplicate=False))
    found = {path: reason for path, reason in reasons if reason}
    return {"": "inputs", **found} if holds_objects else found


def _untraced(module: torch.nn.Module) -> str:
    if type(module).forward is torch.nn.Module.forward and "forward" not in vars(module):
        return ""  # a container, which calls nothing
    code = getattr(module.forward, "__code__", None)
    if isinstance(module, torch.fx.GraphModule) or (code is not None and code.co_filename.startswith("<")):
        return "generated"
    if code is None or code.co_name != "forward" or type(module).__call__ is not torch.nn.Module.__call__:
        return "forward"
    return "hooks" if has_hooks(module) else ""
