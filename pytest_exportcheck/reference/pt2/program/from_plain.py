"""The construction of a program from its plain value: symbols, fake tensors, graphs, signature."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import torch
import torch.fx
from torch.export import ExportedProgram, ModuleCallEntry, ModuleCallSignature
from torch.export.graph_signature import ExportGraphSignature, InputKind, InputSpec, OutputKind, OutputSpec

from pytest_exportcheck.errors import SchemaError, SerializationError, UnsupportedError, with_message
from pytest_exportcheck.reference._torch.sizes import ShapeEnv, ValueRanges, unbacked_bindings
from pytest_exportcheck.reference._torch.values import (
    ASSERT_SCALAR,
    FakeTensorMode,
    SpecViolationError,
    current_traceback,
    empty_coo,
    fresh_fake,
    load_verifier,
    set_guards,
)
from pytest_exportcheck.reference.pt2.expressions import SymbolTable, check_extent, check_tensor, parse
from pytest_exportcheck.reference.pt2.plain.kind import Plain
from pytest_exportcheck.reference.pt2.plain.names import global_of, target_of
from pytest_exportcheck.reference.pt2.plain.values import number_of, value_of
from pytest_exportcheck.reference.pt2.program.call_safety import check_call, check_example, checked_guard
from pytest_exportcheck.reference.pt2.program.node_safety import check_graph_name, check_node
from pytest_exportcheck.reference.pt2.treespec import spec_of

_SYMBOL = re.compile(r"Symbol\('([^']*)'[^()]*\)")
_UNBACKED = re.compile(r"(?P<kind>zu?f|u)(?P<number>\d+)")
#: Errors that Python and torch raise for parts that do not belong together: FX, ShapeEnv, the constructor and its
#: verifier.
_REFUSALS = (
    *(LookupError, TypeError, ValueError, AttributeError, RuntimeError, ArithmeticError, AssertionError, NameError),
    *(SyntaxError, SpecViolationError),
)
_SHOWN = 300  # characters of what torch says


def build_program(
    given: Mapping[str, Plain],
    *,
    state: Mapping[str, torch.Tensor],
    constants: Mapping[str, Any],
    example_inputs: tuple[tuple[Any, ...], dict[str, Any]] | None,
) -> ExportedProgram:
    """Return the program of a plain one, with these tensors.

    Raises
    ------
    SchemaError
        Where the plain program contradicts itself.
    UnsupportedError
        For an operator, a class or a verifier that does not exist here.
    """
    try:
        return _program(given, state, constants, example_inputs)
    except SerializationError:
        raise
    except _REFUSALS as error:
        raise SchemaError(f"the program {_fault(error)}") from error


def _fault(error: Exception) -> str:
    return f"contradicts itself ({type(error).__name__}: {str(error)[:_SHOWN]}). Save the program again."


def _program(
    given: Mapping[str, Plain], state: Mapping[str, torch.Tensor], constants: Mapping[str, Any], example_inputs: Any
) -> ExportedProgram:
    builder = _Builder(given)
    module = builder.graph_module(given["graph"])
    builder.bind_unbacked(module)
    program = ExportedProgram(
        root=module,
        graph=module.graph,
        graph_signature=ExportGraphSignature(
            [builder.input_spec(each) for each in given["inputs"]],
            [builder.output_spec(each) for each in given["outputs"]],
        ),
        range_constraints=builder.ranges,
        module_call_graph=[builder.module_call(each) for each in given["calls"]],
        verifiers=[_verifier(name) for name in given["verifiers"]],
        state_dict=dict(state),
        example_inputs=example_inputs,
        constants=dict(constants),
    )
    program.graph_module.meta.update(module.meta)
    set_guards(program, [checked_guard(each) for each in given["guards"]])
    check_example((node.meta.get("val") for node in module.graph.find_nodes(op="placeholder")), example_inputs)
    return program


def _verifier(name: str) -> Any:
    try:
        return load_verifier(name)
    except Exception as error:
        raise UnsupportedError(f"no verifier for the dialect {name!r} exists here: {error}.") from None


class _Builder:
    """A builder with the symbols and the fake mode of one program, and the nodes that are built so far: a
    ``values.Reader``.
    """

    def __init__(self, given: Mapping[str, Plain]) -> None:
        self._shape_env = ShapeEnv(assume_static_by_default=True)
        self._fake_mode = FakeTensorMode(
            allow_fallback_kernels=False, allow_non_fake_inputs=True, shape_env=self._shape_env
        )
        self._table = SymbolTable()
        self._hints = dict(_hints(given["graph"]))
        self._known: set[Any] = set()
        self._tensors: dict[bytes, torch.Tensor] = {}
        self._nodes: dict[str, torch.fx.Node] = {}
        self._trusts_names = False
        self.ranges = {
            self.expression(symbol): ValueRanges(self.expression(lower), self.expression(upper))
            for symbol, lower, upper in given["ranges"]
        }
        for symbol in self.ranges:
            for each in symbol.free_symbols:
                self._introduce(each)

    # --- what values need -------------------------------------------------------------------

    def expression(self, text: str) -> Any:
        return parse(text, self._table)

    def symbolic(self, kind: str, text: str, hint: Any) -> Any:
        expression = self.expression(text)
        check_extent(expression)
        for symbol in sorted(expression.free_symbols, key=str):
            self._introduce(symbol)
        if kind == "sym_bool":
            return self._shape_env.create_symboolnode(expression)
        make = self._shape_env.create_symintnode if kind == "sym_int" else self._shape_env.create_symfloatnode
        return make(expression, hint=hint)

    def _introduce(self, symbol: Any) -> None:
        """Add the symbol to the shape environment, with its example size and its range."""
        if symbol in self._known:
            return
        self._known.add(symbol)
        env = self._shape_env
        unbacked = _UNBACKED.fullmatch(str(symbol))
        hint = self._hints.get(str(symbol))
        if unbacked:
            counter = "unbacked_symint_counter" if unbacked["kind"] == "u" else "unbacked_symfloat_counter"
            setattr(env, counter, max(getattr(env, counter), int(unbacked["number"]) + 1))
        elif hint is not None:
            env.add_backed_var_to_val(symbol, hint)
        bounds = self.ranges.get(symbol)
        if bounds is not None:
            env.constrain_symbol_range(symbol, compiler_min=bounds.lower, compiler_max=bounds.upper)
        env.var_to_stack[symbol] = current_traceback()

    def _sizes(self, given: Plain) -> list[Any]:
        if not isinstance(given, list):  # a range would be iterated
            raise SchemaError(f"the sizes of a tensor must be a list, got {str(given)[:60]!r}.")
        return [value_of(each, self) for each in given]

    def tensor(self, facts: Mapping[str, Plain]) -> torch.Tensor:
        """Return a tensor without data. Most tensors of a program have the facts of an earlier one, of which they are copies."""
        key = msgspec.json.encode(facts)
        known = self._tensors.get(key)
        tensor = self._first_tensor(facts) if known is None else fresh_fake(known)
        if known is None and tensor.layout is torch.strided and "offset" not in facts:
            self._tensors[key] = tensor
        if facts.get("parameter"):
            return torch.nn.Parameter(tensor, requires_grad=facts.get("requires_grad", False))
        return tensor.requires_grad_() if facts.get("requires_grad") else tensor

    def _first_tensor(self, facts: Mapping[str, Plain]) -> torch.Tensor:
        shape, stride = self._sizes(facts["shape"]), self._sizes(facts.get("stride", []))
        offset = value_of(facts.get("offset", 0), self)
        check_tensor(*([_expression(each) for each in numbers] for numbers in (shape, stride)))
        kind: dict[str, Any] = {
            "dtype": value_of({"dtype": facts["dtype"]}, self),
            "device": torch.device(facts["device"]),
        }
        if facts.get("layout", "sparse_coo") != "sparse_coo":
            return self._compressed(facts, shape, kind)
        with self._fake_mode, torch.no_grad():
            return self._coo(facts["parts"], shape, kind) if "parts" in facts else _strided(shape, stride, offset, kind)

    def _coo(self, parts: Mapping[str, Plain], shape: Any, kind: dict[str, Any]) -> torch.Tensor:
        return empty_coo(parts["sparse_dim"], parts["dense_dim"], tuple(shape), is_coalesced=parts["coalesced"], **kind)

    def _compressed(self, facts: Mapping[str, Plain], shape: Any, kind: dict[str, Any]) -> torch.Tensor:
        """Return a fake of a real compressed tensor of these shapes: a fake one cannot be built from parts."""
        parts, index = facts["parts"], value_of({"dtype": facts["parts"]["index"]}, self)
        shapes = {name: tuple(self._sizes(parts[name])) for name in ("compressed", "plain", "values")}
        real = torch.sparse_compressed_tensor(
            torch.zeros((), dtype=index).expand(shapes["compressed"]),  # of whatever size a file says: without memory
            torch.zeros((), dtype=index).expand(shapes["plain"]),
            torch.zeros((), **kind).expand(shapes["values"]),
            tuple(shape),
            layout=value_of({"layout": facts["layout"]}, self),
            check_invariants=False,
        )
        return self._fake_mode.from_tensor(real.requires_grad_(facts.get("requires_grad", False)))

    def node(self, name: str) -> torch.fx.Node:
        if name not in self._nodes:
            raise SchemaError(f"node {name!r} is used before it is defined.")
        return self._nodes[name]

    def named(self, name: str) -> Any:
        """Return the class or function of a name in metadata; a name elsewhere is refused, because an argument might be
        called.
        """
        if not self._trusts_names:
            raise SchemaError(f"expected an operator, a number or a tensor, got {name!r}.")
        return global_of(name)

    # --- graphs -----------------------------------------------------------------------------

    def graph_module(self, given: Mapping[str, Plain]) -> torch.fx.GraphModule:
        root = torch.nn.Module()
        for name, inner in given["graphs"].items():
            check_graph_name(name)
            outer, self._nodes = self._nodes, {}
            root.register_module(name, self.graph_module(inner))
            self._nodes = outer
        graph = torch.fx.Graph()
        for name in given["order"]:
            try:
                check_node(name, given["nodes"][name], given["graphs"])
                self._add(graph, name, given["nodes"][name])
            except SerializationError as error:
                raise with_message(error, f"node {str(name)[:60]!r}: {error}") from error.__cause__
            except _REFUSALS as error:
                raise SchemaError(f"node {str(name)[:60]!r} {_fault(error)}") from error
        module = torch.fx.GraphModule(root, graph)
        module.meta.update(self._meta(given["meta"]))
        return module

    def _add(self, graph: torch.fx.Graph, name: str, given: Mapping[str, Plain]) -> None:
        args = tuple(value_of(each, self) for each in given["args"])
        kwargs = {key: value_of(value, self) for key, value in given["kwargs"].items()}
        target = target_of(given["target"]) if given["op"] == "call_function" else given["target"]
        if name in self._nodes:
            raise SchemaError(f"two nodes are called {name!r}.")
        node = graph.create_node(given["op"], target, args, kwargs, name=name)
        if node.name != name:  # FX renames nodes whose names are not valid Python variables
            node.name = name
        node.meta.update(self._meta(given["meta"]))
        self._nodes[name] = node
        if target is ASSERT_SCALAR and isinstance(args[0], torch.fx.Node):
            condition = args[0].meta.get("val")
            if isinstance(condition, torch.SymBool):
                self._shape_env.guard_or_defer_runtime_assert(condition.node.expr, "", node)

    def _meta(self, given: Mapping[str, Plain]) -> dict[str, Any]:
        self._trusts_names = True
        try:
            return {key: value_of(value, self) for key, value in given.items()}
        finally:
            self._trusts_names = False

    def bind_unbacked(self, module: torch.fx.GraphModule) -> None:
        """Record the nodes that yield unbacked symbols first, in a program that does not record them."""
        if any("unbacked_bindings" in node.meta for node in module.graph.nodes):
            return
        pending = {symbol for symbol in self._known if _UNBACKED.fullmatch(str(symbol))}
        for node in module.graph.nodes if pending else ():
            found = unbacked_bindings(node.meta.get("val"), self._shape_env, pending)
            if found:
                node.meta["unbacked_bindings"] = found

    # --- signature --------------------------------------------------------------------------

    def input_spec(self, given: Mapping[str, Plain]) -> InputSpec:
        arg = value_of(given["arg"], self)
        return InputSpec(InputKind[given["kind"]], arg, given["target"], given.get("persistent"))

    def output_spec(self, given: Mapping[str, Plain]) -> OutputSpec:
        return OutputSpec(OutputKind[given["kind"]], value_of(given["arg"], self), given["target"])

    def module_call(self, given: Mapping[str, Plain]) -> ModuleCallEntry:
        signature = given["signature"]
        if signature is None:
            return ModuleCallEntry(given["fqn"])
        made = ModuleCallSignature(
            inputs=[value_of(each, self) for each in signature["inputs"]],
            outputs=[value_of(each, self) for each in signature["outputs"]],
            in_spec=spec_of(signature["in_spec"]),
            out_spec=spec_of(signature["out_spec"]),
            forward_arg_names=signature["forward_arg_names"],
        )
        check_call(made)
        return ModuleCallEntry(given["fqn"], made)


def _hints(graph: Mapping[str, Plain]) -> Iterator[tuple[str, Plain]]:
    """Yield the symbols that are the whole size of an input's dim, with their values in the example."""
    for node in graph["nodes"].values():
        val: Any = node["meta"].get("val") if node["op"] == "placeholder" else None
        sizes = val["tensor"]["shape"] if isinstance(val, dict) and "tensor" in val else [val]
        for size in sizes:
            number: Any = size.get("sym_int", size.get("sym_float")) if isinstance(size, dict) else None
            alone = _SYMBOL.fullmatch(number[0]) if number else None
            if alone:
                yield alone[1], number_of(number[1])


def _expression(size: Any) -> Any:
    return size.node.expr if isinstance(size, torch.SymInt) else int(size)


def _strided(shape: Any, stride: Any, offset: Any, kind: dict[str, Any]) -> torch.Tensor:
    tensor = torch.empty_strided(tuple(shape), tuple(stride), **kind)
    if isinstance(offset, int) and offset == 0:
        return tensor
    extent = offset + 1
    for size, step in zip(shape, stride, strict=True):
        extent = extent + (size - 1) * step
    return torch.empty(extent, **kind).as_strided(tuple(shape), tuple(stride), offset)
