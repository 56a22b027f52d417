"""The example: the arguments that the module is called with, leaf by leaf, each with its place in the call."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pytest_exportcheck.reference._torch.objects import class_of_object, is_constant_object
from pytest_exportcheck.reference._torch.tracing import AttrSource, GetItemSource, LocalSource
from pytest_exportcheck.reference._torch.values import pytree
from pytest_exportcheck.reference.exporter.errors import InvalidCall, InvalidInput, NotSupported
from pytest_exportcheck.reference.exporter.objects import is_object

Path = tuple[Any, ...]


@dataclass(frozen=True)
class Leaf:
    """One leaf of the arguments. ``path`` begins with the name of the parameter: ``("x", 0, "mask")``; ``source`` is
    the same for guards: ``L['x'][0]['mask']``, and
    ``place`` is the text of that from ``args`` or ``kwargs`` on. One tensor that is given twice is two leaves: the
    second has an alias of it.
    """

    value: Any
    path: Path
    source: Any
    place: str
    named: bool = True

    @property
    def name(self) -> str:
        """Return the wanted name of the leaf's placeholder: the path, without the name of ``**kwargs`` itself."""
        parts = self.path if self.named else self.path[1:]
        return "_".join(re.sub(r"[^a-zA-Z0-9]", "_", str(part)) for part in parts).lower()

    @property
    def text(self) -> str:
        """Return the path as a user would write it: ``x[0]['mask']``."""
        first, *others = self.path
        return str(first) + "".join(f"[{part!r}]" for part in others)


@dataclass(frozen=True)
class Example:
    """The arguments of one call. ``leaves`` are in the order of the flattened ``(args, kwargs)``."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    by_name: Mapping[str, Any]
    leaves: tuple[Leaf, ...]
    in_spec: pytree.TreeSpec
    forward_arg_names: list[str]


def example_of(module: torch.nn.Module, args: Any, kwargs: Any) -> Example:
    """Return the example of a call.

    Raises
    ------
    InvalidInput
        When the model is not a module, or the arguments are not a tuple and a dict, do not fit ``forward``, or hold what a program cannot take.
    """
    if not isinstance(module, torch.nn.Module):
        raise InvalidInput(
            f"Expected `mod` to be an instance of `torch.nn.Module`, got {type(module)}. "
            "Call a function in the forward of a module."
        )
    if isinstance(module, torch.jit.ScriptModule):
        raise InvalidInput(
            "Exporting a ScriptModule is not supported. Export the nn.Module that was scripted, or convert the scripted module: "
            "torch._export.converter.TS2EPConverter(mod, args, kwargs).convert()."
        )
    if not isinstance(args, tuple):
        raise InvalidInput(
            f"Expecting `args` to be a tuple of example positional inputs, got {type(args)}. Write (x,) for a single one."
        )
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise InvalidCall(
            f"kwargs must be a mapping of keyword arguments, got {type(kwargs).__name__}. Pass a dict or None."
        )
    args, kwargs = tuple(args), dict(kwargs or {})
    signature = inspect.signature(module.forward)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise InvalidCall(
            f"{type(module).__name__}.forward{signature} cannot be called with the example: {error}. Pass args and kwargs that fit it."
        ) from None
    names = list(_names(signature, args, kwargs))
    rest = next((each.name for each in signature.parameters.values() if each.kind is each.VAR_KEYWORD), "")
    places = [*(f"L['args'][{number}]" for number in range(len(args))), *(f"L['kwargs'][{name!r}]" for name in kwargs)]
    leaves: list[Leaf] = []
    seen: set[int] = set()
    for (name, source), place, value in zip(names, places, (*args, *kwargs.values()), strict=True):
        for path, leaf in pytree.tree_flatten_with_path(value)[0]:
            if isinstance(leaf, torch.Tensor) and id(leaf) in seen:  # fakes go by identity
                leaf = leaf.detach().requires_grad_(leaf.requires_grad)
            seen.add(id(leaf))
            leaves.append(_leaf(name, source, place, path, leaf, rest))
    return Example(
        args,
        kwargs,
        bound.arguments,
        tuple(leaves),
        pytree.tree_flatten((args, kwargs))[1],
        ["_".join(map(str, name)) if place < len(args) else str(name[-1]) for place, (name, _) in enumerate(names)],
    )


def _names(signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Return the beginning of the path, and the source, of each argument of the call."""
    parameters = list(signature.parameters.values())
    positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    rest = next((each.name for each in parameters if each.kind is each.VAR_POSITIONAL), "")
    others = next((each.name for each in parameters if each.kind is each.VAR_KEYWORD), "")
    for place in range(len(args)):
        if place < len(positional):
            yield (positional[place].name,), LocalSource(positional[place].name)
        else:
            number = place - len(positional)
            yield (rest, number), GetItemSource(LocalSource(rest), number)
    for name in kwargs:
        if name in signature.parameters and signature.parameters[name].kind is not inspect.Parameter.VAR_KEYWORD:
            yield (name,), LocalSource(name)
        else:
            yield (others, name), GetItemSource(LocalSource(others), name)


def _leaf(name: Path, source: Any, place: str, keys: Any, value: Any, rest: str) -> Leaf:
    path = list(name)
    for key in keys:
        if isinstance(key, pytree.GetAttrKey):
            path.append(key.name)
            source = AttrSource(source, key.name)
        else:
            part = key.idx if isinstance(key, pytree.SequenceKey) else key.key
            path.append(part)
            source = GetItemSource(source, part)
    leaf = Leaf(value, tuple(path), source, place + pytree.keystr(keys), named=not rest or path[0] != rest)
    if is_constant_object(value):
        raise NotSupported(
            f"{leaf.text} is a constant object, {class_of_object(value)}: the program would use that of the example in every call. "
            "Make it an attribute of the model."
        )
    if value is not None and not isinstance(value, (torch.Tensor, int, float, bool, str)) and not is_object(value):
        raise InvalidInput(
            f"Unsupported input type {type(value)}: {leaf.text}, which the reference exporter does not accept. Pass tensors, numbers, "
            "strings and None, in tuples, lists, dicts, or in classes registered with torch.utils._pytree.register_pytree_node "
            "or torch.export.register_dataclass."
        )
    return leaf
