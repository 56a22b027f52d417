"""Operations, arguments and subgraphs that are not what they were, most of them without another value anywhere."""

from __future__ import annotations

import operator

from torch.export import ExportedProgram
from torch.fx import Graph, GraphModule, Node

from tests.faults.editing import (
    aten,
    call,
    call_instead,
    calls,
    insert_after,
    placeholder,
    rename,
    set_argument,
    subgraphs,
    use_instead,
)
from tests.faults.fault import Fault, Inject, fault


def _operands_of_an_addition_swapped(program: ExportedProgram) -> None:
    node = call(program, "aten.add.", 3)
    node.args = node.args[::-1]


def _operand_and_placeholder_swapped(program: ExportedProgram) -> None:
    node = call(program, "aten.add.", 2)
    node.args = node.args[::-1]


def _dead_operation_added(program: ExportedProgram) -> None:
    insert_after(call(program, "aten.sub"), aten.sin.default, call(program, "aten.sub"))


def _operation_dropped(program: ExportedProgram) -> None:
    node = call(program, "aten.detach_")
    source = node.args[0]
    assert isinstance(source, Node)
    use_instead(program, node, source)
    node.graph.erase_node(node)


def _operation_written_otherwise(program: ExportedProgram) -> None:
    """``clamp_min(x, 0)`` for ``relu(x)``."""
    node = call(program, "aten.relu")
    node.target, node.args = aten.clamp_min.default, (node.args[0], 0)


def _independent_operations_in_another_order(program: ExportedProgram) -> None:
    call(program, "aten.layer_norm").prepend(call(program, "aten.div", 1))


def _overload_changed(program: ExportedProgram) -> None:
    call(program, "aten.add.Tensor").target = aten.add.Scalar


def _operation_of_the_other_branch_changed(program: ExportedProgram) -> None:
    """Nothing that is run: the condition is true."""
    node = calls(_branch(program, taken=False).graph, "aten.sin")[0]
    node.target = aten.tan.default


def _branch(program: ExportedProgram, *, taken: bool) -> GraphModule:
    return subgraphs(program)[0 if taken else 1]


def _branches_swapped(program: ExportedProgram) -> None:
    node = call(program, "cond")
    predicate, first, second, operands = node.args
    node.args = (predicate, second, first, operands)


_AT_SERDES_AND_RETRACE: tuple[tuple[Inject, str, str], ...] = (
    (_operands_of_an_addition_swapped, "layered", "args"),
    (_operand_and_placeholder_swapped, "layered", "args"),
    (_dead_operation_added, "layered", "added"),
    (_operation_dropped, "layered", "dropped"),
    (_operation_written_otherwise, "layered", ""),
    (_overload_changed, "viewing", ""),
    (_operation_of_the_other_branch_changed, "branching", ""),
    (_branches_swapped, "branching", ""),
)

FAMILIES = tuple(
    Fault(
        id=f"{inject.__name__.strip('_').replace('_', '-')}-by-{stage}",
        where=f"nonstrict-{stage}",
        model=model,
        inject=inject,
        owner="nodes",
        field=field,
    )
    for inject, model, field in _AT_SERDES_AND_RETRACE
    for stage in ("serdes", "retrace")
)


@fault("nonstrict-serdes", "normed", ledger="nodes.order")
def independent_operations_loaded_in_another_order(program: ExportedProgram) -> None:
    _independent_operations_in_another_order(program)


@fault("nonstrict-retrace", "normed", owner="nodes", field="order")
def independent_operations_retraced_in_another_order(program: ExportedProgram) -> None:
    _independent_operations_in_another_order(program)


@fault("nonstrict-serdes", "normed", owner="nodes", field="args")
def constant_argument_changed(program: ExportedProgram) -> None:
    set_argument(call(program, "aten.div"), 1, 0.25)


@fault("nonstrict-retrace", "normed", owner="nodes", field="args")
def constant_argument_rounded(program: ExportedProgram) -> None:
    """Too small a change for any value to show it."""
    set_argument(call(program, "aten.layer_norm"), 4, 1.0000001e-05)


@fault("nonstrict-serdes", "branching", owner="nodes", field="args")
def int_argument_becomes_float(program: ExportedProgram) -> None:
    set_argument(call(program, "aten.gt"), 1, 0.0)


@fault("nonstrict-serdes", "counting", owner="nodes", field="args")
def int_argument_becomes_bool(program: ExportedProgram) -> None:
    set_argument(call(program, "aten.add_"), 1, True)


@fault("nonstrict-serdes", "normed", owner="nodes", field="args")
def dims_written_as_negative(program: ExportedProgram) -> None:
    set_argument(call(program, "aten.permute"), 1, [-1, -2])


@fault("nonstrict-serdes", "normed", owner="nodes", field="*args")
def positional_argument_moved_to_keyword(program: ExportedProgram) -> None:
    node = call(program, "aten.layer_norm")
    *rest, epsilon, _ = node.args
    node.args, node.kwargs = tuple(rest), {"eps": epsilon, "cudnn_enable": False}


@fault("nonstrict-serdes", "normed", owner="nodes", field="args")
def default_arguments_left_out(program: ExportedProgram) -> None:
    node = call(program, "aten.layer_norm")
    node.args = node.args[:4]


@fault("nonstrict-serdes", "drawing", owner="nodes", field="kwargs")
def keyword_dropped(program: ExportedProgram) -> None:
    call(program, "aten.rand_like").kwargs = {}


@fault("nonstrict-serdes", "remembering", owner="nodes", field="kwargs")
def dtype_of_a_factory_dropped(program: ExportedProgram) -> None:
    call(program, "aten.ones").kwargs = {**call(program, "aten.ones").kwargs, "dtype": None}


@fault("nonstrict", "remembering", ledger="defaults.dtype")
def dtype_left_to_the_process(program: ExportedProgram) -> None:
    node = call(program, "aten.ones")
    node.kwargs = {key: value for key, value in node.kwargs.items() if key != "dtype"}


@fault("nonstrict-serdes", "layered", owner="nodes", field="kwargs")
def keyword_of_another_type(program: ExportedProgram) -> None:
    call(program, "aten.add.", 1).kwargs = {"alpha": 2.0}


@fault("nonstrict-serdes", "normed", owner="nodes", field="args")
def results_of_a_split_swapped(program: ExportedProgram) -> None:
    """Which of the two is which, in the names: every user follows."""
    first, second = [node for node in program.graph.nodes if node.target is operator.getitem]
    set_argument(first, 1, 1)
    set_argument(second, 1, 0)
    specs = program.graph_signature.output_specs
    output_node = program.graph.output_node()
    one, other, *rest = output_node.args[0]
    output_node.args = ((other, one, *rest),)
    specs[0], specs[1] = specs[1], specs[0]


@fault("nonstrict-serdes", "layered", owner="nodes", field="name")
def operation_renamed(program: ExportedProgram) -> None:
    rename(program, call(program, "aten.sub"), "difference")


@fault("nonstrict-serdes", "layered", owner="nodes", field="name")
def placeholder_renamed(program: ExportedProgram) -> None:
    rename(program, placeholder(program, "b_scale"), "b_factor")


@fault("nonstrict-serdes", "branching", owner="nodes")
def constant_in_a_subgraph_changed(program: ExportedProgram) -> None:
    set_argument(calls(_branch(program, taken=False).graph, "aten.div")[0], 1, 4)


@fault("nonstrict-serdes", "branching", owner="nodes", field="added")
def dead_operation_in_a_subgraph(program: ExportedProgram) -> None:
    node = calls(_branch(program, taken=True).graph, "aten.sin")[0]
    insert_after(node, aten.cos.default, node)


@fault("nonstrict-serdes", "branching", owner="nodes", field="args")
def operand_passed_twice(program: ExportedProgram) -> None:
    """A further operand of ``cond`` that its branches do not use."""
    node = call(program, "cond")
    *rest, operands = node.args
    assert isinstance(operands, tuple | list)
    node.args = (*rest, (*operands, operands[0]))
    for branch in subgraphs(program):
        _add_placeholder(branch.graph)


def _add_placeholder(graph: Graph) -> None:
    last = [node for node in graph.nodes if node.op == "placeholder"][-1]
    with graph.inserting_after(last):
        graph.placeholder("spare").meta = dict(last.meta)


@fault("nonstrict-serdes", "branching", owner="nodes")
def one_subgraph_for_both_branches(program: ExportedProgram) -> None:
    node = call(program, "cond")
    set_argument(node, 2, node.args[1])


@fault("nonstrict-serdes", "resizing", owner="nodes", field="args")
def message_of_an_assertion_changed(program: ExportedProgram) -> None:
    set_argument(call(program, "aten._assert_scalar"), 1, "failed")


@fault("nonstrict-serdes", "resizing", owner="nodes", field="dropped")
def assertion_dropped(program: ExportedProgram) -> None:
    program.graph.erase_node(call(program, "aten._assert_scalar"))


@fault("nonstrict-retrace", "resizing", owner="nodes", field="dropped")
def assertion_dropped_by_retrace(program: ExportedProgram) -> None:
    program.graph.erase_node(call(program, "aten._assert_scalar"))


@fault("nonstrict-retrace", "resizing", owner="nodes", field="dropped")
def condition_of_an_assertion_relaxed_by_retrace(program: ExportedProgram) -> None:
    set_argument(call(program, "_operator.ge"), 1, -1)


@fault("nonstrict-retrace", "counted", owner="nodes", field="added")
def condition_of_an_assertion_tightened_by_retrace(program: ExportedProgram) -> None:
    """Three is refused: nothing that is run."""
    set_argument(call(program, "_operator.le"), 1, 2)


@fault("nonstrict-retrace", "counted", owner="nodes", field="dropped")
def assertion_on_a_sum_dropped_by_retrace(program: ExportedProgram) -> None:
    condition = call(program, "_operator.eq")
    (assertion,) = condition.users
    program.graph.erase_node(assertion)


@fault("nonstrict-retrace", "resizing", owner="nodes", field="args")
def size_computed_wrongly_by_retrace(program: ExportedProgram) -> None:
    set_argument(call(program, "_operator.add"), 1, 2)


@fault("nonstrict-retrace", "resizing", owner="nodes", field="args")
def size_made_constant_by_retrace(program: ExportedProgram) -> None:
    node = call(program, "aten.reshape")
    set_argument(node, 1, [4, 2, 4])


@fault("nonstrict-retrace", "counted", owner="nodes", field="args")
def numbers_read_from_a_tensor_swapped_by_retrace(program: ExportedProgram) -> None:
    """Both are two on the example."""
    node = call(program, "aten.split_with_sizes")
    set_argument(node, 1, node.args[1][::-1])


@fault("nonstrict-retrace", "counted", owner="nodes", field="args")
def number_read_from_a_tensor_made_constant_by_retrace(program: ExportedProgram) -> None:
    set_argument(call(program, "aten.mul"), 1, 2)


@fault("nonstrict-retrace", "counted", owner="nodes", field="dropped")
def reading_of_a_number_dropped_by_retrace(program: ExportedProgram) -> None:
    """The first number stands for the second, too: both are two on the example."""
    first, second = calls(program.graph, "aten.item")
    second.replace_all_uses_with(first)
    program.graph.erase_node(second)


@fault("nonstrict-serdes", "resizing", owner="nodes", field="args")
def condition_of_an_assertion_relaxed(program: ExportedProgram) -> None:
    set_argument(call(program, "_operator.ge"), 1, -1)


@fault("nonstrict-serdes", "resizing", owner="nodes", field="args")
def size_taken_of_another_dim(program: ExportedProgram) -> None:
    """Columns instead of rows; ``y`` has as many elements either way for the reshape to infer."""
    node = call(program, "aten.reshape")
    set_argument(node, 1, [-1, 2, 4])


@fault("nonstrict-serdes", "learning", owner="nodes", field="args")
def flag_of_a_region_flipped(program: ExportedProgram) -> None:
    set_argument(call(program, "wrap_with_set_grad_enabled"), 0, True)


@fault("nonstrict", "layered", owner="nodes", field="op")
def operation_becomes_method_call(program: ExportedProgram) -> None:
    node = call(program, "aten.relu")
    node.op, node.target = "call_method", "relu"


@fault("nonstrict", "layered", owner="nodes", field="name")
def two_operations_of_one_name(program: ExportedProgram) -> None:
    node = call(program, "aten.sub")
    one, other = insert_after(node, aten.sin.default, node), insert_after(node, aten.cos.default, node)
    other.name = one.name


@fault("nonstrict", "layered", owner="nodes", field="order")
def placeholder_behind_an_operation(program: ExportedProgram) -> None:
    call(program, "aten.linear").append(placeholder(program, "y"))


@fault("nonstrict", "layered", owner="stage", field="raised")
def operation_before_what_it_uses(program: ExportedProgram) -> None:
    """A program that nothing can be made of: the stage itself says so."""
    call(program, "aten.sub").prepend(call(program, "aten.relu"))


@fault("nonstrict-serdes", "layered", ledger="nodes.unused_result_added")
def unused_result_named(program: ExportedProgram) -> None:
    node = call(program, "aten.sub")
    insert_after(node, operator.getitem, node, 0)


@fault("nonstrict-serdes", "normed", owner="nodes", field="added")
def shared_operation_computed_twice(program: ExportedProgram) -> None:
    """One of two users gets a copy of what both used."""
    node = call(program, "aten.split_with_sizes")
    again = insert_after(node, node.target, *node.args)
    second = [user for user in program.graph.nodes if user.target is operator.getitem][1]
    set_argument(second, 0, again)


@fault("nonstrict-retrace", "layered", owner="nodes")
def operation_applied_twice(program: ExportedProgram) -> None:
    """``relu`` is applied to itself: the same values once more."""
    relu = call(program, "aten.relu")
    again = insert_after(relu, aten.relu.default, relu)
    use_instead(program, relu, again)


@fault("nonstrict-serdes", "counting", owner="nodes")
def mutation_made_functional(program: ExportedProgram) -> None:
    """``copy_(b, b + 1)`` for ``b.add_(1)``."""
    node = call(program, "aten.add_")
    buffer, number = node.args
    sum_node = insert_after(node, aten.add.Tensor, buffer, number)
    call_instead(program, node, aten.add.Tensor, buffer, number)
    insert_after(sum_node, aten.copy_.default, buffer, sum_node)
