"""Metadata of nodes: every key dropped, altered and moved to another node, on every kind of node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch.export import ExportedProgram
from torch.fx import Node

from pytest_exportcheck.modes import Mode
from tests.faults.editing import call, calls, output, placeholder, subgraphs
from tests.faults.fault import Fault, fault

Pick: TypeAlias = Callable[[ExportedProgram], tuple[Node, Node]]


def _operations(program: ExportedProgram) -> tuple[Node, Node]:
    """Two operations that differ in every key; each is the only one that was made of its origin."""
    return call(program, "aten.add."), call(program, "aten.sub")


def _layers(program: ExportedProgram) -> tuple[Node, Node]:
    return call(program, "aten.linear"), call(program, "aten.linear", 1)


def _lowered_layers(program: ExportedProgram) -> tuple[Node, Node]:
    return call(program, "aten.addmm"), call(program, "aten.addmm", 1)


def _operations_of_branches(program: ExportedProgram) -> tuple[Node, Node]:
    one, other = subgraphs(program)
    return calls(one.graph, "aten.sin")[0], calls(other.graph, "aten.div")[0]


def _unbacked(program: ExportedProgram) -> tuple[Node, Node]:
    return call(program, "aten.nonzero"), call(program, "aten.mul")


def _placeholders(program: ExportedProgram) -> tuple[Node, Node]:
    return placeholder(program, "b_scale"), placeholder(program, "p_pair_left_weight")


def _output_and_placeholder(program: ExportedProgram) -> tuple[Node, Node]:
    return output(program), placeholder(program, "x")


def _stack_trace(value: str) -> str:
    """The line before the one that called."""
    head, comma, tail = value.rpartition(", line ")
    number, rest = tail.split(",", 1)
    return f"{head}{comma}{int(number) - 1},{rest}"


def _module_stack(value: dict[str, Any]) -> dict[str, Any]:
    """Another path for the innermost module."""
    *rest, (key, (path, kind)) = value.items() or [("L__self__", ("", "a.Module"))]
    return {**dict(rest), key: (f"{path}_other" if path else "other", kind)}


def _function(value: tuple[str, str]) -> tuple[str, str]:
    return (value[0], "function.other")


def _sources(value: list[Any]) -> list[Any]:
    return value + value


def _functions(value: list[Any]) -> list[Any]:
    return [(f"{name}_other", target) for name, target in value]


def _annotation(value: dict[str, Any]) -> dict[str, Any]:
    users = next(key for key in value if not key.startswith("_"))
    return {**value, users: "another"}


def _bindings(value: dict[Any, Any]) -> dict[Any, Any]:
    return {symbol: (*path, *path) for symbol, path in value.items()}


@dataclass(frozen=True)
class _Key:
    """A key of node metadata, the mode and nodes that have it, and how it is altered."""

    name: str
    where: str
    model: str
    nodes: Pick
    altered: Callable[[Any], Any]
    field: str = ""
    on: str = "an-operation"

    def faults(self) -> tuple[Fault, ...]:
        edits = {"dropped-from": self._drop, "altered-on": self._alter, "moved-from": self._move}
        return tuple(
            Fault(
                id=f"{self.name.replace('_', '-')}-{what}-{self.on}",
                where=self.where,
                model=self.model,
                inject=inject,
                owner="metadata",
                field=self.field or self.name,
            )
            for what, inject in edits.items()
        )

    def _drop(self, program: ExportedProgram) -> None:
        del self.nodes(program)[0].meta[self.name]

    def _alter(self, program: ExportedProgram) -> None:
        meta = self.nodes(program)[0].meta
        meta[self.name] = self.altered(meta[self.name])

    def _move(self, program: ExportedProgram) -> None:
        one, other = self.nodes(program)
        other.meta[self.name] = one.meta.pop(self.name)


_SERDES, _LOWERED, _STRICT = "nonstrict-serdes", "nonstrict-decompose-serdes", "strict-serdes"
_BRANCH = "a-branch"

_KEYS = (
    _Key("stack_trace", _SERDES, "annotated", _operations, _stack_trace),
    _Key("nn_module_stack", _SERDES, "annotated", _operations, _module_stack),
    _Key("torch_fn", _SERDES, "annotated", _operations, _function),
    _Key("custom", _SERDES, "annotated", _layers, _annotation),
    _Key("from_node", _LOWERED, "annotated", _operations, _sources),
    _Key("source_fn_stack", _STRICT, "annotated", _operations, _functions),
    _Key("unbacked_bindings", _SERDES, "resizing", _unbacked, _bindings),
    _Key("stack_trace", _SERDES, "branching", _operations_of_branches, _stack_trace, on=_BRANCH),
    _Key("nn_module_stack", _SERDES, "branching", _operations_of_branches, _module_stack, on=_BRANCH),
    _Key("torch_fn", _SERDES, "branching", _operations_of_branches, _function, on=_BRANCH),
    _Key("custom", _SERDES, "branching", _operations_of_branches, _annotation, on=_BRANCH),
    _Key("from_node", _SERDES, "branching", _operations_of_branches, _sources, on=_BRANCH),
    _Key("source_fn_stack", _SERDES, "branching", _operations_of_branches, _functions, on=_BRANCH),
    _Key(
        "custom",
        "nonstrict-exchange",
        "annotated_whole",
        _placeholders,
        _annotation,
        "placeholder.custom",
        "a-placeholder",
    ),
    _Key(
        "custom",
        "nonstrict-exchange",
        "annotated_whole",
        _output_and_placeholder,
        _annotation,
        "output.custom",
        "the-output",
    ),
    _Key(
        "custom",
        "nonstrict-decompose",
        "annotated_whole",
        _placeholders,
        _annotation,
        "placeholder.custom",
        "a-placeholder-by-lowering",
    ),
    _Key("stack_trace", "nonstrict-decompose", "annotated", _operations, _stack_trace, on="a-lowered-operation"),
    _Key("nn_module_stack", "nonstrict-decompose", "annotated", _operations, _module_stack, on="a-lowered-operation"),
    _Key("nn_module_stack", "nonstrict-retrace", "layered", _operations, _module_stack, on="a-retraced-operation"),
    _Key("custom", "nonstrict-decompose", "annotated", _lowered_layers, _annotation, on="a-lowered-operation"),
)

FAMILIES = tuple(each for key in _KEYS for each in key.faults())


@fault("nonstrict", "layered", owner="metadata", field="stack_trace")
def captured_without_a_stack_trace(program: ExportedProgram) -> None:
    del call(program, "aten.relu").meta["stack_trace"]


@fault("nonstrict", "layered", owner="metadata", field="stack_trace")
def captured_without_any_stack_trace(program: ExportedProgram) -> None:
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)


@fault("nonstrict", "hooked", owner="metadata", field="stack_trace missing")
def captured_without_a_stack_trace_in_a_layer_of_a_root_with_hooks(program: ExportedProgram) -> None:
    del call(program, "aten.linear").meta["stack_trace"]


@fault("nonstrict", "traced", owner="metadata", field="stack_trace missing")
def captured_without_a_stack_trace_in_a_layer_of_a_graph_module(program: ExportedProgram) -> None:
    del call(program, "aten.linear").meta["stack_trace"]


@fault("nonstrict", "traced", owner="metadata", field="nn_module_stack")
def captured_in_a_module_of_another_class_in_a_graph_module(program: ExportedProgram) -> None:
    captured_in_a_module_of_another_class.inject(program)


@fault("nonstrict", "layered", owner="metadata", field="stack_trace")
def captured_with_another_line(program: ExportedProgram) -> None:
    meta = call(program, "aten.relu").meta
    meta["stack_trace"] = _stack_trace(meta["stack_trace"])


@fault("nonstrict", "layered", owner="metadata", field="stack_trace")
def captured_without_a_frame(program: ExportedProgram) -> None:
    call(program, "aten.relu").meta["stack_trace"] = "somewhere"


@fault("nonstrict", "layered", owner="metadata", field="nn_module_stack")
def captured_without_a_module_stack(program: ExportedProgram) -> None:
    del call(program, "aten.linear").meta["nn_module_stack"]


@fault("nonstrict", "layered", owner="metadata", field="nn_module_stack")
def captured_in_a_module_that_is_none(program: ExportedProgram) -> None:
    meta = call(program, "aten.linear").meta
    meta["nn_module_stack"] = _module_stack(meta["nn_module_stack"])


@fault("nonstrict", "layered", owner="metadata", field="nn_module_stack")
def captured_in_a_module_of_another_class(program: ExportedProgram) -> None:
    meta = call(program, "aten.linear").meta
    *rest, (key, (path, _)) = meta["nn_module_stack"].items()
    meta["nn_module_stack"] = {**dict(rest), key: (path, "torch.nn.modules.activation.ReLU")}


@fault("nonstrict", "layered", owner="metadata", field="nn_module_stack")
def captured_in_the_other_layer(program: ExportedProgram) -> None:
    """The modules of two layers of one class, swapped: each uses the other's weights."""
    one, other = (node.meta for node in _layers(program))
    one["nn_module_stack"], other["nn_module_stack"] = other["nn_module_stack"], one["nn_module_stack"]


@fault("nonstrict", "layered", owner="metadata", field="torch_fn")
def captured_without_a_function(program: ExportedProgram) -> None:
    del call(program, "aten.relu").meta["torch_fn"]


@fault("nonstrict", "layered", owner="metadata", field="torch_fn")
def captured_with_a_function_object(program: ExportedProgram) -> None:
    meta = call(program, "aten.relu").meta
    meta["torch_fn"] = (meta["torch_fn"][0], call)


@fault("nonstrict", "branching", owner="metadata", field="stack_trace")
def branch_captured_without_a_stack_trace(program: ExportedProgram) -> None:
    del _operations_of_branches(program)[0].meta["stack_trace"]


@fault("nonstrict-serdes", "annotated", owner="metadata", field="custom")
def annotation_added(program: ExportedProgram) -> None:
    meta = call(program, "aten.relu").meta
    meta["custom"] = {**meta.get("custom", {}), "part": "none"}


@fault("nonstrict-serdes", "annotated", owner="metadata", field="custom")
def annotated_int_becomes_str(program: ExportedProgram) -> None:
    meta = call(program, "aten.linear", 1).meta
    meta["custom"] = {**meta["custom"], "number": "2"}


@fault("nonstrict-serdes", "annotated", owner="metadata", field="custom")
def annotated_int_becomes_float(program: ExportedProgram) -> None:
    meta = call(program, "aten.linear", 1).meta
    meta["custom"] = {**meta["custom"], "number": 2.0}


@fault("nonstrict-serdes", "annotated", owner="metadata", field="custom")
def one_annotation_of_two_dropped(program: ExportedProgram) -> None:
    meta = call(program, "aten.linear", 1).meta
    meta["custom"] = {key: value for key, value in meta["custom"].items() if key != "number"}


@fault("nonstrict-exchange", "annotated_whole", owner="metadata", field="custom")
def annotated_tuple_becomes_list(program: ExportedProgram) -> None:
    meta = call(program, "aten.relu").meta
    meta["custom"] = {**meta["custom"], "whole": list(meta["custom"]["whole"])}


@fault("nonstrict-serdes", "layered", owner="metadata", field="placeholder.custom")
def placeholder_annotated(program: ExportedProgram) -> None:
    placeholder(program, "x").meta["custom"] = {"added": 1}


@fault("nonstrict-serdes", "layered", owner="metadata", field="output.custom")
def output_annotated(program: ExportedProgram) -> None:
    output(program).meta["custom"] = {"added": 1}


@fault("nonstrict-decompose", "annotated", owner="metadata", field="custom")
def annotation_dropped_with_its_origin(program: ExportedProgram) -> None:
    """Lowered without ``from_node``, so that nothing says what the operation was made of."""
    meta = call(program, "aten.addmm").meta
    del meta["from_node"], meta["custom"]


@fault("nonstrict-decompose", "layered", owner="metadata", field="stack_trace")
def stack_trace_dropped_with_its_origin(program: ExportedProgram) -> None:
    meta = call(program, "aten.addmm").meta
    del meta["from_node"], meta["stack_trace"]


@fault("nonstrict-decompose", "branching", owner="metadata", field="stack_trace")
def stack_trace_of_a_branch_dropped_by_lowering(program: ExportedProgram) -> None:
    del _operations_of_branches(program)[0].meta["stack_trace"]


@fault("nonstrict-decompose", "annotated", owner="metadata", field="custom")
def annotation_of_another_layer_kept(program: ExportedProgram) -> None:
    one, other = (node.meta for node in _lowered_layers(program))
    one["custom"], other["custom"] = other["custom"], one["custom"]


@fault("nonstrict-retrace", "layered", owner="metadata", field="nn_module_stack")
def retraced_in_the_other_layer(program: ExportedProgram) -> None:
    one, other = (node.meta for node in _layers(program))
    one["nn_module_stack"], other["nn_module_stack"] = other["nn_module_stack"], one["nn_module_stack"]


@fault("nonstrict-retrace", "branching", owner="metadata", field="nn_module_stack")
def module_stack_of_a_branch_dropped_by_retrace(program: ExportedProgram) -> None:
    del _operations_of_branches(program)[0].meta["nn_module_stack"]


@fault("nonstrict-serdes", "branching", owner="metadata", field="nn_module_stack")
def result_of_a_branch_in_another_module(program: ExportedProgram) -> None:
    """Beside what torch does to the provenance of such results, a defect that it does not have."""
    meta = call(program, "_operator.getitem").meta
    meta["nn_module_stack"] = _module_stack(meta["nn_module_stack"])


# --- what a stage may lose ------------------------------------------------------------------


@dataclass(frozen=True)
class _LostKey:
    """A key that the policy gives up at a stage; dropping it, or writing to it, must still show."""

    name: str
    where: str
    model: str
    nodes: Pick
    value: Any = None
    field: str = ""

    def fault(self) -> Fault:
        stage = Mode.parse(self.where).last
        what = "dropped" if self.value is None else "written"
        field = self.field or self.name
        return Fault(
            id=f"{field.replace('_', '-').replace('.', '-')}-{what}-at-{stage}",
            where=self.where,
            model=self.model,
            inject=self._edit,
            ledger=f"metadata.{field}",
        )

    def _edit(self, program: ExportedProgram) -> None:
        meta = self.nodes(program)[0].meta
        if self.value is None:
            del meta[self.name]
        else:
            meta[self.name] = self.value


_EXCHANGE, _DECOMPOSE, _RETRACE = "nonstrict-exchange", "nonstrict-decompose", "nonstrict-retrace"

_LOST_KEYS = (
    _LostKey("tensor_meta", _EXCHANGE, "layered", _operations),
    _LostKey("tensor_meta", _EXCHANGE, "layered", _placeholders, field="placeholder.tensor_meta"),
    _LostKey("seq_nr", _EXCHANGE, "annotated", _operations),
    _LostKey("seq_nr", _EXCHANGE, "annotated", _operations, value=99),
    _LostKey("original_aten", _EXCHANGE, "annotated", _operations),
    _LostKey("original_aten", _EXCHANGE, "annotated", _operations, value="aten.other.default"),
    _LostKey("mystery", _SERDES, "layered", _operations, value="gained"),
    _LostKey("mystery", _SERDES, "layered", _output_and_placeholder, value="gained", field="output.mystery"),
    _LostKey("torch_fn", _DECOMPOSE, "annotated", _operations),
    _LostKey("original_aten", _DECOMPOSE, "annotated", _operations),
    _LostKey("stack_trace", _RETRACE, "layered", _operations),
    _LostKey("torch_fn", _RETRACE, "layered", _operations),
    _LostKey("custom", _RETRACE, "layered", _operations, value={"added": 1}),
)

FAMILIES += tuple(key.fault() for key in _LOST_KEYS)
