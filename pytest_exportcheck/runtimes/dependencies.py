"""The code outside torch that a saved program needs: operators and classes, the files that register them, and the lines
that bring them into a process.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pytest_exportcheck.harness._torch import OpOverload, class_of_object, is_object, pytree, registered_at

#: Namespaces of the operators that torch brings.
OF_TORCH = frozenset(
    {"aten", "prim", "prims", "quantized", "higher_order", "inductor", "_c10d_functional", "debugprims"}
)

#: Modules of the classes that every process has.
_ALWAYS = frozenset({"builtins", "collections", "torch"})


@dataclass(frozen=True)
class Dependency:
    """An operator or a class. ``what`` has the file that registers it; ``line`` is the statement that brings it."""

    what: str
    line: str


def dependencies_of(program: Any) -> list[Dependency]:
    """Return the operators and classes, each once."""
    found = (*_operators(program.graph_module), *_classes(program.call_spec), *_values(program))
    return list(dict.fromkeys(found))


def missing_text(program: Any) -> str:
    """Return the lines to run in a process that has imported only torch; empty if torch is all that is needed."""
    lines: dict[str, list[str]] = {}
    for each in dependencies_of(program):
        lines.setdefault(each.line, []).append(each.what)
    if not lines:
        return ""
    said = [f"  {line}  # {', '.join(what)}" for line, what in lines.items()]
    return "\n".join(["the program needs more than torch; before the file is loaded, run:", *said])


def _operators(module: Any) -> Iterator[Dependency]:
    for each in module.modules():
        for node in getattr(getattr(each, "graph", None), "nodes", ()):
            if isinstance(node.target, OpOverload) and node.target.namespace not in OF_TORCH:
                operator: Any = node.target
                name = operator.name().partition(".")[0]
                place = registered_at(name)
                yield Dependency(f"operator {name}{_in(place)}", _line_for_operator(operator.namespace, place))


def _line_for_operator(namespace: str, place: str) -> str:
    file = place.rpartition(":")[0]
    module = _module_of(file)
    if module:
        return f"import {module}"
    if namespace in sys.modules:  # a package such as torchvision, which registers operators of C++
        return f"import {namespace}"
    if file.endswith(".py"):
        return f"import {Path(file).stem}"
    libraries = sorted(torch.ops.loaded_libraries)
    library = repr(Path(libraries[0]).name) if len(libraries) == 1 else "the library's file"
    return f"torch.ops.load_library({library})"


def _module_of(file: str) -> str:
    """Return the name of the imported module that a file is."""
    named = ((name, getattr(module, "__file__", None)) for name, module in list(sys.modules.items()))
    return next((name for name, its in named if its == file and name != "__main__"), "") if file else ""


def _classes(call_spec: Any) -> Iterator[Dependency]:
    for spec in (call_spec.in_spec, call_spec.out_spec):
        for kind in _kinds(spec):
            yield from _class(kind, _registers(kind) or kind)


def _kinds(spec: Any) -> Iterator[type]:
    if spec is None or spec.is_leaf():
        return
    for each in (spec.context, spec.type):  # the class of a namedtuple is the context of its spec
        if isinstance(each, type):
            yield each
            break
    for child in spec.children():
        yield from _kinds(child)


def _registers(kind: type) -> Any:
    """Return the function that flattens a class, if it is not torch's: it is where the class is registered."""
    node = pytree.SUPPORTED_NODES.get(kind)
    flatten: Any = inspect.unwrap(node.flatten_fn) if node is not None else None
    return flatten if flatten is not None and not _is_always(str(flatten.__module__)) else None


def _values(program: Any) -> Iterator[Dependency]:
    """Yield the classes of parameters, buffers and constants: subclasses of tensors, and objects."""
    for value in (*program.state_dict.values(), *program.constants.values()):
        if is_object(value) and isinstance(value, torch.ScriptObject):
            name = class_of_object(value).removeprefix("__torch__.torch.classes.")
            yield Dependency(f"class torch.classes.{name}", _line_for_operator(name.partition(".")[0], ""))
        else:
            yield from _class(type(value), type(value))


def _class(kind: type, registers: Any) -> Iterator[Dependency]:
    if not _is_always(kind.__module__):
        name = f"{kind.__module__}.{kind.__qualname__}"
        yield Dependency(f"class {name}{_in(_place(registers))}", f"import {registers.__module__}")


def _is_always(module: str) -> bool:
    return module.partition(".")[0] in _ALWAYS


def _place(definition: Any) -> str:
    try:
        return f"{inspect.getsourcefile(definition)}:{inspect.getsourcelines(definition)[1]}"
    except (OSError, TypeError):
        return ""


def _in(place: str) -> str:
    return f" ({place})" if place else ""
