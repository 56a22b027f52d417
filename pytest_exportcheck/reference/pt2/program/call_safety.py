"""Checks of the texts of a program that ``ExportedProgram.module()`` turns into Python code.

torch puts guards, names of arguments, constant texts among the inputs and keys of mappings into a source, in quotes at
best.
"""

from __future__ import annotations

import ast
import keyword
from collections.abc import Iterable, Mapping
from typing import Any

from torch.export import ModuleCallSignature

from pytest_exportcheck.errors import SchemaError, UnsupportedError
from pytest_exportcheck.reference._torch.values import pytree

_QUOTES = frozenset("'\"")
_LONGEST = 100_000  # characters of a guard
_OPERATIONS = (ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context)
_SHAPES = (
    ast.Expression,
    ast.BinOp,
    ast.UnaryOp,
    ast.BoolOp,
    ast.Compare,
    ast.IfExp,
    ast.Subscript,
    ast.Tuple,
    ast.List,
)
_FUNCTIONS = frozenset(
    {"IsNonOverlappingAndDenseIndicator", "cast_symbool_to_symint_guardless"}
    | {"max", "min", "int", "float", "round", "abs", "bool", "len"}
)
_NAMES = frozenset({"L", "inf", "math", "torch"}) | _FUNCTIONS
_METHODS = frozenset({"size", "stride", "storage_offset", "item", "dim", "numel"})


def checked_guard(text: object) -> str:
    """Return the guard, which must be a condition on sizes.

    Raises
    ------
    SchemaError
        For any other text.
    """
    if not isinstance(text, str) or len(text) > _LONGEST or "\n" in text or "\r" in text:
        raise SchemaError(f"guard {str(text)[:60]!r} is not a condition on one line.")
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SchemaError(f"guard {text[:60]!r} is not an expression: {error}.") from None
    for node in ast.walk(tree):
        if not isinstance(node, (*_SHAPES, *_OPERATIONS)) and not _is_harmless(node):
            raise SchemaError(
                f"guard {text[:60]!r} contains a {type(node).__name__}, which a condition on sizes cannot contain. Save the program again."
            )
    return text


def _is_harmless(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=str() as value):
            return _QUOTES.isdisjoint(value)
        case ast.Constant(value=value):
            return value is None or isinstance(value, (bool, int, float))
        case ast.Name(id=name):
            return name in _NAMES
        case ast.Attribute(value=ast.Name(id="torch"), attr=name):
            return name.startswith("sym_")
        case ast.Attribute(attr=name):
            return not name.startswith("_")
        case ast.Call(func=ast.Name(id=name), keywords=[]):
            return name in _FUNCTIONS
        case ast.Call(func=ast.Attribute(value=ast.Name(id=module)), keywords=[]) if module != "L":
            return module in ("math", "torch")
        case ast.Call(func=ast.Attribute(attr=name), keywords=[]):
            return name in _METHODS
    return False


def check_call(signature: ModuleCallSignature) -> None:
    """Refuse names of arguments that are not valid.

    Raises
    ------
    SchemaError
        With the name.
    """
    names = list(signature.forward_arg_names or ())
    spec = signature.in_spec
    if (
        isinstance(spec, pytree.TreeSpec)
        and spec.type is tuple
        and spec.num_children == 2
        and spec.child(1).type is dict
    ):
        names.extend(spec.child(1).context)
    for name in names:
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
            raise SchemaError(f"{str(name)[:60]!r} is not the name of an argument of a call.")


def check_example(constants: Iterable[object], example_inputs: Any) -> None:
    """Refuse texts that would break out of the quotes that torch puts around them, which it does where there are
    example inputs.

    Raises
    ------
    UnsupportedError
        With the text.
    """
    rest, seen = [example_inputs], set[int]()
    while rest:
        given = rest.pop()
        if id(given) in seen:  # a pickle may hold a list in itself, or in a list twice, and so on
            continue
        seen.add(id(given))
        if isinstance(given, Mapping):
            for key in given:
                if isinstance(key, str) and not _QUOTES.isdisjoint(key):
                    raise _refusal(key, "the key of a mapping among the example inputs")
            rest.extend(given.values())
        elif isinstance(given, (list, tuple)):
            rest.extend(given)
    for text in constants if example_inputs else ():
        if isinstance(text, str) and not _stays_in_quotes(text):
            raise _refusal(text, "a constant input")


def _refusal(text: str, what: str) -> UnsupportedError:
    return UnsupportedError(
        f"{what} is {text[:60]!r}, which breaks out of its quotes in the Python code that torch generates. Save the program without "
        "such strings, or without example inputs."
    )


def _stays_in_quotes(text: str) -> bool:
    """Return whether the text stays in its quotes in the source that torch makes, or never reaches the compiler because
    torch cannot parse it.
    """
    if "\n" in text or "\r" in text or "L[" in text:
        return set(text).isdisjoint("'\"\\")
    try:
        tree = ast.parse(f"'{text}'", mode="eval").body
    except (SyntaxError, ValueError):
        return True
    except (RecursionError, MemoryError):
        return False
    value = tree.value if isinstance(tree, ast.Constant) else None
    return _QUOTES.isdisjoint(text) and isinstance(value, str) and _QUOTES.isdisjoint(value)
