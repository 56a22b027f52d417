"""Exporting a model: the steps, in the order in which data passes."""

from __future__ import annotations

from typing import Any

import torch
from torch.export import ExportedProgram

from pytest_exportcheck.exporter.assertions import insert_assertions
from pytest_exportcheck.exporter.constants import lift_constants
from pytest_exportcheck.exporter.constraints import ranges, solve
from pytest_exportcheck.exporter.inputs import example_of
from pytest_exportcheck.exporter.metadata import tidy
from pytest_exportcheck.exporter.program import name_inputs, program_of, signature_of
from pytest_exportcheck.exporter.shapes import declared_shapes
from pytest_exportcheck.exporter.state import fake_state, state_of
from pytest_exportcheck.exporter.symbols import fake_inputs, new_mode
from pytest_exportcheck.exporter.trace import trace


def export(mod: torch.nn.Module, args: tuple[Any, ...], kwargs: Any = None, *, dynamic_shapes: Any = None) -> ExportedProgram:
    example = example_of(mod, args, kwargs)
    declared = declared_shapes(mod, example, dynamic_shapes)
    mode = new_mode()
    fakes = fake_inputs(mode, example, declared)
    state = state_of(mod)
    traced = trace(mod, example, mode, fake_state(mode, state), fakes.values)
    solve(mod, fakes, dynamic_shapes)
    graph = traced.module.graph
    tidy(traced.module)
    insert_assertions(traced.module, mode.shape_env)
    constants, values = lift_constants(traced.module, mode, state, len(state.tensors))
    name_inputs(graph, state, constants, example)
    bounds = ranges(fakes, example, declared)
    traced.module.recompile()
    return program_of(
        traced.module, signature_of(graph, state, constants, example), state, values, bounds, example, traced.out_spec
    )
