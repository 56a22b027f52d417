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


@dataclass(frozen=True)
class Leaf:
    """One leaf of the arguments. ``keys`` lead to it from the parameters of ``forward``. ``source`` is its place for
    guards, ``L['x'][0]['mask']``; ``place`` is the text of its place from ``args`` or ``kwargs`` on. One tensor that is
    given twice is two leaves: the second has an alias of it.
    """

    value: Any
    keys: tuple[Any, ...]
    source: Any
    place: str
    named: bool = True

    @property
    def name(self) -> str:
        """Return the wanted name of the leaf's placeholder: the path, without the name of ``**kwargs`` itself."""
        keys = self.keys if self.named else self.keys[1:]
        return "_".join(re.sub(r"[^a-zA-Z0-9]", "_", str(_part(key))) for key in keys).lower()

    @property
    def text(self) -> str:
        """Return the path as a user would write it: ``x[0]['mask']``."""
        first, *others = map(_part, self.keys)
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
    """Return the example of a call. Refuse what is not a module, and arguments that do not fit ``forward`` or that a
    program cannot take.
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
    numbered = signature.bind(*range(len(args)), **{name: name for name in kwargs})
    parameters = {each: keys for keys, each in pytree.tree_flatten_with_path(dict(numbered.arguments))[0]}
    rest = next((each.name for each in signature.parameters.values() if each.kind is each.VAR_KEYWORD), None)
    leaves: list[Leaf] = []
    seen: set[int] = set()
    for place, value in pytree.tree_flatten_with_path({"args": args, "kwargs": kwargs})[0]:
        if isinstance(value, torch.Tensor) and id(value) in seen:  # fakes go by identity
            value = value.detach().requires_grad_(value.requires_grad)
        seen.add(id(value))
        keys = (*parameters[_part(place[1])], *place[2:])
        leaf = Leaf(value, keys, _source(keys), f"L{pytree.keystr(place)}", named=_part(keys[0]) != rest)
        _refuse_unsupported(leaf)
        leaves.append(leaf)
    return Example(
        args,
        kwargs,
        bound.arguments,
        tuple(leaves),
        pytree.tree_flatten((args, kwargs))[1],
        [*("_".join(str(_part(key)) for key in parameters[number]) for number in range(len(args))), *kwargs],
    )


def _part(key: Any) -> Any:
    """Return the name or the number by which a key leads on."""
    if isinstance(key, pytree.GetAttrKey):
        return key.name
    return key.idx if isinstance(key, pytree.SequenceKey) else key.key


def _source(keys: tuple[Any, ...]) -> Any:
    source: Any = LocalSource(_part(keys[0]))
    for key in keys[1:]:
        source = (AttrSource if isinstance(key, pytree.GetAttrKey) else GetItemSource)(source, _part(key))
    return source


def _refuse_unsupported(leaf: Leaf) -> None:
    value = leaf.value
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
