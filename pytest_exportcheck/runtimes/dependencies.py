"""The code outside torch that a saved program needs: operators and classes, with the files that register them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from pytest_exportcheck.harness._torch import OpOverload, registered_at

#: Namespaces of the operators that torch brings.
OF_TORCH = frozenset(
    {"aten", "prim", "prims", "quantized", "higher_order", "inductor", "_c10d_functional", "debugprims"}
)


def dependencies_of(program: Any) -> list[str]:
    """Return the operators and classes as texts, such as ``operator shop::twice (ops.py:3)``, each once."""
    return list(dict.fromkeys([*_operators(program.graph_module), *_classes(program.call_spec)]))


def _operators(module: Any) -> Iterator[str]:
    for each in module.modules():
        for node in getattr(getattr(each, "graph", None), "nodes", ()):
            if isinstance(node.target, OpOverload) and node.target.namespace not in OF_TORCH:
                operator: Any = node.target
                name = operator.name().partition(".")[0]
                yield f"operator {name}{_in(registered_at(name))}"


def _classes(call_spec: Any) -> Iterator[str]:
    for spec in (call_spec.in_spec, call_spec.out_spec):
        for kind in _kinds(spec):
            if kind.__module__ not in ("builtins", "collections", "torch"):
                yield f"class {kind.__module__}.{kind.__qualname__}{_in(_file(kind))}"


def _kinds(spec: Any) -> Iterator[type]:
    if spec is None or spec.is_leaf():
        return
    if isinstance(spec.type, type):
        yield spec.context if isinstance(spec.context, type) else spec.type
    for child in spec.children():
        yield from _kinds(child)


def _file(kind: type) -> str:
    try:
        return f"{inspect.getsourcefile(kind)}:{inspect.getsourcelines(kind)[1]}"
    except (OSError, TypeError):
        return ""


def _in(place: str) -> str:
    return f" ({place})" if place else ""
