"""Calls of submodules whose signatures are kept: the values that went in and came out, for
``torch.export.unflatten``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.export import ModuleCallEntry, ModuleCallSignature

from pytest_exportcheck.reference._torch.dynamo import left_to_the_graph
from pytest_exportcheck.reference._torch.tracing import is_traced, module_in_progress, node_of
from pytest_exportcheck.reference._torch.values import pytree
from pytest_exportcheck.reference.exporter.errors import InvalidInput
from pytest_exportcheck.reference.exporter.metadata import inside
from pytest_exportcheck.reference.exporter.program import argument_of

#: Key of a node's note of the call values that the node is, until the graph is done: a note outlives nodes that are
#: rebuilt.
NOTE = "exportcheck_module_call"


@dataclass
class Call:
    """One call of a submodule. ``values`` are the leaves of the arguments, then those of the result; None where the
    graph holds them.
    """

    name: str
    in_spec: Any
    values: list[Any]
    inputs: int
    out_spec: Any = None


class Calls:
    """The calls of some submodules, in the order in which they begin. Dynamo does not evaluate how they are noted: it
    leaves that to the trace of its graph, where the submodules are not called any more.
    """

    def __init__(self, module: torch.nn.Module, paths: Sequence[str], *, strict: bool) -> None:
        if isinstance(paths, str):
            raise InvalidInput(
                f"preserve_module_call_signature must be a tuple of names, got {paths!r}. Write ({paths!r},)."
            )
        self._parts = {}
        for path in paths:
            try:
                self._parts[path] = module.get_submodule(path)
            except AttributeError:
                known = ", ".join(repr(name) for name, _ in module.named_modules() if name) or "none"
                raise InvalidInput(
                    f"preserve_module_call_signature names {path!r}, which is not a submodule. Submodules: {known}."
                ) from None
        self._calls: list[Call] = []
        self._strict = strict

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note the calls that begin inside the context."""
        with ExitStack() as stack:
            for path, part in self._parts.items():
                before, after = self._hooks(path)
                stack.callback(part.register_forward_pre_hook(before, prepend=True, with_kwargs=True).remove)
                stack.callback(part.register_forward_hook(after).remove)
            yield

    def _hooks(self, path: str) -> tuple[Any, Any]:
        running: list[Call | None] = []

        def begin(args: Any, kwargs: Any) -> None:
            if not is_traced():
                return
            if not self._strict and inside(module_in_progress()) != path:  # one module by another of its names
                running.append(None)
                return
            leaves, spec = pytree.tree_flatten((args, kwargs))
            call = Call(self._name(path), spec, [], len(leaves))
            self._note(call, leaves)
            self._calls.append(call)
            running.append(call)

        def end(result: Any) -> None:
            call = running.pop() if running else None
            if call is not None:
                leaves, call.out_spec = pytree.tree_flatten(result)
                self._note(call, leaves)

        begins, ends = (left_to_the_graph(begin), left_to_the_graph(end)) if self._strict else (begin, end)

        def before(_module: Any, args: Any, kwargs: Any) -> None:
            begins(args, kwargs)

        def after(_module: Any, _args: Any, result: Any) -> None:
            ends(result)

        return before, after

    def _name(self, path: str) -> str:
        """Return the name of the next call of a submodule, which has a number from the second on."""
        before = sum(call.name.partition("@")[0] == path for call in self._calls)
        return f"{path}@{before}" if before else path

    def _note(self, call: Call, leaves: list[Any]) -> None:
        for leaf in leaves:
            node = node_of(leaf)
            if node is not None:
                node.meta.setdefault(NOTE, []).append((call.name, len(call.values)))
            call.values.append(None if node is not None else leaf)

    def entries(self, module: torch.fx.GraphModule) -> dict[str, ModuleCallEntry]:
        """Return an entry for every call that was noted, by name, and remove the notes; further calls of one module
        have a number in their names.
        """
        nodes: dict[tuple[str, int], torch.fx.Node] = {}
        for graph in reversed([part.graph for part in module.modules() if isinstance(part, torch.fx.GraphModule)]):
            for node in graph.nodes:
                nodes |= dict.fromkeys(node.meta.pop(NOTE, ()), node)
        return {call.name: ModuleCallEntry(call.name, _signature(call, nodes)) for call in self._calls if call.out_spec}


def _signature(call: Call, nodes: dict[tuple[str, int], torch.fx.Node]) -> ModuleCallSignature:
    arguments = [argument_of(nodes.get((call.name, place), value)) for place, value in enumerate(call.values)]
    return ModuleCallSignature(
        arguments[: call.inputs], arguments[call.inputs :], in_spec=call.in_spec, out_spec=call.out_spec
    )
