"""The ``torch`` engine with a fault in one stage, and with an exchange that loses nothing."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch.export import ExportedProgram

from pytest_exportcheck.engines.artifacts import on_program, wrapped_edge
from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.protocol import Engine
from pytest_exportcheck.engines.torch_export import TorchExport
from tests.faults.fault import Inject


class Faulty(TorchExport):
    """``torch.export``; the program that its ``stage``-th stage makes, counted from one, is passed to ``inject``."""

    def __init__(self, stage: int, inject: Inject) -> None:
        self._stage = stage
        self._inject = inject
        self._made = 0

    def export(self, *args: Any, **kwargs: Any) -> ExportedProgram:
        return self._passed(super().export(*args, **kwargs))

    def decompose(self, *args: Any, **kwargs: Any) -> ExportedProgram:
        return self._passed(super().decompose(*args, **kwargs))

    def load(self, *args: Any, **kwargs: Any) -> ExportedProgram:
        return self._passed(super().load(*args, **kwargs))

    def exchange(self, program: ExportedProgram) -> ExportedProgram:
        """A copy that shares only tensors: what a serialiser without defects would give."""
        return self._passed(duplicate(program))

    def _passed(self, program: ExportedProgram) -> ExportedProgram:
        self._made += 1
        if self._made != self._stage:
            return program
        program = self._inject(program) or program
        for module in program.graph_module.modules():
            if isinstance(module, torch.fx.GraphModule):
                module.recompile()
        return program


def faulty_engine(stage: int, inject: Inject) -> Engine:
    """The engine, with ``exchange`` as a stage that is judged as serdes and loses nothing, not even what torch's does."""
    bare = Faulty(stage, inject)
    engine = as_engine(bare)
    return Engine(
        name=engine.name,
        captures=engine.captures,
        edges={**engine.edges, "exchange": wrapped_edge(on_program(bare.exchange), "exchange")},
        contract_of={"exchange": "serdes"},
    )


def duplicate(program: ExportedProgram) -> ExportedProgram:
    """Another program of the same tensors."""
    module = copy.deepcopy(program.graph_module)
    for one, other in zip(_graphs(program.graph_module), _graphs(module), strict=True):
        for old, new in zip(one.nodes, other.nodes, strict=True):
            new.meta = dict(old.meta)
    made = ExportedProgram(
        root=module,
        graph=module.graph,
        graph_signature=copy.deepcopy(program.graph_signature),
        state_dict=dict(program.state_dict),
        range_constraints=dict(program.range_constraints),
        module_call_graph=copy.deepcopy(program.module_call_graph),
        example_inputs=program.example_inputs,
        constants=dict(program.constants),
        verifiers=list(program.verifiers),
    )
    made._guards_code = list(program._guards_code)
    return made


def _graphs(module: torch.fx.GraphModule) -> list[torch.fx.Graph]:
    return [each.graph for each in module.modules() if isinstance(each, torch.fx.GraphModule)]
