"""Checks of the texts of a program that torch turns into Python code.

FX compiles a function of every graph when it is made: names of nodes, of placeholders and of keywords go into its
source as they are, arguments as their ``repr``. Therefore only checked names, and values whose ``repr`` is known, get
there from a file.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch.fx

from pytest_exportcheck.errors import SchemaError
from pytest_exportcheck.reference.pt2.plain.kind import Plain

#: Every name that FX makes consists of these signs.
_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
_OPERATIONS = ("placeholder", "get_attr", "call_function", "output")
_NUMBERS = {"int", "float", "complex", "sym_int", "sym_float", "sym_bool"}
_OF_TORCH = {"dtype", "layout", "memory_format", "device"}
#: Tags that an argument of a node may consist of: nothing that defines how to print itself, or how it is made.
_ARGUMENTS = {
    *_NUMBERS,
    *_OF_TORCH,
    *("node", "target", "enum", "tuple", "dict", "odict", "size", "return_type"),
    *("set", "frozenset", "slice", "ellipsis", "bytes"),
    "global",  # refused where it is read, with a better reason
}
#: Tags that ``val`` may consist of: torch's verifier iterates everything that can be iterated.
_RESULTS = {
    *_NUMBERS,
    *_OF_TORCH,
    *("tensor", "custom_object", "argument", "tuple", "dict", "odict", "size", "return_type", "bytes"),
}
#: Metadata that FX takes code from.
CODE_KEYS = frozenset({"is_wrapped", "boxed_arg_indices"})
_TAKEN = torch.fx.GraphModule(torch.nn.Module(), torch.fx.Graph())


def check_node(name: str, given: Mapping[str, Plain], graphs: Mapping[str, Plain]) -> None:
    """Refuse a node that could bring other code into its graph's function than a call of its target. ``graphs`` are
    those that the graph holds.

    Raises
    ------
    SchemaError
        With the part of the node that is refused.
    """
    op, target = given["op"], given["target"]
    _check_name(name, "the name of a node")
    if op not in _OPERATIONS:
        raise SchemaError(f"its kind is {op!r}, expected one of {', '.join(_OPERATIONS)}.")
    if op == "placeholder":
        _check_name(target, "the target of a placeholder")
        if given["kwargs"] or not all(each is None or type(each) in (bool, int, float, str) for each in given["args"]):
            raise SchemaError("a placeholder takes no arguments except a constant default.")
    if op == "get_attr" and target not in graphs:
        raise SchemaError(f"it reads {str(target)[:60]!r}, but the graph holds {', '.join(graphs) or 'no graphs'}.")
    for key in given["kwargs"]:
        if not key.isidentifier() or keyword.iskeyword(key):
            raise SchemaError(f"{key[:60]!r} is not the name of an argument.")
    for each in (*given["args"], *given["kwargs"].values()):
        _check_tags(each, _ARGUMENTS, "among the arguments of a node")
    _check_tags(given["meta"].get("val"), _RESULTS, "as the val of a node")
    for key in CODE_KEYS & given["meta"].keys():
        raise SchemaError(
            f"its metadata has {key!r}, which changes the code that torch generates. Delete it and save again."
        )


def check_graph_name(name: str) -> None:
    """Refuse a name under which a graph would hide a part of the module that holds it.

    Raises
    ------
    SchemaError
        With the name.
    """
    _check_name(name, "the name of a graph")
    if hasattr(_TAKEN, name):
        raise SchemaError(f"a graph is called {name!r}, which is an attribute of every module.")


def _check_name(name: object, what: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise SchemaError(f"{str(name)[:60]!r} is {what}, expected letters, digits and underscores.")


def _check_tags(value: Plain, allowed: set[str], where: str) -> None:
    for tag in _tags(value):
        if tag not in allowed:
            raise SchemaError(
                f"a value tagged {tag[:60]!r} is not allowed {where}. Expected one of {', '.join(sorted(allowed))}."
            )


#: Tags whose content is not a plain value.
_CLOSED = {"tensor", "node", "target", "enum", *_OF_TORCH, "custom_object", "bytes", "sym_int", "sym_float", "sym_bool"}


def _tags(value: Plain) -> Iterator[str]:
    rest: list[Any] = [value]
    while rest:
        given = rest.pop()
        if isinstance(given, list):
            rest.extend(given)
        elif isinstance(given, dict):
            for tag, content in given.items():
                yield tag
                if tag not in _CLOSED:
                    rest.append(content)
