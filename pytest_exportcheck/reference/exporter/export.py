"""Export of a model: the steps, in the order in which data passes."""

from __future__ import annotations

from typing import Any

import torch
from torch.export import AdditionalInputs, ExportedProgram

from pytest_exportcheck.reference._torch.specifications import assume
from pytest_exportcheck.reference._torch.values import guards_of, outside_fake_modes, set_guards
from pytest_exportcheck.reference.exporter.assertions import insert_assertions
from pytest_exportcheck.reference.exporter.constants import lift_constants
from pytest_exportcheck.reference.exporter.decompose import lowered
from pytest_exportcheck.reference.exporter.dynamic_shapes import declared_shapes, plain_shapes, without_wrappers
from pytest_exportcheck.reference.exporter.errors import NotTraceable
from pytest_exportcheck.reference.exporter.fake_inputs import Known, fake_inputs, new_symbolic
from pytest_exportcheck.reference.exporter.guards import guards, ranges, solve
from pytest_exportcheck.reference.exporter.inputs import Example, example_of
from pytest_exportcheck.reference.exporter.metadata import keep_custom, tidy
from pytest_exportcheck.reference.exporter.module_attributes import restored
from pytest_exportcheck.reference.exporter.module_calls import Calls
from pytest_exportcheck.reference.exporter.module_state import fake_state, state_of
from pytest_exportcheck.reference.exporter.objects import Fakes, describe_objects, placeholders_of_objects
from pytest_exportcheck.reference.exporter.program import dress_inputs, program_of, signature_of, slots_of
from pytest_exportcheck.reference.exporter.regions import wrap_regions
from pytest_exportcheck.reference.exporter.specifications import (
    effective_shapes,
    specification_of,
    specified_inputs,
)
from pytest_exportcheck.reference.exporter.strict import captured_by_dynamo
from pytest_exportcheck.reference.exporter.subgraphs import lift_from_subgraphs, name_subgraph_inputs
from pytest_exportcheck.reference.exporter.trace import trace
from pytest_exportcheck.reference.exporter.unsupported_inputs import named_when_unsupported


def export(
    mod: torch.nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None = None,
    *,
    dynamic_shapes: Any = None,
    strict: bool = False,
    pre_dispatch: bool = True,
    preserve_module_call_signature: tuple[str, ...] = (),
    prefer_deferred_runtime_asserts_over_guards: bool = False,
) -> ExportedProgram:
    """Return the program of a model, as ``torch.export.export`` makes it: operators above autograd.
    One thread can capture at a time, because torch's tracer belongs to the process.

    Parameters
    ----------
    mod, args, kwargs
        A module and the arguments of an example call. The module, the arguments and the generators are unchanged
        afterwards.
    dynamic_shapes
        In every form that torch takes. The program refuses a call outside of a declared range.
    pre_dispatch
        If False, the program consists of functional operators below autograd, and returns its mutations as outputs.
    strict
        If True, Dynamo evaluates the Python of the module, and refuses what it cannot evaluate.
    preserve_module_call_signature
        Paths of submodules that ``torch.export.unflatten`` shall make callable with their own signatures.
    prefer_deferred_runtime_asserts_over_guards
        If True, a condition on sizes becomes an assertion of the program where torch can defer it, and does not narrow
        the declared range.

    Raises
    ------
    InvalidInput
        Where the example or the dynamic shapes do not fit the module.
    ConstraintViolation
        Where the module restricts its sizes more than was declared: which, where, and what to declare instead.
    NotTraceable
        Where the module does something that an exported program cannot represent.
    NotSupported
        Where the module has something that a program may hold and that this exporter does not capture, such as most
        tensor subclasses.
    """
    dynamic_shapes = effective_shapes(mod, dynamic_shapes)
    args, kwargs, dynamic_shapes = without_wrappers(mod, args, kwargs, dynamic_shapes)
    example = example_of(mod, args, kwargs)
    deferred = prefer_deferred_runtime_asserts_over_guards
    with outside_fake_modes(), named_when_unsupported(mod, example):
        program = _captured(
            mod, example, dynamic_shapes, preserve_module_call_signature, strict=strict, deferred=deferred
        )
    if isinstance(dynamic_shapes, AdditionalInputs):
        dynamic_shapes.verify(program)  # type: ignore[no-untyped-call]
    return program if pre_dispatch else lowered(program, {}, keep=False)


def _captured(
    mod: torch.nn.Module,
    example: Example,
    dynamic_shapes: Any,
    preserved: tuple[str, ...],
    *,
    strict: bool,
    deferred: bool,
) -> ExportedProgram:
    """Return the program above autograd."""
    calls = Calls(mod, preserved, strict=strict)
    specification = specification_of(mod, example, dynamic_shapes, deferred=deferred)
    shapes = None if specification else plain_shapes(mod, example, dynamic_shapes)
    declared = declared_shapes(example, shapes)
    state = state_of(mod)
    with restored(mod) as attributes, calls.watched():
        if strict:
            symbolic, known, function = captured_by_dynamo(mod, example, declared, specification, deferred=deferred)
        else:
            symbolic, known, function = new_symbolic(deferred=deferred), Known(), None
            if specification:
                assume(symbolic.env, specification.of_call)
        objects = Fakes(symbolic.mode)
        if specification:
            fakes = specified_inputs(symbolic, example, specification, known)
        else:
            fakes = fake_inputs(symbolic, example, declared, known)
        held = fake_state(symbolic.mode, state)
        attributes.replace(objects.of_attribute)
        traced = trace(mod, example, symbolic.mode, held, fakes.values, function)
        replaced = dict(attributes.replaced())
    solve(mod, fakes, shapes)
    placeholders = traced.module.graph.find_nodes(op="placeholder")
    tidy(traced.module.graph, mod)
    insert_assertions(traced.module, symbolic.env)
    inputs = {id(fake): node for fake, node in zip((*held.values(), *fakes.values), placeholders, strict=True)}
    lift_from_subgraphs(traced.module, symbolic.mode, inputs)
    given = placeholders_of_objects([leaf.value for leaf in example.leaves], placeholders[len(state.tensors) :])
    constants = lift_constants(traced.module, symbolic.mode, state.constants, len(state.tensors), objects.real, given)
    _refuse_replaced(replaced, constants)
    module = wrap_regions(traced.module, torch.is_grad_enabled(), preserved)
    slots = slots_of(state, constants, example)
    dress_inputs(module.graph, slots)
    describe_objects(module)
    keep_custom(mod, module, [slot.target for slot in slots])
    name_subgraph_inputs(module)
    module.recompile()
    program = program_of(
        module,
        signature_of(module.graph, slots),
        state,
        constants,
        ranges(fakes, example, declared),
        example,
        traced.out_spec,
        calls.entries(module),
    )
    set_guards(program, [*guards_of(program), *guards(fakes, example, declared)])
    return program


def _refuse_replaced(replaced: dict[str, Any], constants: dict[str, Any]) -> None:
    for name, value in replaced.items():
        if any(value is each for each in constants.values()):
            raise NotTraceable(
                f"forward() reassigns self.{name} after reading it; only buffers keep a new value in an exported program. "
                f'Register it: self.register_buffer("{name.rpartition(".")[2]}", ..., persistent=False).'
            )
