"""The maker of the stages of one case: artifacts of captures and edges, and the records of what they do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch.export import ExportedProgram

from pytest_exportcheck.describe import call_spec_of, module_types_of, node_runs, program_of, run_digest, state_of
from pytest_exportcheck.engines.protocol import Engine, StageArtifact
from pytest_exportcheck.harness.fingerprint import edited, fingerprint
from pytest_exportcheck.harness.internal import EDITS, call_foreign
from pytest_exportcheck.harness.isolation import last_line_of_model, quiet, raised_from
from pytest_exportcheck.harness.process_state import changed_globals, global_modes, preserved_globals, seed_everything
from pytest_exportcheck.harness.snapshot import ModuleSnapshot
from pytest_exportcheck.harness.tensors import copy_tree
from pytest_exportcheck.modes import Mode, stage_name
from pytest_exportcheck.policy import contract_for, without_grad
from pytest_exportcheck.records import Finding, Gradients, NodeRun, Observation, ProgramRecord, Record, Refusal
from pytest_exportcheck.run.judging import contract_stage
from pytest_exportcheck.run.observed_case import ObservedCase
from pytest_exportcheck.run.runtime_edges import yields_package
from pytest_exportcheck.run.stage import StageResult, edited_flag, edited_global, edited_module, edited_program
from pytest_exportcheck.run.stage_cache import StageCache

#: Seconds of a failed capture that is not tried again to find the last line of the model.
_LONG = 20.0


class StageMaker:
    """The maker that runs the captures and edges of one case. ``seconds`` has the duration of each, by
    ``engine-mode``; ``sampled`` calls a program at sampled sizes, in the modes in which engines are compared.
    """

    def __init__(
        self,
        observed: ObservedCase,
        stages: StageCache,
        seconds: dict[str, float],
        sampled: Callable[[Any, Mode], tuple[Observation, ...] | None],
    ) -> None:
        self._observed = observed
        self._observer = observed.observer
        self._prepared = observed.prepared
        self._at = observed.attempts.at
        self._seed = observed.observer.seed
        self._stages = stages
        self._seconds = seconds
        self._sampled = sampled
        self._runs: dict[tuple[str, bool], tuple[NodeRun, ...]] = {}

    # --- artifacts --------------------------------------------------------------------------

    def artifact(self, engine: Engine, mode: Mode, parent: StageResult | None) -> tuple[StageArtifact, list[Finding]]:
        """Run the last stage of a mode, and find what it edits: global modes, the module, its input program."""
        what = f"running {engine.name}-{mode} of {self._observed.case.name}"
        with preserved_globals(), quiet(), self._observed.settings.progress(what):
            before_modes = global_modes()
            started = time.perf_counter()
            seed_everything(self._seed)
            # what is made of an inference program is made without grad: its retrace calls it
            try:
                with self._observer.weights_intact(), self._observer.context(mode if parent else None):
                    artifact, findings = self._edge(engine, mode, parent) if parent else self._capture(engine, mode)
            finally:
                self._seconds[stage_name(engine.name, mode)] = time.perf_counter() - started
            leaked = changed_globals(before_modes)
        return artifact, [*findings, *(edited_global(name, was, now) for name, (was, now) in leaked.items())]

    def revived(self, engine: Engine, stage: StageResult) -> StageArtifact:
        """Return the artifact of a stage, made again if it was spoiled."""
        if stage.artifact is None:
            parent = self._stages.get(engine.name, stage.mode.parent) if stage.mode.parent else None
            stage.artifact, _ = self.artifact(engine, stage.mode, parent)
        return stage.artifact

    def last_line(self, engine: Engine, mode: Mode, error: BaseException) -> str:
        """Return the last line of the model that a failing capture ran, by a second try, if the error does not lead to
        one.
        """
        seconds = self._seconds.get(stage_name(engine.name, mode), 0.0)
        if raised_from(error).where or not mode.is_nonstrict or seconds > _LONG:
            return ""  # Dynamo names the line itself
        return last_line_of_model(lambda: self.artifact(engine, mode, None))

    def _capture(self, engine: Engine, mode: Mode) -> tuple[StageArtifact, list[Finding]]:
        prepared = self._prepared
        module = prepared.fresh_module()
        snapshot, held = ModuleSnapshot(module, prepared.pristine), self._observer.attributes(module)
        args, kwargs = copy_tree((prepared.example.args, dict(prepared.example.kwargs)))
        try:
            artifact = call_foreign(engine.captures[mode.capture], module, args, kwargs, prepared.dynamic_shapes)
            edits = list(_edits(snapshot))
        finally:
            snapshot.restore()
            held.restore()
        return artifact, edits

    def _edge(self, engine: Engine, mode: Mode, parent: StageResult) -> tuple[StageArtifact, list[Finding]]:
        edge = mode.last
        given = self.revived(engine, parent)
        writes = not yields_package(engine, edge)
        before = self._fingerprint(given.program, writes)
        try:
            with _normal_tensors():
                artifact = call_foreign(engine.edges[edge], given)
        finally:
            parts = edited(before, self._fingerprint(given.program, writes))
            if parts:
                parent.artifact = None  # spoiled: the next stage that needs it makes it again
        if edge in engine.edits_input:
            return artifact, []
        return artifact, [edited_program(part, edge) for part in parts]

    def _fingerprint(self, program: Any, writes: bool) -> Mapping[str, str]:
        if not isinstance(program, ExportedProgram):
            return {}
        return self._at(EDITS, lambda: fingerprint(program, writes=writes), {})

    # --- records ----------------------------------------------------------------------------

    def record(self, engine: Engine, artifact: StageArtifact, mode: Mode) -> Record:
        """Describe an artifact, and observe its calls as the mode is judged by them."""
        with preserved_globals(), quiet():
            exported = artifact.program if isinstance(artifact.program, ExportedProgram) else None
            seed_everything(self._seed)
            run = call_foreign(artifact.callable)
            record = replace(
                self._described(engine, mode, run, exported),
                saved=artifact.saved,
                resaved=call_foreign(artifact.resaved) if mode.repeats_last else {},
            )
        return replace(
            record,
            observations=self._at("the calls", lambda: self._observed_calls(run, mode), ()),
            refusals=tuple(
                Refusal(rejection=rejection, raised=self._observer.observe(run, (call,), mode=mode)[0].raised)
                for rejection, call in self._prepared.rejected
            ),
            samples=self._at("calls at sampled sizes", lambda: self._sampled(run, mode), None),
        )

    def _described(self, engine: Engine, mode: Mode, run: Any, program: ExportedProgram | None) -> Record:
        """Describe the artifact of a stage; a part that the plugin fails to read is missing, and reported."""
        record = Record(observations=(), shows_state=not yields_package(engine, mode.last))
        if isinstance(run, torch.nn.Module):
            record = replace(record, state=self._at("the state of the module", lambda: state_of(run), None))
        if program is not None:
            described = self._at("the program", lambda: self._program(program, engine, mode), None)
            call_spec = self._at("the call spec", lambda: call_spec_of(program), None)
            return replace(record, call_spec=call_spec, program=described)
        if isinstance(run, torch.nn.Module):
            return replace(record, modules=self._at("the submodules", lambda: module_types_of(run), {}))
        return record

    def _program(self, program: ExportedProgram, engine: Engine, mode: Mode) -> ProgramRecord:
        """Return a program as data, with a run of its nodes where the contract asks for one."""
        runs: tuple[NodeRun, ...] = ()
        if contract_for(contract_stage(engine, mode)).get("val") == "run":
            seed_everything(self._seed)
            runs = self._at("a run of the nodes", lambda: self._node_runs(program, mode), ())
            self._observer.around.restore()
        return program_of(program, declared=self._observed.declared, runs=runs)

    def _node_runs(self, program: ExportedProgram, mode: Mode) -> tuple[NodeRun, ...]:
        """Run the nodes of a program one by one; programs of the same content are run once."""
        digest = run_digest(program)
        if digest is None:
            return self._run_nodes(program, mode)
        key = (digest, without_grad(mode.stages))
        if key not in self._runs:
            self._runs[key] = self._run_nodes(program, mode)
        return self._runs[key]

    def _run_nodes(self, program: ExportedProgram, mode: Mode) -> tuple[NodeRun, ...]:
        with self._observer.context(mode):
            return node_runs(program, self._prepared.example, self._observed.declared)

    def _observed_calls(self, run: Callable[..., Any], mode: Mode) -> tuple[Observation, ...]:
        """Return the calls as this mode is judged by them. Without grad, a call with grad is made too, only for its
        gradients.
        """
        calls, like = self._observed.calls, self._observed.oracles.with_grad.record.observations[0]
        if not without_grad(mode.stages):
            return self._observer.observe(run, calls, like=like)
        first, *rest = self._observer.observe(run, calls, mode=mode)
        (graded,) = self._observer.observe(run, calls[:1], like=like)
        raised = Gradients({}, graded.raised, "the call") if graded.raised else graded.gradients
        return (replace(first, gradients=raised), *rest)


def _edits(snapshot: ModuleSnapshot) -> Iterator[Finding]:
    """Yield the changes of a capture to the module."""
    kinds = snapshot.kinds()
    for name, tensor in snapshot.changed().items():
        yield edited_module(name, tensor, kinds[name])
    for name, (was, now) in snapshot.changed_flags().items():
        yield edited_flag(name, was, now)


@contextmanager
def _normal_tensors() -> Iterator[None]:
    """Leave inference mode around code that makes parameters: views of inference tensors do not require grad, and that
    affects the kernel of matmul.
    """
    if not torch.is_inference_mode_enabled():
        yield
        return
    with torch.inference_mode(False), torch.no_grad():
        yield
