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
from pytest_exportcheck.exporter.regions import wrap_regions
from pytest_exportcheck.exporter.shapes import declared_shapes
from pytest_exportcheck.exporter.state import fake_state, state_of
from pytest_exportcheck.exporter.symbols import fake_inputs, new_mode
from pytest_exportcheck.exporter.trace import trace


def export(mod: torch.nn.Module, args: tuple[Any, ...], kwargs: Any = None, *, dynamic_shapes: Any = None) -> ExportedProgram:
    grad = torch.is_grad_enabled()
    example = example_of(mod, args, kwargs)
    declared = declared_shapes(mod, example, dynamic_shapes)
    mode = new_mode()
    fakes = fake_inputs(mode, example, declared)
    state = state_of(mod)
    traced = trace(mod, example, mode, fake_state(mode, state), fakes.values)
    solve(mod, fakes, dynamic_shapes)
    tidy(traced.module, fakes.values)
    insert_assertions(traced.module, mode.shape_env)
    constants = lift_constants(traced.module, mode, state, len(state.tensors))
    graph_module = wrap_regions(traced.module, grad)
    graph = graph_module.graph
    name_inputs(graph, state, list(constants), example)
    bounds = ranges(fakes, example, declared)
    graph_module.recompile()
    return program_of(
        graph_module, signature_of(graph, state, list(constants), example), state, constants, bounds, example, traced.out_spec
    )
