"""Parameters and buffers under other names, in another order, of another kind, and no longer one tensor."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from tests.faults.editing import input_spec, next_float, placeholder, set_state, swap_inputs
from tests.faults.fault import fault


def _rename(program: ExportedProgram, old: str, new: str) -> None:
    specs = program.graph_signature.input_specs
    place = specs.index(input_spec(program, old))
    specs[place] = replace(specs[place], target=new)
    held = {new if name == old else name: value for name, value in program.state_dict.items()}
    program.state_dict.clear()
    program.state_dict.update(held)


def _forget(program: ExportedProgram, name: str, of: str) -> None:
    """State that no operation uses, with its placeholder."""
    program.graph_signature.input_specs.remove(input_spec(program, name))
    program.graph.erase_node(placeholder(program, of))
    del program.state_dict[name]


@fault("nonstrict-serdes", "layered", owner="state", field="dropped")
def buffer_renamed(program: ExportedProgram) -> None:
    _rename(program, "scale", "factor")


@fault("nonstrict-decompose", "layered", owner="state", field="dropped*")
def parameter_renamed_by_lowering(program: ExportedProgram) -> None:
    _rename(program, "pair.left.weight", "pair.left.kernel")


@fault("nonstrict", "layered", owner="state", field="renamed*")
def parameter_captured_under_another_name(program: ExportedProgram) -> None:
    """With an underscore for the dot."""
    _rename(program, "pair.left.weight", "pair_left.weight")


@fault("nonstrict-retrace", "layered", owner="state", field="renamed*")
def parameter_retraced_without_its_module(program: ExportedProgram) -> None:
    _rename(program, "pair.left.weight", "weight")


@fault("nonstrict-serdes", "layered", owner="state", field="order")
def state_in_another_order(program: ExportedProgram) -> None:
    program.state_dict["pair.left.weight"] = program.state_dict.pop("pair.left.weight")


@fault("strict-serdes", "layered", owner="state", field="order")
def state_reordered_behind_a_strict_capture(program: ExportedProgram) -> None:
    """The capture reorders state; what follows it must not do so again."""
    swap_inputs(program, "p_pair_left_weight", "p_pair_left_bias")


@fault("nonstrict-serdes", "layered", owner="state", field="added*")
def state_added(program: ExportedProgram) -> None:
    program.state_dict["copy_of_scale"] = program.state_dict["scale"].clone()


@fault("nonstrict-serdes", "layered", owner="state", field="dropped")
def unused_state_dropped(program: ExportedProgram) -> None:
    _forget(program, "unused", "b_unused")


@fault("nonstrict-retrace", "tied", owner="state", field="untied")
def weights_untied_by_retrace(program: ExportedProgram) -> None:
    set_state(program, "decoder.weight", torch.clone)


@fault("nonstrict-decompose", "tied", owner="state", field="untied")
def weights_untied_by_lowering(program: ExportedProgram) -> None:
    """Two Parameters of one storage."""
    set_state(program, "decoder.weight", torch.detach)


@fault("nonstrict", "tied", owner="state", field="dropped*")
def tied_name_dropped_by_capture(program: ExportedProgram) -> None:
    _forget(program, "encoder.weight", "p_encoder_weight")


@fault("nonstrict-decompose", "tied", owner="state")
def shared_buffer_copied(program: ExportedProgram) -> None:
    """A part of another buffer gets a storage of its own: an update of the one no longer shows in the other."""
    set_state(program, "head", torch.clone)


@fault("nonstrict-serdes", "counting", owner="state", field="tied")
def equal_buffers_tied(program: ExportedProgram) -> None:
    program.state_dict["total"] = program.state_dict["count"]


@fault("nonstrict-serdes", "layered", owner="state", field="kind")
def parameter_becomes_tensor(program: ExportedProgram) -> None:
    specs = program.graph_signature.input_specs
    place = specs.index(input_spec(program, "pair.left.bias"))
    specs[place] = replace(specs[place], kind=InputKind.BUFFER, persistent=True)
    program.state_dict["pair.left.bias"] = program.state_dict["pair.left.bias"].detach().requires_grad_()


@fault("nonstrict-retrace", "layered", owner="state", field="value")
def weight_one_ulp_off(program: ExportedProgram) -> None:
    set_state(program, "pair.left.weight", next_float)


@fault("nonstrict", "layered", owner="state", field="value")
def weight_captured_one_ulp_off(program: ExportedProgram) -> None:
    set_state(program, "pair.left.weight", next_float)


@fault("nonstrict-serdes", "layered", owner="state", field="value")
def unused_buffer_changed(program: ExportedProgram) -> None:
    """What no output shows."""
    set_state(program, "unused", torch.ones_like)


@fault("nonstrict-serdes", "layered", owner="state", field="value")
def non_persistent_buffer_zeroed(program: ExportedProgram) -> None:
    """As a loader does that reads a state_dict only."""
    set_state(program, "shift", torch.zeros_like)


@fault("nonstrict-decompose", "layered", owner="state", field="dtype")
def buffer_in_double_precision(program: ExportedProgram) -> None:
    set_state(program, "unused", torch.Tensor.double)


@fault("nonstrict-serdes", "layered", owner="state", field="shape")
def buffer_reshaped(program: ExportedProgram) -> None:
    set_state(program, "unused", lambda tensor: tensor.reshape(1, 1))


@fault("nonstrict-serdes", "layered", owner="state", field="requires_grad")
def parameter_frozen(program: ExportedProgram) -> None:
    set_state(program, "pair.left.weight", lambda tensor: torch.nn.Parameter(tensor.detach(), requires_grad=False))


@fault("nonstrict-retrace", "layered", owner="state", field="requires_grad")
def buffer_made_trainable(program: ExportedProgram) -> None:
    set_state(program, "scale", lambda tensor: tensor.clone().requires_grad_())


@fault("nonstrict-retrace", "layered", owner="state", field="value")
def states_of_two_layers_swapped(program: ExportedProgram) -> None:
    held = program.state_dict
    held["pair.left.bias"], held["pair.right.bias"] = held["pair.right.bias"], held["pair.left.bias"]


@fault("nonstrict-serdes", "layered", owner="state", field="stride")
def weight_in_another_memory_layout(program: ExportedProgram) -> None:
    """Equal values in columns: an operator that is told strides, or a ``view``, breaks."""
    set_state(program, "pair.left.weight", lambda tensor: tensor.t().contiguous().t())


@fault("nonstrict", "layered", owner="state")
def weights_captured_as_copies(program: ExportedProgram) -> None:
    """Training the module no longer trains the program."""
    for name in list(program.state_dict):
        set_state(program, name, torch.clone)
