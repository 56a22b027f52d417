"""Lowering: the program below autograd that computes what a program computes, with its mutations among its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch.export import ExportedProgram, ModuleCallEntry
from torch.export.graph_signature import (
    CustomObjArgument,
    ExportGraphSignature,
    InputKind,
    InputSpec,
    OutputKind,
    OutputSpec,
    TensorArgument,
    TokenArgument,
)

from pytest_exportcheck.reference._torch.objects import is_opaque
from pytest_exportcheck.reference._torch.sizes import ShapeEnv, free_symbols
from pytest_exportcheck.reference._torch.values import (
    FakeTensor,
    FakeTensorMode,
    Verifier,
    guards_of,
    pytree,
    set_guards,
)
from pytest_exportcheck.reference.exporter.assertions import insert_assertions
from pytest_exportcheck.reference.exporter.constants import lift_constants
from pytest_exportcheck.reference.exporter.errors import NotTraceable
from pytest_exportcheck.reference.exporter.functionalize import functional
from pytest_exportcheck.reference.exporter.objects import describe_objects, placeholders_of_objects, traced_again
from pytest_exportcheck.reference.exporter.placeholders import rename
from pytest_exportcheck.reference.exporter.program import argument_of, constant_slot
from pytest_exportcheck.reference.exporter.subgraphs import lift_from_subgraphs, name_subgraph_inputs

_MUTATION = {
    InputKind.PARAMETER: OutputKind.PARAMETER_MUTATION,
    InputKind.BUFFER: OutputKind.BUFFER_MUTATION,
    InputKind.USER_INPUT: OutputKind.USER_INPUT_MUTATION,
}


def decompose(program: ExportedProgram, decomp_table: Mapping[Any, Any] | None = None) -> ExportedProgram:
    """Return the program in functional operators below autograd, as ``program.run_decompositions`` gives it.

    Parameters
    ----------
    program
        Any program; it is not modified, and shares its state with the new one.
    decomp_table
        Operator -> a function that computes it by others. The default is the table that leads to core ATen operators.
        Composite operators that a given table does not name stay as they are.
    """
    table = torch.export.default_decompositions() if decomp_table is None else decomp_table
    return lowered(program, table, keep=True)


def lowered(program: ExportedProgram, table: Mapping[Any, Any], *, keep: bool) -> ExportedProgram:
    """Return the lowered program; ``keep`` is as for :func:`functional`."""
    before = program.graph_signature
    tokens = sum(spec.kind is InputKind.TOKEN for spec in before.input_specs)
    mode = _mode_of(program)
    old = program.graph.find_nodes(op="placeholder")
    values = [
        traced_again(mode, program, spec, node.meta["val"]) for spec, node in zip(before.input_specs, old, strict=True)
    ]
    result = functional(program.graph_module, values, mode, table, keep=keep, tokens=tokens, wanted=_named(program))
    module, graph, effects = result.module, result.module.graph, result.effects
    specs = before.input_specs[tokens:]
    changed = [specs[place] for place in result.changed]
    _without_copies(graph, effects, len(changed))
    graph.eliminate_dead_code(_has_effects)
    insert_assertions(module, mode.shape_env or ShapeEnv())
    lift_from_subgraphs(module, mode, {})
    given = placeholders_of_objects(values[tokens:], graph.find_nodes(op="placeholder")[effects:])
    first_user = effects + sum(spec.kind is not InputKind.USER_INPUT for spec in specs)
    made = lift_constants(module, mode, program.constants, first_user, given=given)
    inputs = _inputs(graph, dict(zip(old[tokens:], specs, strict=True)), made, effects, first_user)
    describe_objects(module)
    graph.output_node().meta |= {key: each for key, each in program.graph.output_node().meta.items() if key != "val"}
    name_subgraph_inputs(module)
    module.recompile()
    outputs = _outputs(graph, before.output_specs[tokens:], changed, effects)
    lowered_program = ExportedProgram(
        root=module,
        graph=graph,
        graph_signature=ExportGraphSignature(inputs, outputs),
        state_dict=program.state_dict,
        range_constraints=_ranges(program, graph, mode),
        module_call_graph=[_renamed(entry, result.nodes) for entry in program.module_call_graph],
        example_inputs=program.example_inputs,
        constants={**program.constants, **made},
        verifiers=[Verifier],
    )
    set_guards(lowered_program, guards_of(program))
    return lowered_program


def _has_effects(node: torch.fx.Node) -> bool:
    """Return True for a call that must stay though its result is unused, as one of an operator that takes an opaque
    object: it may change the object.
    """
    return node.is_impure() or any(is_opaque(each.meta.get("val")) for each in node.all_input_nodes)


def _mode_of(program: ExportedProgram) -> FakeTensorMode:
    """Return the fake mode of the program's values, so that symbols keep their meaning."""
    values = [node.meta.get("val") for node in program.graph.nodes]
    return next((each.fake_mode for each in values if isinstance(each, FakeTensor)), None) or FakeTensorMode(
        shape_env=ShapeEnv(), export=True
    )


def _without_copies(graph: torch.fx.Graph, first: int, count: int) -> None:
    """Replace a copy into the whole of an input by the copied value, where the value is of the same kind as the input.
    A result that is the input itself stays a copy: it is a different tensor from the one that the value was taken from.
    """
    output = graph.output_node()
    results = list(output.args[0])  # type: ignore[arg-type]
    for place in range(first, first + count):
        new = results[place]
        if new.target is not torch.ops.aten.copy.default:
            continue
        into, source = new.args[0].meta["val"], new.args[1].meta["val"]
        if all(getattr(into, each) == getattr(source, each) for each in ("dtype", "device", "shape")):
            results[place] = new.args[1]
            new.replace_all_uses_with(new.args[1])
    output.args = (tuple(results),)


def _inputs(
    graph: torch.fx.Graph, old: Mapping[torch.fx.Node, InputSpec], made: Mapping[str, Any], tokens: int, first_user: int
) -> list[InputSpec]:
    """Set the names and metadata of the placeholders and return their specs: tokens, the state, the constants that were
    made, and the user's inputs. All but tokens and constants are those of the program before, ``old``.
    """
    placeholders = graph.find_nodes(op="placeholder")
    after = first_user + len(made)
    same = dict(zip((*placeholders[tokens:first_user], *placeholders[after:]), old.items(), strict=True))
    lifted = dict(zip(placeholders[first_user:after], map(constant_slot, made, made.values()), strict=True))
    names = {node: before.name for node, (before, _) in same.items()}
    names |= {node: slot.name for node, slot in lifted.items()}
    rename(graph, names | dict.fromkeys(placeholders[:tokens], "token"))
    specs = []
    for node in placeholders:
        if node in same:
            before, spec = same[node]
            node.meta = dict(before.meta)
            specs.append(replace(spec))
        elif node in lifted:
            specs.append(InputSpec(lifted[node].kind, argument_of(node), lifted[node].target))
        else:
            specs.append(InputSpec(InputKind.TOKEN, TokenArgument(node.name), None))
    return specs


def _outputs(
    graph: torch.fx.Graph, before: list[OutputSpec], changed: list[InputSpec], tokens: int
) -> list[OutputSpec]:
    nodes: Any = graph.output_node().args[0]
    found = [OutputSpec(OutputKind.TOKEN, TokenArgument(node.name), None) for node in nodes[:tokens]]
    for spec, node in zip(changed, nodes[tokens:], strict=False):
        if spec.kind not in _MUTATION:
            raise NotTraceable(
                f"Constant {spec.target} is mutated in the forward method. Pls register it as buffer: "
                f"self.register_buffer({str(spec.target).rpartition('.')[2]!r}, ..., persistent=False)."
            )
        target = spec.arg.name if spec.kind is InputKind.USER_INPUT else spec.target
        found.append(OutputSpec(_MUTATION[spec.kind], TensorArgument(node.name), target))
    for old, node in zip(before, nodes[len(found) :], strict=True):
        arg = argument_of(node) if isinstance(node, torch.fx.Node) else old.arg
        found.append(OutputSpec(old.kind, arg, old.target))
    return found


def _named(program: ExportedProgram) -> set[str]:
    """Return the names of the nodes that call signatures refer to."""
    signatures = [entry.signature for entry in program.module_call_graph if entry.signature is not None]
    return {each.name for one in signatures for each in (*one.inputs, *one.outputs)}


def _renamed(entry: ModuleCallEntry, nodes: Mapping[str, torch.fx.Node]) -> ModuleCallEntry:
    def renamed(argument: Any) -> Any:
        return replace(argument, name=nodes[argument.name].name) if argument.name in nodes else argument

    if entry.signature is None:
        return ModuleCallEntry(entry.fqn)
    inputs, outputs = ([*map(renamed, each)] for each in (entry.signature.inputs, entry.signature.outputs))
    return ModuleCallEntry(entry.fqn, replace(entry.signature, inputs=inputs, outputs=outputs))


def _ranges(program: ExportedProgram, graph: torch.fx.Graph, mode: FakeTensorMode) -> dict[Any, Any]:
    """Return the ranges of the program, and those of symbols that operators introduced in place of others."""
    found = dict(program.range_constraints)
    env: Any = mode.shape_env
    for node in graph.nodes:
        leaves = pytree.tree_leaves(node.meta.get("val"))
        for symbol in free_symbols([each for each in leaves if not isinstance(each, CustomObjArgument)]):
            if symbol not in found and symbol in env.var_to_range:
                found[symbol] = env.var_to_range[symbol]
    return found
