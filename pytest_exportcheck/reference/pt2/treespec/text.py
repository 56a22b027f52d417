"""A pytree spec as the JSON text that ``torch.utils._pytree.treespec_loads`` reads, and back.

torch's reader imports the module of a defaultdict's factory and of an enumeration that the text names. This one finds
them among imported modules, and a factory only in a short list.
"""

from __future__ import annotations

import json
from enum import Enum
from typing import Any

from pytest_exportcheck.errors import SchemaError, UnsupportedError
from pytest_exportcheck.reference._torch.values import pytree
from pytest_exportcheck.reference.pt2.schema import TREESPEC_VERSION
from pytest_exportcheck.reference.pt2.treespec.registered import (
    DAMAGED,
    child_count,
    read_context,
    registered_type,
    registration,
)

LEAF = pytree.tree_structure(0)
_KEYS = ("type", "context", "children_spec")


def dumps(spec: pytree.TreeSpec) -> str:
    """Return the text that ``treespec_dumps`` makes.

    Raises
    ------
    UnsupportedError
        Where a node's type is not registered under a name, or keeps what JSON cannot hold.
    """
    tree = _written(spec)
    try:
        return json.dumps((TREESPEC_VERSION, tree), default=_written_enum)
    except (TypeError, ValueError) as error:
        raise UnsupportedError(
            f"a to_dumpable_context of the pytree spec {spec} returns a value that is not JSON: {error}. Return strings, numbers, "
            "lists and dicts."
        ) from None


def _written(spec: pytree.TreeSpec) -> dict[str, Any]:
    if spec.is_leaf():
        return {"type": None, "context": None, "children_spec": []}
    registered = registration(spec.type)
    if registered is None:
        raise UnsupportedError(_unregistered(spec.type))
    try:
        write = registered.to_dumpable_context or _written_context
        context = write(spec.context)
    except NotImplementedError:  # torch's word for a namedtuple class without a name
        raise UnsupportedError(_unregistered(spec.context)) from None
    except Exception as error:  # a registered writer is the user's code
        raise UnsupportedError(
            f"the context of the pytree node {_full_name(spec.type)}, {spec.context!r}, cannot be written: {error}. "
            "Register it with to_dumpable_context and from_dumpable_context."
        ) from None
    children = [_written(child) for child in spec.children()]
    return {"type": registered.serialized_type_name, "context": context, "children_spec": children}


def _written_context(context: object) -> str:
    return json.dumps(context, default=_written_enum)


def _written_enum(value: object) -> dict[str, object]:
    if isinstance(value, Enum):
        kind = type(value)
        return {"__enum__": True, "fqn": f"{kind.__module__}:{kind.__qualname__}", "name": value.name}
    raise TypeError(f"a {_full_name(type(value))} is not JSON")


def _unregistered(kind: Any) -> str:
    call = "torch.utils._pytree._register_namedtuple(cls, serialized_type_name=...)"
    if not pytree.is_namedtuple_class(kind):
        call = "torch.utils._pytree.register_pytree_node or register_dataclass, with serialized_type_name=..."
    return f"the pytree node {_full_name(kind)} is not registered under a name. Register it with {call}."


def _full_name(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def loads(text: str, *, where: str = "the pytree spec") -> pytree.TreeSpec:
    """Read the text; ``where`` names its place in messages.

    Raises
    ------
    SchemaError
        Where the text is not what ``treespec_dumps`` writes.
    UnsupportedError
        Where it names a type that is not registered here, or an enumeration that is not imported.
    """
    try:
        version, tree = json.loads(text)
        if version != TREESPEC_VERSION:
            raise SchemaError(
                f"{where}: expected version {TREESPEC_VERSION} of a pytree spec, got {version!r}. {DAMAGED}"
            )
        return _read(tree, where)
    except RecursionError:
        raise SchemaError(f"{where}: nested too deeply to read. {DAMAGED}") from None
    except (TypeError, ValueError):
        raise SchemaError(f"{where}: expected a pytree spec as JSON, got {text[:60]!r}. {DAMAGED}") from None


def _read(tree: Any, where: str) -> pytree.TreeSpec:
    if not isinstance(tree, dict) or sorted(tree) != sorted(_KEYS) or not isinstance(tree["children_spec"], list):
        raise SchemaError(f"{where}: expected an object with {', '.join(_KEYS)}, got {str(tree)[:60]!r}. {DAMAGED}")
    name, context, children = (tree[key] for key in _KEYS)
    if name is None and context is None and not children:
        return LEAF
    kind = registered_type(name, where)
    kept = read_context(kind, context, where)
    if (count := child_count(kind, kept)) not in (None, len(children)):
        raise SchemaError(f"{where}: expected {count} children of {name}, got {len(children)}. {DAMAGED}")
    return pytree.TreeSpec(kind, kept, [_read(child, where) for child in children])
