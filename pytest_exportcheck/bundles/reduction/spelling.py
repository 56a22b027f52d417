"""The graph of a program as the source of a module: one statement for each node."""

from __future__ import annotations

import builtins
import keyword
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx import Graph, GraphModule, Node

from pytest_exportcheck.bundles.reduction.literals import number_text
from pytest_exportcheck.describe.freeze import target_text
from pytest_exportcheck.describe.operators import operator_facts
from pytest_exportcheck.harness._torch import OpOverload


class Unspeakable(Exception):
    """A part of a program that no plain source says."""


_INFIX: Mapping[str, str] = {
    **{f"aten.{name}.{kind}": sign for name, sign in (("add", "+"), ("sub", "-"), ("mul", "*"), ("div", "/")) for kind in ("Tensor", "Scalar")},
    "aten.matmul.default": "@",
}  # fmt: skip
_OPERATORS: Mapping[Any, str] = {
    operator.add: "+",
    operator.sub: "-",
    operator.mul: "*",
    operator.floordiv: "//",
    operator.mod: "%",
    operator.truediv: "/",
    operator.eq: "==",
    operator.ne: "!=",
    operator.lt: "<",
    operator.le: "<=",
    operator.gt: ">",
    operator.ge: ">=",
}
_LETTERS = ("x", "y", "z")


#: The number of the spelling of each operator, of those that :func:`spellings_of` returns; the first where none is given.
Spelling: TypeAlias = Mapping[str, int]


def spellings_of(kind: str) -> list[str]:
    """Return the functions that may be the same as an operator, the nicest first, and the operator itself
    last; one that begins with a point is a method."""
    namespace, name, *_ = f"{kind}..".split(".")
    owners = (("torch.nn.functional", torch.nn.functional), ("torch", torch)) if namespace == "aten" else ()
    nicer = [f"{prefix}.{name}" for prefix, owner in owners if callable(getattr(owner, name, None))]
    nicer += [f".{name}"] if owners and callable(getattr(torch.Tensor, name, None)) else []
    return [*nicer, f"torch.ops.{kind}"]


@dataclass(frozen=True)
class Source:
    """The source of a module: the attributes that ``__init__`` sets, by expression, the parameters of ``forward``, and the lines of its
    body.
    """

    state: Mapping[str, tuple[str, str]]
    parameters: tuple[str, ...]
    body: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Writer:
    """The writer of the statements of one graph. ``spelling`` says how operators are called."""

    module: GraphModule
    spelling: Spelling
    names: dict[Node, str] = field(default_factory=dict)

    def lines(self, graph: Graph) -> Iterator[str]:
        """Yield the statements of the nodes; the last one returns where its value is the only result."""
        result = graph.output_node()
        for node in graph.nodes:
            if node.op == "call_function":
                last = node.next is result and list(_returned(result)) == [node]
                yield from self.statement(node, returned=last)

    def inner_lines(self, graph: Graph) -> Iterator[str]:
        """Yield the statements of the nodes of a subgraph, none of which returns."""
        for node in graph.nodes:
            if node.op == "call_function":
                yield from self.statement(node, returned=False)

    def statement(self, node: Node, *, returned: bool) -> Iterator[str]:
        facts = operator_facts(node.target, node.args, node.kwargs)
        if "assertion" in facts:
            return
        kind = target_text(node.target)
        if node in self.names:
            return  # the result of a region
        if kind.endswith("wrap_with_set_grad_enabled"):
            yield from self._grad_region(node)
            return
        if kind.endswith("cond"):
            yield from self._branches(node)
        text = self.call(node)
        self.names[node] = _name_for(node)
        used = bool(node.users)
        yield f"return {text}" if returned else (f"{self.names[node]} = {text}" if used else text)

    def call(self, node: Node) -> str:
        target = node.target
        if target is operator.getitem:
            return f"{self.value(node.args[0])}[{self.value(node.args[1])}]"
        if target in _OPERATORS:
            return f"{self.value(node.args[0])} {_OPERATORS[target]} {self.value(node.args[1])}"
        kind = target_text(target)
        if kind.endswith("cond"):
            pred, _, _, operands = node.args
            return f"torch.cond({self.value(pred)}, {node.name}_true, {node.name}_false, {self.value(tuple(operands))})"  # type: ignore[arg-type]
        if not isinstance(target, OpOverload):
            raise Unspeakable(f"{kind} has no spelling in plain source")
        if kind == "aten.sym_size.int":
            return f"{self.value(node.args[0])}.shape[{self.value(node.args[1])}]"
        if kind in _INFIX and self.spelling.get(kind, 0) == 0 and len(node.args) == 2 and not node.kwargs:
            return f"{self.value(node.args[0])} {_INFIX[kind]} {self.value(node.args[1])}"
        function = spellings_of(kind)[self.spelling.get(kind, 0)]
        given = [self.value(each) for each in node.args]
        if function.startswith("."):
            function = f"{given.pop(0)}{function}"
        plain = not function.startswith("torch.ops.")
        given += [
            f"{name}={self.value(each)}"
            for name, each in node.kwargs.items()
            if not (plain and _is_default(name, each))
        ]
        return f"{function}({', '.join(given)})"

    def value(self, given: Any) -> str:
        if isinstance(given, Node):
            return self.names[given]
        if isinstance(given, (list, tuple)):
            inner = ", ".join(self.value(each) for each in given)
            if isinstance(given, tuple):
                return f"({inner},)" if len(given) == 1 else f"({inner})"
            return f"[{inner}]"
        if isinstance(given, torch.device):
            return f'torch.device("{given}")'
        if isinstance(given, (torch.dtype, torch.layout, torch.memory_format)):
            return str(given)
        text = number_text(given)
        if text is None:
            raise Unspeakable(f"an argument of type {type(given).__name__}")
        return text

    def _inner(self, node: Any) -> GraphModule:
        inner = getattr(self.module, str(node.target), None)
        if not isinstance(inner, GraphModule):
            raise Unspeakable("a subgraph that is not a graph module")
        return inner

    def _grad_region(self, node: Node) -> Iterator[str]:
        enabled, body, *given = node.args
        inner = self._inner(body)
        writer = _Writer(inner, self.spelling)
        for placeholder, value in zip(inner.graph.find_nodes(op="placeholder"), given, strict=True):
            writer.names[placeholder] = self.value(value)
        yield "with torch.enable_grad():" if enabled else "with torch.no_grad():"
        result = inner.graph.output_node()
        yield from (f"    {line}" for line in writer.inner_lines(inner.graph))
        self.names[node] = f"({', '.join(writer.value(each) for each in _returned(result))},)"
        for user in node.users:
            if user.target is operator.getitem and isinstance(user.args[1], int):
                self.names[user] = writer.value(_returned(result)[user.args[1]])

    def _branches(self, node: Node) -> Iterator[str]:
        for branch, fetch in zip(("true", "false"), node.args[1:3], strict=True):
            inner = self._inner(fetch)
            writer = _Writer(inner, self.spelling)
            names = [_name_for(each) for each in inner.graph.find_nodes(op="placeholder")]
            writer.names.update(zip(inner.graph.find_nodes(op="placeholder"), names, strict=True))
            yield f"def {node.name}_{branch}({', '.join(names)}):"
            yield from (f"    {line}" for line in writer.inner_lines(inner.graph))
            returned = _returned(inner.graph.output_node())
            yield f"    return {writer.value(tuple(returned))}"
            yield ""


def _is_default(name: str, value: Any) -> bool:
    """Return True for an option of a factory that a capture writes out, though it is the default."""
    if name == "device":
        return bool(value == torch.device("cpu"))
    return name in ("pin_memory", "layout") and value in (False, torch.strided)


def source_of(program: ExportedProgram, spelling: Spelling) -> Source:
    """Return the source of a module that computes what the graph of a program does.

    Raises
    ------
    Unspeakable
        If it holds an operator or an argument that has no spelling.
    """
    writer = _Writer(program.graph_module, spelling)
    placeholders = program.graph.find_nodes(op="placeholder")
    state: dict[str, tuple[str, str]] = {}
    parameters: list[str] = []
    users = sum(spec.kind is InputKind.USER_INPUT for spec in program.graph_signature.input_specs)
    for node, spec in zip(placeholders, program.graph_signature.input_specs, strict=True):
        if spec.kind is InputKind.USER_INPUT:
            name = _LETTERS[len(parameters)] if users <= len(_LETTERS) else f"x{len(parameters)}"
            parameters.append(name)
            writer.names[node] = name
        elif spec.kind in (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR):
            attribute = str(spec.target).replace(".", "_")
            state[attribute] = (spec.kind.name, str(spec.target))
            writer.names[node] = f"self.{attribute}"
        else:
            raise Unspeakable(f"an input of kind {spec.kind.name}")
    body = [*writer.lines(program.graph), *_effects(program, writer)]
    if not any(line.startswith("return ") for line in body):
        returned = [
            writer.value(value)
            for value, spec in zip(
                _returned(program.graph.output_node()), program.graph_signature.output_specs, strict=True
            )
            if spec.kind is OutputKind.USER_OUTPUT
        ]
        body.append(f"return {returned[0] if len(returned) == 1 else '(' + ', '.join(returned) + ')'}")
    return Source(state, tuple(parameters), tuple(body))


def _effects(program: ExportedProgram, writer: _Writer) -> Iterator[str]:
    """Yield the statements that write to buffers and arguments what a functional graph returns for them."""
    specs = program.graph_signature.input_specs
    held = {
        spec.target or getattr(spec.arg, "name", ""): node
        for spec, node in zip(specs, program.graph.find_nodes(op="placeholder"), strict=True)
    }
    for value, spec in zip(_returned(program.graph.output_node()), program.graph_signature.output_specs, strict=True):
        if spec.kind is not OutputKind.USER_OUTPUT and spec.target in held:
            yield f"{writer.value(held[spec.target])}.copy_({writer.value(value)})"


def _returned(node: Node) -> Sequence[Any]:
    given = node.args[0]
    return given if isinstance(given, (list, tuple)) else [given]


def _name_for(node: Node) -> str:
    name = node.name
    return (
        f"{name}_" if keyword.iskeyword(name) or name in dir(builtins) or name == "torch" or name in _LETTERS else name
    )
