"""A pytree spec from torch's JSON text, in the form of ``describe_spec``, without its classes: they are only named."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from typing import Any

from pytest_exportcheck.errors import SchemaError
from pytest_exportcheck.reference.pt2.schema import TREESPEC_VERSION
from pytest_exportcheck.reference.pt2.treespec.registered import DAMAGED

#: Names that torch registers its own nodes under -> the kind of the description.
_KINDS: Mapping[str, str] = types.MappingProxyType(
    {
        "builtins.tuple": "tuple",
        "builtins.list": "list",
        "builtins.dict": "dict",
        "collections.OrderedDict": "OrderedDict",
        "collections.deque": "deque",
    }
)


def describe_foreign(text: str) -> Any:
    """Return the spec as JSON. A class is described by the name that it was registered under, and by what it keeps.

    Raises
    ------
    SchemaError
        Where the text is not what ``treespec_dumps`` writes.
    """
    try:
        version, tree = json.loads(text)
        if version != TREESPEC_VERSION:
            raise SchemaError(f"expected version {TREESPEC_VERSION} of a pytree spec, got {version!r}. {DAMAGED}")
        return _described(tree)
    except RecursionError:
        raise SchemaError(f"a pytree spec is nested too deeply to read. {DAMAGED}") from None
    except (TypeError, ValueError, KeyError, AttributeError):
        raise SchemaError(f"expected a pytree spec as JSON, got {text[:60]!r}. {DAMAGED}") from None


def _described(tree: Any) -> Any:
    name, context, children = tree["type"], tree["context"], tree["children_spec"]
    if name is None:
        return None
    kept = _context(context)
    kind = _KINDS.get(name)
    node = [kind, kept] if kind else ["registered", [str(name), kept]]
    return {"node": node, "children": [_described(each) for each in children]}


def _context(dumped: Any) -> Any:
    """Return what a node keeps: JSON in most classes, or a text, such as the name of a namedtuple class."""
    try:
        return json.loads(dumped) if isinstance(dumped, str) else dumped
    except ValueError:
        return dumped
