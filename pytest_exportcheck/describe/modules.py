"""Modules and programs -> frozen records that the checks compare."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
import torch.utils._pytree as pytree

from pytest_exportcheck.describe.freeze import qualified
from pytest_exportcheck.records import CallSpecRecord, StateEntry, StateRecord
from pytest_exportcheck.snapshot import slots_of
from pytest_exportcheck.tensors import facts_of, storage_key


def state_of(module: torch.nn.Module) -> StateRecord:
    """Every named tensor of a module, with who is tied to whom, and the order of its ``state_dict()``."""
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
    """How the eager module was called in an observation, and the structure that it returned."""
    return CallSpecRecord(pytree.tree_structure((args, dict(kwargs))), structure, _names(module, args, kwargs))


def _names(module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The names of the parameters of ``forward`` that are given something, keywords in the order of the call; None where
    it takes any number."""
    try:
        bound = inspect.signature(module.forward).bind(*args, **kwargs)
    except (TypeError, ValueError):  # a compiled forward says nothing of its arguments
        return None
    parameters = bound.signature.parameters
    kinds = {each.kind for each in parameters.values()}
    variadic = inspect.Parameter.VAR_POSITIONAL in kinds or inspect.Parameter.VAR_KEYWORD in kinds
    return None if variadic else (*list(parameters)[: len(args)], *kwargs)


def call_spec_of(program: torch.export.ExportedProgram) -> CallSpecRecord:
    """How a program says that it is called."""
    signature = program.module_call_graph[0].signature if program.module_call_graph else None
    names = tuple(signature.forward_arg_names or ()) if signature else None
    return CallSpecRecord(program.call_spec.in_spec, program.call_spec.out_spec, names)


def module_types_of(module: torch.nn.Module) -> dict[str, str]:
    """Submodule path -> qualified class, under every path; the module itself under the empty one."""
    return {path: qualified(type(owner)) for path, owner in module.named_modules(remove_duplicate=False)}
