"""What the reference exporter owes to one model that torch exports: the same program, but for what torch has wrong."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from tests.differential.roundtrips import difference_of

CHECKS = ("operators", "signature", "outputs")


def compared(ours: ExportedProgram, theirs: ExportedProgram, run: Callable[[ExportedProgram], Any]) -> dict[str, str]:
    """For each check what is otherwise in ours, empty where nothing is. ``run`` gives a pytree of all that a program computes."""
    return {
        "operators": _differing(list(_operators(ours)), list(_operators(theirs))),
        "signature": _differing(_signature(ours), _signature(theirs))
        or _missing(theirs._guards_code, ours._guards_code),
        "outputs": difference_of(run(ours), run(theirs)),
    }


def strict_alike(ours: ExportedProgram, theirs: ExportedProgram, leaves: Sequence[str] = ()) -> dict[str, str]:
    """What is otherwise in ours than in torch's strict capture, but for what torch has wrong there: it drops and reorders state, names
    symbols and constants after its own places and keeps ``self_`` in names, and keeps the ranges of symbols that it renamed. ``leaves``
    are the places of the inputs.
    """
    lacking = sorted(_state(theirs) - _state(ours))
    return {
        "operators": _differing(list(_operators(ours)), list(_operators(theirs))),
        "signature": (f"without {lacking}" if lacking else "")
        or _differing(list(_interface(ours)), list(_interface(theirs)))
        or (_missing([_placed(each, leaves) for each in theirs._guards_code], ours._guards_code) if leaves else ""),
    }


def _state(program: ExportedProgram) -> set[str]:
    kinds = (InputKind.USER_INPUT, InputKind.CONSTANT_TENSOR)
    specs = [spec for spec in program.graph_signature.input_specs if spec.kind not in kinds]
    return {f"{spec.arg.name.replace('_self_', '_', 1)}: {spec.kind.name} target={spec.target!r}" for spec in specs}


def _interface(program: ExportedProgram) -> Iterator[str]:
    """What a caller sees, with symbols named by the order in which the inputs have them."""
    inputs = [spec for spec in program.graph_signature.input_specs if spec.kind is InputKind.USER_INPUT]
    symbols: dict[str, int] = {}
    values = {node.name: node.meta.get("val") for node in program.graph.find_nodes(op="placeholder")}
    sizes = [
        f"{spec.arg.name} {getattr(values.get(spec.arg.name), 'shape', values.get(spec.arg.name))}" for spec in inputs
    ]
    found = "\n".join(sizes)
    ranges = sorted(
        f"{symbol}: {bounds}" for symbol, bounds in program.range_constraints.items() if f"{symbol}" in found
    )
    text = "\n".join((*map(str, inputs), *sizes, *map(str, program.graph_signature.output_specs), *ranges))
    text = re.sub(r"\b(getitem|sym_size_int)(_\d+)?\b", r"\1", text)  # made after the trace
    yield from re.sub(r"\bs\d+\b", lambda each: f"s{symbols.setdefault(each[0], len(symbols))}", text).splitlines()
    yield from map(str, program.module_call_graph)
    yield f"state {sorted(program.state_dict)}"
    yield f"constants {len(program.graph_signature.lifted_tensor_constants)}"


def _placed(guard: str, leaves: Sequence[str]) -> str:
    return re.sub(r"L\['flat_args'\]\[(\d+)\]", lambda each: leaves[int(each[1])], guard)


def lowered_alike(ours: ExportedProgram, theirs: ExportedProgram) -> str:
    """What is otherwise below autograd, empty where nothing is: kinds of inputs and outputs, and operators. Assertions do not count:
    direct captures of torch's drop those of what a program does not go on to use, and make others."""
    return _differing(_kinds(ours), _kinds(theirs)) or _differing(
        [*filter(_computes, _operators(ours))], [*filter(_computes, _operators(theirs))]
    )


def _kinds(program: ExportedProgram) -> list[str]:
    """Of the inputs, state in any order (torch moves constants), and of the outputs."""
    signature = program.graph_signature
    inputs = [(spec.kind, f"{spec.kind} {spec.target} {spec.arg.name}") for spec in signature.input_specs]
    return [
        *sorted(text for kind, text in inputs if kind is not InputKind.USER_INPUT),
        *(text for kind, text in inputs if kind is InputKind.USER_INPUT),
        *(f"{spec.kind} {spec.target}" for spec in signature.output_specs),
    ]


#: A tensor that is made of numbers is copied; which operator does that, the two name differently.
_SAME = {"aten.lift_fresh_copy.default": "aten.clone.default"}
_ASSERTIONS = (
    "aten._assert_scalar.default",
    "aten._assert_tensor_metadata.default",
    "aten.sym_constrain_range_for_size.default",
)
_COMPARISONS = tuple(str(getattr(operator, name)) for name in ("ge", "le", "eq", "ne", "gt", "lt", "and_"))


def _computes(target: str) -> bool:
    return target not in _ASSERTIONS and target not in _COMPARISONS


def _operators(program: ExportedProgram) -> Iterator[str]:
    """What is called, in order, in the graphs that the graph calls too."""
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            if node.op == "call_function":
                yield _SAME.get(str(node.target), str(node.target))


def _signature(program: ExportedProgram) -> list[str]:
    """Inputs and outputs, ranges, module calls, and the names of state and constants: those in any order."""
    return [
        *str(program.graph_signature).splitlines(),
        f"ranges {program.range_constraints}",
        *map(str, program.module_call_graph),
        f"state {sorted(program.state_dict)}",
        f"constants {sorted(program.constants)}",
    ]


def _differing(ours: list[str], theirs: list[str]) -> str:
    for one, other in zip(ours, theirs, strict=False):
        if one != other:
            return f"{one[:100]} instead of {other[:100]}"
    return "" if len(ours) == len(theirs) else f"{len(ours)} instead of {len(theirs)}"


def _missing(wanted: list[str], there: list[str]) -> str:
    said = {*map(_either_way, there)}
    lacking = sorted(guard for guard in wanted if _either_way(guard) not in said)
    return f"without the guards {lacking}" if lacking else ""


_SIZE = r"L\['[^()]*\.size\(\)\[\d+\]"


def _either_way(guard: str) -> Any:
    """An equality says the same with its sides exchanged, and a product of two sizes with its factors."""
    guard = re.sub(rf"({_SIZE})\*({_SIZE})", lambda each: "*".join(sorted(each.groups())), guard)
    return frozenset(guard.split(" == ")) if guard.count(" == ") == 1 else guard
