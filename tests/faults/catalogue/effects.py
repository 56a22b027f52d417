"""Mutations that are lost, added or misdirected, and random generators that advance otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind
from torch.fx import GraphModule

from tests.faults.editing import (
    aten,
    call,
    call_instead,
    drop_output,
    insert_after,
    next_float,
    output_specs,
    placeholder,
    set_argument,
)
from tests.faults.fault import fault


@fault("nonstrict", "counting", owner="effects", field="mutation lost")
def buffer_mutation_lost(program: ExportedProgram) -> None:
    node = call(program, "aten.add_")
    call_instead(program, node, aten.add.Tensor, *node.args)


@fault("nonstrict-serdes", "counting", owner="effects", field="mutation lost")
def input_mutation_lost(program: ExportedProgram) -> None:
    node = call(program, "aten.mul_")
    call_instead(program, node, aten.mul.Tensor, *node.args)


@fault("nonstrict-decompose", "counting", owner="effects", field="mutation lost")
def buffer_mutation_not_written_back(program: ExportedProgram) -> None:
    drop_output(program, 0)


@fault("nonstrict-decompose", "counting", owner="effects", field="mutation lost")
def input_mutation_not_written_back(program: ExportedProgram) -> None:
    drop_output(program, 2)


@fault("nonstrict-retrace", "counting", owner="effects", field="mutated to another value")
def buffer_mutated_twice(program: ExportedProgram) -> None:
    node = call(program, "aten.add_")
    insert_after(node, aten.add_.Tensor, *node.args)


@fault("nonstrict-serdes", "counting", owner="effects", field="mutated to another value")
def mutations_of_two_buffers_swapped(program: ExportedProgram) -> None:
    one, other = call(program, "aten.add_"), call(program, "aten.add_", 1)
    first, second = one.args[0], other.args[0]
    set_argument(one, 0, second)
    set_argument(other, 0, first)


@fault("nonstrict", "counting", owner="effects", field="mutation added")
def input_written_to(program: ExportedProgram) -> None:
    insert_after(call(program, "aten.mul.Tensor"), aten.add_.Tensor, placeholder(program, "x"), 1)


@fault("nonstrict-serdes", "layered", owner="effects", field="mutation added")
def buffer_written_to(program: ExportedProgram) -> None:
    insert_after(call(program, "aten.relu"), aten.add_.Tensor, placeholder(program, "b_unused"), 1)


@fault("nonstrict-decompose", "counting", owner="effects", field="mutation added")
def mutation_of_another_input(program: ExportedProgram) -> None:
    spec = output_specs(program, OutputKind.USER_INPUT_MUTATION)[0]
    place = program.graph_signature.output_specs.index(spec)
    program.graph_signature.output_specs[place] = replace(spec, target="x")


@fault("nonstrict", "drawing", owner="effects", field="generator")
def drawn_once_more(program: ExportedProgram) -> None:
    insert_after(call(program, "aten.rand_like"), aten.rand.default, [1])


@fault("nonstrict-serdes", "drawing", owner="effects", field="generator")
def drawn_once_less(program: ExportedProgram) -> None:
    node = call(program, "aten.rand_like")
    call_instead(program, node, aten.zeros_like.default, *node.args)


@fault("nonstrict-decompose", "drawing", owner="effects", field="generator")
def dropout_out_of_training(program: ExportedProgram) -> None:
    set_argument(call(program, "aten.native_dropout"), 2, False)


@fault("nonstrict", "drawing", owner="effects", field="generator untouched")
def random_numbers_baked_in(program: ExportedProgram) -> None:
    for name, made in (("aten.rand_like", aten.ones_like.default), ("aten.dropout", aten.clone.default)):
        node = call(program, name)
        call_instead(program, node, made, node.args[0])


@fault("nonstrict-retrace", "layered", owner="effects", field="generator*")
def generator_seeded_by_the_call(program: ExportedProgram) -> None:
    """What no graph says: the program's module seeds the generator."""
    module_of = program.module

    def module(check_guards: bool = True) -> GraphModule:
        made = module_of(check_guards)
        made.register_forward_pre_hook(lambda *_: torch.manual_seed(99) and None)
        return made

    program.module = module


@fault("nonstrict_postdispatch", "masked", owner="effects", field="mutated to another value")
def counted_twice_below_autograd(program: ExportedProgram) -> None:
    """The program can be called without grad only, and is judged there."""
    set_argument(call(program, "aten.add"), 1, 2)


def _with_hook(program: ExportedProgram, hook: Callable[[Any, Any, Any], object]) -> None:
    """Let the program's module call a function with itself, its arguments and its outputs: for what no graph says."""
    module_of = program.module

    def module(check_guards: bool = True) -> GraphModule:
        made = module_of(check_guards)
        made.register_forward_hook(lambda *given: hook(*given) and None)
        return made

    program.module = module


@fault("nonstrict-serdes", "structured", owner="effects", field="mutation added")
def entry_of_the_caller_replaced(program: ExportedProgram) -> None:
    _with_hook(program, lambda _, args, output: args[1].update(one=next_float(args[1]["one"])))


@fault("nonstrict-retrace", "structured", owner="effects", field="mutation added")
def entry_of_the_caller_added(program: ExportedProgram) -> None:
    _with_hook(program, lambda _, args, output: args[0].append(output["list"][0]))


@fault("nonstrict-decompose", "structured", owner="effects", field="mutation added")
def entry_of_the_caller_removed(program: ExportedProgram) -> None:
    _with_hook(program, lambda _, args, output: args[1].clear())


@fault("nonstrict", "structured", owner="effects", field="container_update")
def entry_under_another_key(program: ExportedProgram) -> None:
    _with_hook(program, lambda _, args, output: args[1].update(three=args[1].pop("two")))


@fault("nonstrict", "remembering", owner="outputs")
def remembered_value_read(program: ExportedProgram) -> None:
    """What the model only remembers comes into an output, from the second call on."""
    calls: list[torch.Tensor] = []

    def hook(_: Any, args: Any, output: torch.Tensor) -> None:
        if calls:
            output.copy_(next_float(output))
        calls.append(args[0])

    _with_hook(program, hook)


@fault("nonstrict", "tallying", owner="effects", field="mutation lost")
def update_lost_in_a_random_case(program: ExportedProgram) -> None:
    """Values are not compared, and a change of Python state is tolerated there."""
    node = call(program, "aten.add_")
    call_instead(program, node, aten.add.Tensor, *node.args)


@fault("nonstrict-serdes", "tallying", owner="effects", field="container_update")
def entry_replaced_in_a_random_case(program: ExportedProgram) -> None:
    """The new value has the facts of the old one."""
    _with_hook(program, lambda _, args, output: args[1].update(scale=next_float(args[1]["scale"])))


@fault("nonstrict-retrace", "tallying", owner="effects", field="container_update")
def entry_removed_in_a_random_case(program: ExportedProgram) -> None:
    _with_hook(program, lambda _, args, output: args[1].clear())
